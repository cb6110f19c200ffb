"""Bulk authentication by the official Python SDK, against a provider that verifies every proof."""

import pytest
import requests

from conftest import DATABASES
from rejections import rejects_api
from worlds import started

MAIL = "https://www.googleapis.com/auth/gmail.readonly"


@pytest.fixture(scope="module", params=DATABASES)
def world(request):
    """A world with a service account and an application to be consented to."""
    with started("python-bulk", request.param, "bulk") as world:
        for provider in ("google", "microsoft"):
            settings = dict(world.facts.bulk_client)
            world.nylas.connectors.create({"provider": provider, "name": provider, "settings": settings, "scope": []})
        for provider, kind, data in (
            ("google", "serviceaccount", world.facts.key_file),
            ("microsoft", "adminconsent", {"tenant": "contoso.test"}),
        ):
            body = {"name": kind, "credential_type": kind, "credential_data": data}
            world.credentials[kind] = world.nylas.connectors.credentials.create(provider, body).data.id
        yield world


def authenticate(world, provider, kind, **settings):
    settings["credential_id"] = world.credentials[kind]
    return world.nylas.auth.custom_authentication({"provider": provider, "settings": settings}).data


def proxied(world, grant_id, path):
    url = f"{world.facts.server_url}/v3/grants/{grant_id}/proxy/{path}"
    return requests.get(url, headers={"Authorization": f"Bearer {world.facts.api_key}"}, timeout=30)


def test_a_service_account_acts_for_a_user(world):
    grant = authenticate(world, "google", "serviceaccount", email_address="ann@contoso.test", scopes=[MAIL])
    assert (grant.email, grant.credential_id) == ("ann@contoso.test", world.credentials["serviceaccount"])
    assert proxied(world, grant.id, "gmail/v1/users/me/profile").json()["user"] == "ann@contoso.test"


def test_a_service_account_without_delegation_is_refused(world):
    def ask():
        authenticate(world, "google", "serviceaccount", email_address="bob@contoso.test", scopes=["made.up"])

    rejects_api(ask, 400, "grant.invalid_authentication", "delegate")


def test_url_for_admin_consent_leads_to_grants_of_members(world):
    def ask():
        return authenticate(world, "microsoft", "adminconsent", email_address="ann@contoso.test")

    rejects_api(ask, 400, "grant.invalid_authentication", "adminconsent")
    url = world.nylas.auth.url_for_admin_consent({
        "client_id": world.facts.application_id,
        "redirect_uri": world.facts.redirect_uri,
        "credential_id": world.credentials["adminconsent"],
        "state": "s t",
    })
    assert world.consent(url) == {"admin_consent": "true", "state": "s t"}
    grant = ask()
    assert proxied(world, grant.id, "v1.0/me/messages").json() == {"user": "ann@contoso.test", "rest": ["messages"]}
    assert proxied(world, grant.id, "v1.0/users/eve@contoso.test").status_code == 400
