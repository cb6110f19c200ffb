"""Every method of `auth` of the official Python SDK, each with a success and a refusal."""

from urllib.parse import parse_qs, urlparse

from rejections import rejects_api, rejects_oauth

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


def refresh(world, token):
    return world.nylas.auth.refresh_access_token({
        "client_id": world.facts.application_id,
        "redirect_uri": world.facts.redirect_uri,
        "refresh_token": token,
    })


def test_url_for_oauth2_leads_back_with_code_and_state(world):
    url = world.nylas.auth.url_for_oauth2(world.auth_config(state="s t", include_grant_scopes=True))
    answer = world.sign_in(url, "url@example.com")
    assert answer["code"] and answer["state"] == "s t"


def test_url_for_oauth2_denied_by_the_user_answers_a_complete_error(world):
    url = world.nylas.auth.url_for_oauth2(world.auth_config(state="no"))
    answer = world.sign_in(url, "no@example.com", deny=True)
    assert answer["error"] == "access_denied" and answer["error_description"]
    assert int(answer["error_code"]) and answer["state"] == "no"


def test_url_for_oauth2_takes_the_named_credential(world):
    tokens = world.hosted("named@example.com", credential_id=world.credentials["staging"])
    assert world.nylas.grants.find(tokens.grant_id).data.credential_id == world.credentials["staging"]


def test_url_for_oauth2_pkce_is_exchanged_with_the_verifier(world):
    auth = world.nylas.auth.url_for_oauth2_pkce(world.auth_config())
    code = world.sign_in(auth.url, "pkce@example.com")["code"]
    assert world.exchange(code, code_verifier=auth.secret).email == "pkce@example.com"


def test_url_for_oauth2_pkce_with_another_verifier_is_refused(world):
    auth = world.nylas.auth.url_for_oauth2_pkce(world.auth_config())
    code = world.sign_in(auth.url, "pkce-wrong@example.com")["code"]
    rejects_oauth(lambda: world.exchange(code, code_verifier="another verifier"), "invalid_grant", 45004)


def test_url_for_admin_consent_names_the_credential(world):
    url = world.nylas.auth.url_for_admin_consent({
        "client_id": world.facts.application_id,
        "redirect_uri": world.facts.redirect_uri,
        "credential_id": world.credentials["staging"],
        "state": "s",
    })
    query = parse_qs(urlparse(url).query)
    assert query["response_type"] == ["adminconsent"]
    assert query["credential_id"] == [world.credentials["staging"]]


def test_exchange_code_for_token_answers_the_token_object(world):
    tokens = world.hosted("exchange@example.com")
    assert tokens.email == "exchange@example.com" and tokens.provider == "google"
    assert tokens.expires_in == 3600 and tokens.token_type == "Bearer"
    assert isinstance(tokens.scope, str) and tokens.refresh_token
    assert tokens.id_token.count(".") == 2
    scope = world.nylas.grants.find(tokens.grant_id).data.scope
    assert isinstance(scope, list) and set(scope) == set(tokens.scope.split(" "))


def test_exchange_code_for_token_works_once_and_a_replay_ends_its_tokens(world):
    url = world.nylas.auth.url_for_oauth2(world.auth_config())
    code = world.sign_in(url, "replay@example.com")["code"]
    tokens = world.exchange(code)
    rejects_oauth(lambda: world.exchange(code), "invalid_grant")
    rejects_oauth(lambda: world.nylas.auth.validate_access_token(tokens.access_token), "invalid_token")


def test_refresh_access_token_keeps_the_grant(world):
    tokens = world.hosted("refresh@example.com")
    refreshed = refresh(world, tokens.refresh_token)
    assert refreshed.grant_id == tokens.grant_id
    assert refreshed.access_token != tokens.access_token


def test_refresh_access_token_of_nobody_is_invalid_grant(world):
    rejects_oauth(lambda: refresh(world, "no-refresh-token-of-this-server"), "invalid_grant")


def test_custom_authentication_uses_the_named_credential(world):
    grant = world.bring_your_own("byo@example.com", "staging", credential_id=world.credentials["staging"])
    assert world.last_status("POST", "/v3/connect/custom") == 201
    assert grant.credential_id == world.credentials["staging"]
    assert grant.email == "byo@example.com" and grant.grant_status == "valid"


def test_custom_authentication_takes_the_default_without_a_name(world):
    grant = world.bring_your_own("byo-default@example.com", "development")
    assert grant.credential_id == world.credentials["development"]


def test_custom_authentication_with_a_refused_token_passes_on_the_providers_word(world):
    error = rejects_api(lambda: world.nylas.auth.custom_authentication({
        "provider": "google", "settings": {"refresh_token": "nobody-issued-this-token"},
    }), 400, "grant.invalid_authentication")
    assert error.provider_error["error"] == "invalid_grant"


def test_custom_authentication_with_an_unknown_credential_is_refused(world):
    rejects_api(lambda: world.bring_your_own("x@example.com", "staging", credential_id=UNKNOWN_ID), 400,
                "api.invalid_request_error", says="credential")


def test_revoke_ends_the_token(world):
    tokens = world.hosted("revoke@example.com")
    assert world.nylas.auth.revoke(tokens.access_token) is True
    rejects_oauth(lambda: world.nylas.auth.validate_access_token(tokens.access_token), "invalid_token")


def test_revoke_of_an_unknown_token_is_invalid_token(world):
    rejects_oauth(lambda: world.nylas.auth.revoke("no-token-of-this-server"), "invalid_token")


def test_id_token_info_and_validate_access_token_tell_the_grant(world):
    tokens = world.hosted("info@example.com")
    for info in (
        world.nylas.auth.id_token_info(tokens.id_token),
        world.nylas.auth.validate_access_token(tokens.access_token),
    ):
        assert info.data.sub == tokens.grant_id and info.data.email == "info@example.com"
        assert info.data.iss and info.data.exp > info.data.iat


def test_id_token_info_refuses_what_is_no_token(world):
    rejects_oauth(lambda: world.nylas.auth.id_token_info("a.b.c"), "invalid_token")


def test_detect_provider_knows_a_mailbox_of_the_connector(world):
    found = world.nylas.auth.detect_provider({"email": "someone@gmail.com", "all_provider_types": True}).data
    assert found.detected and found.provider == "google" and found.email_address == "someone@gmail.com"
    wrong = world.client_with_key("wrong")
    rejects_api(lambda: wrong.auth.detect_provider({"email": "a@gmail.com"}), 401, "token.unauthorized_access")
