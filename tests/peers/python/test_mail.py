"""Custom authentication of every variant but the two bulk ones, by the official Python SDK."""

import shutil

import pytest

from rejections import rejects_api
from worlds import started

pytestmark = pytest.mark.skipif(shutil.which("dovecot") is None, reason="Dovecot is not installed")


@pytest.fixture(scope="module")
def world():
    """A world with a mail server and a connector for every provider."""
    with started("python-mail", "sqlite", "mail") as world:
        for provider in ("google", "microsoft", "yahoo", "zoom"):
            settings = world.facts.clients["development"]
            world.nylas.connectors.create({"provider": provider, "name": provider, "settings": settings, "scope": []})
        for provider in ("imap", "icloud", "ews", "virtual-calendar"):
            world.nylas.connectors.create({"provider": provider, "name": provider, "settings": {}, "scope": []})
        yield world


def authenticate(world, provider, **settings):
    return world.nylas.auth.custom_authentication({"provider": provider, "settings": settings, "state": "s-1"}).data


def imap(world, **more):
    user, password = world.facts.mail_user
    settings = {"imap_username": user, "imap_password": password, "imap_host": world.facts.mail_host, "imap_port": 993}
    return authenticate(world, "imap", **{**settings, **more})


@pytest.mark.parametrize("provider", ["google", "microsoft", "yahoo", "zoom"])
def test_a_refresh_token(world, provider):
    login = f"{provider}@example.com"
    grant = authenticate(world, provider, refresh_token=world.mint("development", login))
    assert (grant.email, grant.provider, grant.state) == (login, provider, "s-1")


def test_an_imap_account_for_reading_and_sending(world):
    grant = imap(world, smtp_host=world.facts.mail_host, smtp_port="465")
    assert (grant.email, grant.provider) == (world.facts.mail_user[0], "imap")
    assert grant.settings["smtp_port"] == 465
    assert imap(world).id == grant.id


def test_an_imap_account_that_does_not_open(world):
    error = rejects_api(lambda: imap(world, imap_password="wrong"), 400, "grant.invalid_authentication", "imap_password")
    assert error.provider_error["error"] == "AUTHENTICATIONFAILED"
    rejects_api(lambda: imap(world, imap_port=0), 400, "api.invalid_request_error", "imap_port")


def test_icloud_wants_a_password(world):
    def ask():
        authenticate(world, "icloud", username="ann@icloud.com")

    rejects_api(ask, 400, "api.invalid_request_error", "settings.password")


def test_an_exchange_mailbox(world):
    user, password = world.facts.mail_user
    settings = {"email": user, "ews_username": user, "ews_password": password, "ews_host": world.facts.mail_host}
    grant = authenticate(world, "ews", **settings)
    assert (grant.email, grant.provider, grant.settings["ews_port"]) == (user, "ews", 443)

    def wrong():
        authenticate(world, "ews", **{**settings, "ews_password": "wrong"})

    rejects_api(wrong, 400, "grant.invalid_authentication", "ews_password")


def test_a_virtual_calendar(world):
    assert authenticate(world, "virtual-calendar", email="room 7").email == "room 7"


def test_detect_provider(world):
    found = world.nylas.auth.detect_provider({"email": "a@gmx.de"}).data
    assert (found.detected, found.provider, found.type) == (True, "imap", "gmx")
    assert not world.nylas.auth.detect_provider({"email": "a@unheard-of.test", "all_provider_types": True}).data.detected
