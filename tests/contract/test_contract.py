"""Holds recorded answers, and our own API description, against the published one.

The recordings are made by the peer tests (one JSON line per request and answer). The published description is
expected beside the checkout and is not part of it: without it its tests are skipped, saying so.
"""

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

from description import Description

REPOSITORY = Path(__file__).resolve().parents[2]
PUBLISHED = REPOSITORY.parent / "shared" / "contract" / "v3-auth-openapi.yaml"
OURS = REPOSITORY / "docs" / "openapi.yaml"
RECORDED = (REPOSITORY / os.environ.get("CARGO_TARGET_DIR", "target")) / "recorded"

# Parts of the published description that are not built yet. This list may only shrink.
NOT_BUILT = ("/v3/workspaces", "/v3/webhooks")

# Answers that differ from the published description on purpose, with the reason. It may only shrink.
DEVIATIONS = {
    (("GET", "/v3/admin/applications/{application_id}/api-keys", "200"), "$.data"):
        "the published schema wants an object and an array at once; the text says a list",
}


def _load(path):
    return Description(path) if path.exists() else None


def recorded_answers(description):
    """JSON answers of the API by method, path template of the description (or None) and status; each body once."""
    grouped = defaultdict(set)
    for file in sorted(RECORDED.glob("*.jsonl")) if description else ():
        # Not splitlines(): a recorded text may hold U+2028, which ends no line of JSON.
        for line in filter(None, file.read_text().split("\n")):
            exchange = json.loads(line)
            method, path = exchange["request"]["method"], exchange["request"]["path"]
            answer = exchange["response"]
            if answer["headers"].get("content-type", "").startswith("application/json"):
                template = description.template_of(method, path)
                grouped[method, template or path, str(answer["status"])].add(answer["body"])
    return grouped


PUBLISHED_DESCRIPTION = _load(PUBLISHED)
OUR_DESCRIPTION = _load(OURS)
# What is Keyway's own, and the PUT that only the Node SDK sends, is not in the published description.
PUBLISHED_ANSWERS = {key: bodies for key, bodies in recorded_answers(PUBLISHED_DESCRIPTION).items()
                     if key[1] in PUBLISHED_DESCRIPTION.document["paths"]}
OUR_ANSWERS = recorded_answers(OUR_DESCRIPTION)
needs_published = pytest.mark.skipif(
    PUBLISHED_DESCRIPTION is None, reason="the published API description is not beside this checkout")
needs_ours = pytest.mark.skipif(OUR_DESCRIPTION is None, reason="there is no docs/openapi.yaml")


@needs_published
def test_there_are_recorded_answers():
    assert PUBLISHED_ANSWERS, f"nothing in {RECORDED}: run the peer tests first"


@needs_published
@pytest.mark.parametrize("key", sorted(PUBLISHED_ANSWERS), ids=" ".join)
def test_recorded_answers_have_the_published_shape(key):
    method, template, status = key
    declared = status in PUBLISHED_DESCRIPTION.statuses(method, template)
    for body in PUBLISHED_ANSWERS[key]:
        parsed = json.loads(body)
        found = (PUBLISHED_DESCRIPTION.problems(method, template, status, parsed) if declared
                 else undeclared_problems(status, parsed))
        found = [problem for problem in found if (key, problem.split(":")[0]) not in DEVIATIONS]
        assert not found, "\n".join(found)


def undeclared_problems(status, body):
    """A status the description does not mention must still be an error of the ordinary shape."""
    if int(status) < 400:
        return [f"$: success {status} is not declared"]
    error = body.get("error")
    complete = isinstance(error, dict) and error.get("type") and error.get("message") and body.get("request_id")
    return [] if complete else ["$: neither declared nor an error of the ordinary shape"]


@needs_published
@needs_ours
def test_our_description_has_every_published_operation():
    ours = OUR_DESCRIPTION.operations()
    wanted = {operation for operation in PUBLISHED_DESCRIPTION.operations() if not operation[1].startswith(NOT_BUILT)}
    assert sorted(wanted - ours.keys()) == []


# Published, and never answered here: a list that is empty is 200, the application of a valid key is always
# there, and a GET without parameters has nothing to refuse.
NEVER_ANSWERED = {
    ("GET", "/v3/applications"): {"400"},
    ("GET", "/v3/applications/redirect-uris"): {"400", "404"},
    ("GET", "/v3/admin/applications/{}/api-keys"): {"400"},
    ("GET", "/v3/admin/applications/{}/api-keys/{}"): {"400"},
    ("DELETE", "/v3/admin/applications/{}/api-keys/{}"): {"400"},
    ("GET", "/v3/connectors"): {"404"},
    ("GET", "/v3/grants"): {"404"},
    ("PATCH", "/v3/applications"): {"404"},
}


@needs_published
@needs_ours
def test_our_description_has_every_published_status():
    ours = OUR_DESCRIPTION.operations()
    missing = {
        operation: sorted(statuses - ours[operation] - NEVER_ANSWERED.get(operation, set()))
        for operation, statuses in PUBLISHED_DESCRIPTION.operations().items()
        if operation in ours
        and statuses - ours[operation] - NEVER_ANSWERED.get(operation, set())
    }
    assert missing == {}


@needs_ours
@pytest.mark.parametrize("key", sorted(OUR_ANSWERS), ids=" ".join)
def test_recorded_answers_are_what_our_description_says(key):
    method, template, status = key
    assert template in OUR_DESCRIPTION.document["paths"], f"{method} {template} is answered but not described"
    assert status in OUR_DESCRIPTION.statuses(method, template), f"status {status} is answered but not described"
    for body in OUR_ANSWERS[key]:
        found = OUR_DESCRIPTION.problems(method, template, status, json.loads(body))
        assert not found, "\n".join(found)
