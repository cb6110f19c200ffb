//! Service accounts: assertions instead of sign-ins.

use crate::peer::{ALICE, Answer, ISSUER, Peer};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

const ACCOUNT: &str = "robot@keyway-sandbox.example.net";
const NOW: i64 = 1_800_000_000;

fn key_of(file: &str) -> EncodingKey {
    let file: Value = serde_json::from_str(file).unwrap();
    EncodingKey::from_rsa_pem(file["private_key"].as_str().unwrap().as_bytes()).unwrap()
}

fn claims(change: &Value) -> Value {
    let mut claims = json!({
        "iss": ACCOUNT, "sub": ALICE, "scope": "mail.read", "aud": format!("{ISSUER}/token"),
        "iat": NOW, "exp": NOW + 3600,
    });
    claims
        .as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    claims
}

async fn present(peer: &Peer, key: &EncodingKey, claims: &Value) -> Answer {
    let assertion = jsonwebtoken::encode(&Header::new(Algorithm::RS256), claims, key).unwrap();
    let grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    peer.form(
        "/token",
        &[("grant_type", grant_type), ("assertion", &assertion)],
    )
    .await
}

#[tokio::test]
async fn an_assertion_gives_a_token_of_the_user_it_names() {
    let peer = Peer::plain();
    let key = key_of(
        &peer
            .control
            .create_service_account(ACCOUNT, &["mail.read"])
            .unwrap(),
    );
    let answer = present(&peer, &key, &claims(&json!({}))).await;
    assert_eq!(answer.str("refresh_token"), "");
    let me = peer
        .get_as(&answer.str("access_token"), "/api/me")
        .await
        .json();
    assert_eq!(me["email"], ALICE);
    let for_google = claims(&json!({"aud": "https://oauth2.googleapis.com/token"}));
    assert_ne!(
        present(&peer, &key, &for_google).await.str("access_token"),
        ""
    );
}

#[tokio::test]
async fn what_is_wrong_with_an_assertion_has_googles_name() {
    let peer = Peer::plain();
    let key = key_of(
        &peer
            .control
            .create_service_account(ACCOUNT, &["mail.read"])
            .unwrap(),
    );
    let cases = [
        (json!({"scope": "mail.send"}), "unauthorized_client"),
        (json!({"scope": ""}), "invalid_scope"),
        (json!({"aud": "https://elsewhere.example"}), "invalid_grant"),
        (json!({"exp": NOW + 7200}), "invalid_grant"),
        (
            json!({"iat": NOW - 7200, "exp": NOW - 3600}),
            "invalid_grant",
        ),
        (json!({"sub": "nobody"}), "invalid_grant"),
        (json!({"iss": "another@example.net"}), "invalid_grant"),
    ];
    for (change, error) in cases {
        let answer = present(&peer, &key, &claims(&change)).await;
        assert_eq!(answer.str("error"), error, "{change}");
    }
}

#[tokio::test]
async fn another_key_does_not_sign_for_the_account() {
    let peer = Peer::plain();
    let old = key_of(&peer.control.create_service_account(ACCOUNT, &[]).unwrap());
    peer.control.create_service_account(ACCOUNT, &[]).unwrap();
    let answer = present(&peer, &old, &claims(&json!({}))).await;
    assert_eq!(answer.str("error_description"), "Invalid JWT Signature.");
}
