"""Connectors, credentials, grants, the application and its redirect URIs with the official Python SDK."""

from rejections import rejects_api

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
NOT_FOUND = "api.not_found_error"
INVALID = "api.invalid_request_error"


def create_credential(world, name, client_id):
    return world.nylas.connectors.credentials.create("google", {
        "name": name,
        "credential_type": "connector",
        "credential_data": {"client_id": client_id, "client_secret": "a secret of no provider"},
    }).data


def test_connectors_create_and_find(world):
    created = world.nylas.connectors.create({"provider": "imap", "name": "IMAP"})
    assert created.data.provider == "imap" and created.request_id
    assert world.last_status("POST", "/v3/connectors") == 201
    assert world.nylas.connectors.find("google").data.provider == "google"


def test_connectors_create_refuses_a_second_of_a_kind(world):
    rejects_api(lambda: world.nylas.connectors.create({"provider": "google", "name": "again"}), 400, INVALID)


def test_connectors_find_of_none_is_not_found(world):
    rejects_api(lambda: world.nylas.connectors.find("zoom"), 404, NOT_FOUND)


def test_connectors_list(world):
    listed = world.nylas.connectors.list({"limit": 5, "offset": 0})
    assert "google" in [c.provider for c in listed.data]
    wrong = world.client_with_key("wrong")
    rejects_api(lambda: wrong.connectors.list(), 401, "token.unauthorized_access")


def test_connectors_update_by_patch_sets_the_default(world):
    update = world.nylas.connectors.update
    update("google", {"active_credential_id": world.credentials["production"]})
    assert world.last_status("PATCH", "/v3/connectors/google") == 200
    grant = world.bring_your_own("default@example.com", "production")
    assert grant.credential_id == world.credentials["production"]
    update("google", {"active_credential_id": world.credentials["development"]})
    rejects_api(lambda: update("google", {"active_credential_id": UNKNOWN_ID}), 400, INVALID, says="credential")


def test_connectors_destroy(world):
    world.nylas.connectors.create({"provider": "icloud", "name": "iCloud"})
    assert world.nylas.connectors.destroy("icloud").request_id
    rejects_api(lambda: world.nylas.connectors.destroy("icloud"), 404, NOT_FOUND)


def test_credentials_create_finds_and_lists(world):
    created = create_credential(world, "python", "python-client-id")
    credentials = world.nylas.connectors.credentials
    assert world.last_status("POST", "/v3/connectors/google/creds") == 201
    assert credentials.find("google", created.id).data.name == "python"
    assert create_credential(world, "python", "python-client-id").id == created.id
    listed = credentials.list("google", {"limit": 2, "sort_by": "created_at", "order_by": "desc"})
    assert len(listed.data) == 2 and listed.data[0].id == created.id


def test_credentials_refuse_a_taken_name_and_unknown_ids(world):
    create_credential(world, "taken", "taken-client-id")
    credentials = world.nylas.connectors.credentials
    rejects_api(lambda: create_credential(world, "taken", "other-client-id"), 400, INVALID, says="name")
    rejects_api(lambda: credentials.find("google", UNKNOWN_ID), 404, NOT_FOUND)
    rejects_api(lambda: credentials.list("zoom"), 404, NOT_FOUND)
    rejects_api(lambda: credentials.update("google", UNKNOWN_ID, {"name": "x"}), 404, NOT_FOUND)


def test_credentials_update_and_destroy(world):
    created = create_credential(world, "before", "before-client-id")
    credentials = world.nylas.connectors.credentials
    assert credentials.update("google", created.id, {"name": "after"}).data.name == "after"
    assert credentials.destroy("google", created.id).request_id
    rejects_api(lambda: credentials.destroy("google", world.credentials["development"]), 400, INVALID)


def test_grants_list_and_find(world):
    grant = world.bring_your_own("listed@example.com", "development")
    listed = world.nylas.grants.list({"email": "listed@example.com", "grant_status": "valid"})
    assert [g.id for g in listed.data] == [grant.id]
    for locator in (grant.id, "listed@example.com", f"grant:{grant.id}"):
        assert world.nylas.grants.find(locator).data.id == grant.id


def test_grants_refuse_bad_input(world):
    grants = world.nylas.grants
    rejects_api(lambda: grants.list({"limit": "many"}), 400, "api.invalid_query_params", says="limit")
    rejects_api(lambda: grants.find(UNKNOWN_ID), 404, "grant.not_found")
    rejects_api(lambda: grants.update(UNKNOWN_ID, {"scope": ["x"]}), 404, "grant.not_found")
    rejects_api(lambda: grants.destroy(UNKNOWN_ID), 404, "grant.not_found")


def test_grants_update_and_destroy(world):
    grant = world.bring_your_own("updated@example.com", "development")
    assert world.nylas.grants.update(grant.id, {"scope": ["openid"]}).data.scope == ["openid"]
    assert world.nylas.grants.destroy(grant.id).request_id
    rejects_api(lambda: world.nylas.grants.find(grant.id), 404, "grant.not_found")


def test_applications_info_and_update(world):
    info = world.nylas.applications.info().data
    assert info.application_id == world.facts.application_id
    assert [c.url for c in info.callback_uris] == [world.facts.redirect_uri]
    updated = world.nylas.applications.update({"branding": {"name": "Python"}}).data
    assert updated.branding.name == "Python"
    rejects_api(lambda: world.nylas.applications.update({"branding": "no object"}), 400, INVALID)
    wrong = world.client_with_key("wrong")
    rejects_api(lambda: wrong.applications.info(), 401, "token.unauthorized_access")


def test_redirect_uris(world):
    uris = world.nylas.applications.redirect_uris
    created = uris.create({"url": "https://app.example.com/cb", "platform": "web"}).data
    assert uris.find(created.id).data.url == "https://app.example.com/cb"
    assert uris.update(created.id, {"url": "https://app.example.com/b", "platform": "web"}).data.url.endswith("/b")
    assert created.id in [u.id for u in uris.list().data]
    assert uris.destroy(created.id).request_id
    rejects_api(lambda: uris.create({"url": "http://app.example.com/cb", "platform": "web"}), 400)
    for call in (uris.find, uris.destroy, lambda i: uris.update(i, {"url": "https://a.example.com"})):
        rejects_api(lambda: call(UNKNOWN_ID), 404, NOT_FOUND)
