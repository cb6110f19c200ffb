//! The authorization code flow, its checks and its refusals.

use crate::peer::{ALICE, CALLBACK, ISSUER, Peer, authorize_url, claims, param};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use keyway_sandbox::{ClientConfig, Dialect, Pkce, ScriptedUser, Signing};
use serde_json::Value;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn with_pkce(client_id: &str) -> String {
    let pkce = [
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    authorize_url(client_id, &pkce)
}

async fn redeem_with(peer: &Peer, code: &str, verifier: Option<&str>) -> StatusCode {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("client_id", "dev-app"),
        ("client_secret", "dev-app-secret"),
        ("code", code),
        ("redirect_uri", CALLBACK),
    ];
    fields.extend(verifier.map(|verifier| ("code_verifier", verifier)));
    peer.form("/token", &fields).await.status
}

#[tokio::test]
async fn the_redirect_carries_code_state_and_issuer() {
    let peer = Peer::plain();
    let user = ScriptedUser::allowing_all(ALICE);
    let location = peer
        .control
        .sign_in(&authorize_url("dev-app", &[]), &user)
        .unwrap();
    assert!(location.starts_with(CALLBACK));
    assert_eq!(param(&location, "state").as_deref(), Some("st"));
    assert_eq!(param(&location, "iss").as_deref(), Some(ISSUER));
}

#[tokio::test]
async fn the_id_token_verifies_with_the_published_keys_and_says_who_signed_in() {
    let peer = Peer::with(|config| config.signing = Signing::Rs256);
    let url = authorize_url("dev-app", &[("nonce", "n-1")]);
    let answer = peer.redeem("dev-app", &peer.code_from(&url, ALICE)).await;
    let keys: JwkSet = serde_json::from_value(peer.get("/jwks").await.json()).unwrap();
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_audience(&["dev-app"]);
    rules.set_issuer(&[ISSUER]);
    let key = DecodingKey::from_jwk(&keys.keys[0]).unwrap();
    let token = answer.str("id_token");
    let claims = jsonwebtoken::decode::<Value>(&token, &key, &rules)
        .unwrap()
        .claims;
    assert_eq!(claims["email"], ALICE);
    assert_eq!(claims["email_verified"], true);
    assert_eq!(claims["nonce"], "n-1");
    assert!(claims["oid"].is_string() && claims["tid"].is_string());
    let me = peer.get_as(&answer.str("access_token"), "/me").await.json();
    assert_eq!(me["sub"], claims["sub"]);
}

#[tokio::test]
async fn the_discovery_document_names_the_endpoints() {
    let document = Peer::plain()
        .get("/.well-known/openid-configuration")
        .await
        .json();
    assert_eq!(document["issuer"], ISSUER);
    assert_eq!(document["token_endpoint"], format!("{ISSUER}/token"));
    assert_eq!(
        document["authorization_response_iss_parameter_supported"],
        true
    );
}

#[tokio::test]
async fn a_code_with_a_challenge_needs_its_verifier() {
    let peer = Peer::plain();
    let code = peer.code_from(&with_pkce("dev-app"), ALICE);
    assert_eq!(
        redeem_with(&peer, &code, None).await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        redeem_with(&peer, &code, Some("wrong")).await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        redeem_with(&peer, &code, Some(VERIFIER)).await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_plain_challenge_is_compared_as_it_is() {
    let peer = Peer::plain();
    let url = authorize_url("dev-app", &[("code_challenge", VERIFIER)]);
    let code = peer.code_from(&url, ALICE);
    assert_eq!(
        redeem_with(&peer, &code, Some(VERIFIER)).await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_verifier_without_a_challenge_before_is_refused() {
    let peer = Peer::plain();
    let code = peer.code("dev-app", ALICE);
    assert_eq!(
        redeem_with(&peer, &code, Some(VERIFIER)).await,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn where_pkce_is_required_a_request_without_it_goes_back_with_an_error() {
    let peer = Peer::with(|config| config.pkce = Pkce::Required);
    let user = ScriptedUser::allowing_all(ALICE);
    let location = peer
        .control
        .sign_in(&authorize_url("dev-app", &[]), &user)
        .unwrap();
    assert_eq!(
        param(&location, "error").as_deref(),
        Some("invalid_request")
    );
    assert_eq!(param(&location, "state").as_deref(), Some("st"));
}

#[tokio::test]
async fn a_replayed_code_ends_the_tokens_it_gave() {
    let peer = Peer::plain();
    let code = peer.code("dev-app", ALICE);
    let tokens = peer.redeem("dev-app", &code).await;
    let (access, refresh) = (tokens.str("access_token"), tokens.str("refresh_token"));
    assert!(peer.control.is_alive(&access) && peer.control.is_alive(&refresh));
    let replay = peer.redeem("dev-app", &code).await;
    assert_eq!(
        (replay.status, replay.str("error").as_str()),
        (StatusCode::BAD_REQUEST, "invalid_grant")
    );
    assert!(!peer.control.is_alive(&access) && !peer.control.is_alive(&refresh));
    assert_eq!(
        peer.get_as(&access, "/me").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_code_expires_and_belongs_to_one_client() {
    let peer = Peer::plain();
    let code = peer.code("dev-app", ALICE);
    assert_eq!(
        peer.redeem("staging-app", &code).await.str("error"),
        "invalid_grant"
    );
    peer.clock.advance_ms(300_001);
    assert_eq!(
        peer.redeem("dev-app", &code).await.str("error"),
        "invalid_grant"
    );
}

#[tokio::test]
async fn unknown_clients_and_unregistered_addresses_get_a_page_and_no_redirect() {
    let peer = Peer::plain();
    let wrong_address = authorize_url("dev-app", &[]).replace("callback", "elsewhere");
    for url in [authorize_url("nobody", &[]), wrong_address] {
        let answer = peer.get(&url).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.text().contains("not a real account"));
        assert!(
            peer.control
                .sign_in(&url, &ScriptedUser::allowing_all(ALICE))
                .is_err()
        );
    }
}

#[tokio::test]
async fn a_response_type_other_than_code_goes_back_with_an_error() {
    let peer = Peer::plain();
    let url = authorize_url("dev-app", &[]).replace("response_type=code", "response_type=token");
    let answer = peer.get(&url).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(
        param(&answer.location(), "error").as_deref(),
        Some("unsupported_response_type")
    );
}

#[tokio::test]
async fn a_declining_user_goes_back_with_access_denied() {
    let peer = Peer::plain();
    let url = authorize_url("dev-app", &[]);
    let location = peer
        .control
        .sign_in(&url, &ScriptedUser::declining(ALICE))
        .unwrap();
    assert_eq!(param(&location, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn unticked_scopes_are_missing_from_the_answer() {
    let peer = Peer::plain();
    let user = ScriptedUser::allowing_only(ALICE, &["mail.read"]);
    let location = peer
        .control
        .sign_in(&authorize_url("dev-app", &[]), &user)
        .unwrap();
    let answer = peer
        .redeem("dev-app", &param(&location, "code").unwrap())
        .await;
    assert_eq!(answer.str("scope"), "openid email profile mail.read");
}

#[tokio::test]
async fn granted_scopes_are_included_when_asked_for() {
    let peer = Peer::plain();
    peer.tokens("dev-app", ALICE).await;
    let more = [
        ("scope", "openid calendar"),
        ("include_granted_scopes", "true"),
    ];
    let code = peer.code_from(&authorize_url("dev-app", &more), ALICE);
    let scope = peer.redeem("dev-app", &code).await.str("scope");
    assert!(
        scope.contains("calendar") && scope.contains("mail.send"),
        "{scope}"
    );
}

#[tokio::test]
async fn a_wrong_secret_is_invalid_client_in_the_body_and_in_the_header() {
    let peer = Peer::plain();
    let code = peer.code("dev-app", ALICE);
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
    ];
    let posted = [
        fields[0],
        fields[1],
        ("client_id", "dev-app"),
        ("client_secret", "no"),
    ];
    let answer = peer.form("/token", &posted).await;
    assert_eq!(
        (answer.status, answer.str("error").as_str()),
        (StatusCode::UNAUTHORIZED, "invalid_client")
    );
    let mut headers = HeaderMap::new();
    let basic = format!("Basic {}", STANDARD.encode("dev-app:no"));
    headers.insert(AUTHORIZATION, basic.parse().unwrap());
    let answer = peer.form_with("/token", &fields, &headers).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.headers.contains_key(WWW_AUTHENTICATE));
}

#[tokio::test]
async fn basic_authentication_works_and_using_both_ways_is_refused() {
    let peer = Peer::plain();
    let mut headers = HeaderMap::new();
    let basic = format!("Basic {}", STANDARD.encode("dev-app:dev-app-secret"));
    headers.insert(AUTHORIZATION, basic.parse().unwrap());
    let code = peer.code("dev-app", ALICE);
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
    ];
    let both = [
        fields[0],
        fields[1],
        fields[2],
        ("client_secret", "dev-app-secret"),
    ];
    let refused = peer.form_with("/token", &both, &headers).await;
    assert_eq!(refused.str("error"), "invalid_request");
    assert_eq!(
        peer.form_with("/token", &fields, &headers).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_public_client_needs_a_code_challenge() {
    let peer = Peer::plain();
    let public = ClientConfig {
        client_secret: None,
        ..ClientConfig::new("spa", "", &[CALLBACK])
    };
    peer.control.put_client(public);
    for (url, verifier, expected) in [
        (authorize_url("spa", &[]), None, StatusCode::BAD_REQUEST),
        (
            with_pkce("spa"),
            Some(("code_verifier", VERIFIER)),
            StatusCode::OK,
        ),
    ] {
        let code = peer.code_from(&url, ALICE);
        let mut fields = vec![("grant_type", "authorization_code"), ("client_id", "spa")];
        fields.extend([("code", code.as_str()), ("redirect_uri", CALLBACK)]);
        fields.extend(verifier);
        assert_eq!(peer.form("/token", &fields).await.status, expected);
    }
}

#[tokio::test]
async fn a_repeated_parameter_and_a_json_body_are_invalid_requests() {
    let peer = Peer::plain();
    let fields = [
        ("grant_type", "refresh_token"),
        ("grant_type", "refresh_token"),
    ];
    assert_eq!(
        peer.form("/token", &fields).await.str("error"),
        "invalid_request"
    );
    let json = serde_json::json!({"grant_type": "refresh_token"});
    assert_eq!(
        peer.json("POST", "/token", &json).await.str("error"),
        "invalid_request"
    );
    let fields = [("grant_type", "password"), ("client_id", "dev-app")];
    assert_eq!(
        peer.form("/token", &fields).await.str("error"),
        "unsupported_grant_type"
    );
}

#[tokio::test]
async fn the_subject_is_the_same_for_every_client_but_not_at_microsoft() {
    for (dialect, is_same) in [
        (Dialect::Plain, true),
        (Dialect::Google, true),
        (Dialect::Microsoft, false),
    ] {
        let peer = Peer::with(|config| config.dialect = dialect);
        let dev = claims(&peer.tokens("dev-app", ALICE).await.str("id_token"));
        let staging = claims(&peer.tokens("staging-app", ALICE).await.str("id_token"));
        assert_eq!(dev["sub"] == staging["sub"], is_same, "{dialect:?}");
        assert_eq!(dev["oid"], staging["oid"]);
        assert_eq!(dev["sub"], peer.control.subject(ALICE, "dev-app"));
    }
}

#[tokio::test]
async fn at_google_a_refresh_token_comes_offline_and_only_where_consent_was_asked() {
    let peer = Peer::with(|config| config.dialect = Dialect::Google);
    let online = peer.tokens("dev-app", ALICE).await;
    assert_eq!(online.str("refresh_token"), "");
    let url = authorize_url(
        "dev-app",
        &[("access_type", "offline"), ("prompt", "consent")],
    );
    let offline = peer.redeem("dev-app", &peer.code_from(&url, ALICE)).await;
    assert_ne!(offline.str("refresh_token"), "");
}

#[tokio::test]
async fn at_microsoft_the_issuer_has_the_tenant_and_errors_have_codes() {
    let peer = Peer::with(|config| config.dialect = Dialect::Microsoft);
    let scope = [("scope", "openid email offline_access Mail.Read")];
    let code = peer.code_from(&authorize_url("dev-app", &scope), ALICE);
    let answer = peer.redeem("dev-app", &code).await;
    assert_eq!(answer.str("scope"), "openid email Mail.Read");
    assert_ne!(answer.str("refresh_token"), "");
    let claims = claims(&answer.str("id_token"));
    assert_eq!(
        claims["iss"],
        format!("{ISSUER}/{}/v2.0", claims["tid"].as_str().unwrap())
    );
    let replay = peer.redeem("dev-app", &code).await;
    assert!(replay.str("error_description").starts_with("AADSTS54005: "));
    assert_eq!(replay.json()["error_codes"][0], 54_005);
}
