"""Requests made up from docs/openapi.yaml, right ones and wrong ones, against a server.

KEYWAY_SCHEMA_EXAMPLES says how many random requests each operation gets beside those that try every part
of its description; KEYWAY_SCHEMA_SEED which ones.
"""

import os
from collections import defaultdict

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks as openapi

from written import written_out

EXAMPLES = int(os.environ.get("KEYWAY_SCHEMA_EXAMPLES", "20"))
SEED = int(os.environ.get("KEYWAY_SCHEMA_SEED", "1"))


def negative_data_rejection(context, response, case):
    """A wrong request is refused. What is empty is not wrong but absent, and of several values the last counts."""
    values = (case.query or {}).values()
    sent = response.request.body
    if any(value == "" or isinstance(value, (list, dict)) for value in values) or (sent and not sent.strip()):
        return None
    return openapi.negative_data_rejection(context, response, case)


CHECKS = [
    not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
    negative_data_rejection,
    openapi.unsupported_method,
    openapi.allow_header_conformance,
    openapi.ignored_auth,
]

# Beside the statuses a wrong request is refused with: a hosted sign-in tells the application by a redirect.
REFUSALS = [302, 400, 401, 403, 404, 405, 413, 415, 423, 429]


def description(every_part):
    """The description; with requests that try every part of it, or with random ones and its examples alone."""
    config = schemathesis.Config.from_dict({
        "seed": SEED,
        # Whose request it is, each test says.
        "generation": {"max-examples": EXAMPLES, "database": "none", "with-security-parameters": False},
        # What a server answered must not steer what is asked next: a seed would not say which requests are made.
        "phases": {
            "coverage": {"enabled": every_part, "extra-data-sources": {"responses": False}},
            "examples": {"extra-data-sources": {"responses": False}},
            "fuzzing": {"extra-data-sources": {"responses": False}, "error-feedback": {"enabled": False}},
        },
        "checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}},
    })
    return schemathesis.openapi.from_dict(written_out(), config=config)


schema = description(every_part=True)

# What each operation answered to an API key.
ANSWERED = defaultdict(set)

# Only a browser with a sign-in's cookie finishes one, no mail server is there to let anybody in, the applications
# have no pictures, only an access token has a grant of its own, and the operator of this server hands out no
# provider tokens.
REFUSED_TO_A_KEY = {
    "GET /v3/connect/callback",
    "POST /v3/connect/login",
    "POST /v3/connect/login/imap",
    "POST /v3/connect/login/ews",
    "GET /v3/connect/images/icon",
    "GET /v3/connect/images/background",
    "GET /v3/grants/me",
    "GET /v3/grants/{grant_id}/token",
}


@schema.parametrize()
def test_with_an_api_key(case, stock_of, session):
    stock = stock_of(case.operation.label)
    stock.aim(case)
    response = case.call_and_validate(stock.base_url, session, stock.key, checks=CHECKS)
    if case.method == case.operation.method.upper():
        ANSWERED[case.operation.label].add(response.status_code)
    stock.put_back(case, response)


def test_every_operation_was_carried_out():
    """Requests that are all refused would show nothing."""
    operations = {found.ok().label for found in schema.get_all_operations()}
    if operations - ANSWERED.keys():
        pytest.skip("not every operation was called")
    never = {label for label in operations if all(status >= 400 for status in ANSWERED[label])}
    # A service account signs its requests, which nothing here can; tests with the SDKs' signers do.
    signed = {label for label in operations if "/v3/admin/" in label}
    assert never == REFUSED_TO_A_KEY | signed


@schema.include(path_regex="^/v3/grants/").parametrize()
def test_with_an_access_token(case, stock_of, session):
    stock = stock_of("access tokens")
    stock.aim(case)
    response = case.call_and_validate(stock.base_url, session, stock.token, checks=CHECKS)
    if case.method not in ("GET", "OPTIONS"):
        assert response.status_code in (401, 403, 405), "an access token changes nothing"


@description(every_part=False).parametrize()
def test_without_proof(case, stock_of, session):
    stock = stock_of("nobody")
    stock.aim(case)
    case.call_and_validate(stock.base_url, session, checks=CHECKS)


def test_one_after_another(new_stock, session):
    """Calls that follow from each other's answers: what was made is there, and what was deleted is gone."""

    @hypothesis.seed(SEED)
    class Calls(schema.as_state_machine()):
        def setup(self):
            # Each sequence begins with the same state, or its seed would not say which calls are made.
            self.stock = new_stock()

        def get_call_kwargs(self, case):
            return {"base_url": self.stock.base_url, "session": session, "headers": self.stock.key}

        def validate_response(self, response, case, **kwargs):
            checks = [*CHECKS, openapi.use_after_free, openapi.ensure_resource_availability]
            case.validate_response(response, checks, transport_kwargs=kwargs, recorder=self.recorder)

    # One sequence is up to 8 calls long.
    Calls.run(settings=hypothesis.settings(
        max_examples=EXAMPLES,
        stateful_step_count=8,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    ))
