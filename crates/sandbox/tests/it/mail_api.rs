//! The mail-like API and the echo.

use crate::peer::{ALICE, Peer};
use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Request, StatusCode};
use serde_json::{Value, json};

async fn access_token(peer: &Peer, email: &str, scopes: &[&str]) -> String {
    let refresh_token = peer.control.mint_refresh_token("dev-app", email, scopes);
    peer.refresh("dev-app", &refresh_token)
        .await
        .str("access_token")
}

async fn post(peer: &Peer, token: &str, body: &Value) -> crate::peer::Answer {
    let request = Request::post("/api/messages")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header(CONTENT_TYPE, "application/json");
    peer.send(request.body(Body::from(body.to_string())).unwrap())
        .await
}

#[tokio::test]
async fn a_call_without_a_good_token_is_asked_for_one() {
    let peer = Peer::plain();
    let none = peer.get("/api/me").await;
    assert_eq!(none.status, StatusCode::UNAUTHORIZED);
    let bad = peer.get_as("sbx-at-nonsense", "/api/me").await;
    let challenge = bad.headers[WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.contains("invalid_token"), "{challenge}");
}

#[tokio::test]
async fn mail_is_read_and_sent_with_the_scope_for_it() {
    let peer = Peer::plain();
    let reader = access_token(&peer, ALICE, &["mail.read"]).await;
    let sender = access_token(&peer, ALICE, &["mail.send"]).await;
    let draft = json!({"to": ["bob@example.com"], "subject": "Hello", "body": "There"});
    let refused = post(&peer, &reader, &draft).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(
        refused.headers[WWW_AUTHENTICATE]
            .to_str()
            .unwrap()
            .contains("scope=\"mail.send\"")
    );
    assert_eq!(
        peer.get_as(&sender, "/api/messages").await.status,
        StatusCode::FORBIDDEN
    );
    let sent = post(&peer, &sender, &draft).await;
    assert_eq!(sent.status, StatusCode::CREATED);
    let id = sent.json()["data"]["id"].as_str().unwrap().to_owned();
    let read = peer
        .get_as(&reader, &format!("/api/messages/{id}"))
        .await
        .json();
    assert_eq!(
        (
            read["data"]["subject"].as_str(),
            read["data"]["from"].as_str()
        ),
        (Some("Hello"), Some(ALICE))
    );
    assert_eq!(
        peer.get_as(&reader, "/api/messages/none").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_mailbox_is_its_users_whichever_client_asks() {
    let peer = Peer::plain();
    let (dev, staging) = (
        peer.tokens("dev-app", ALICE).await,
        peer.tokens("staging-app", ALICE).await,
    );
    post(
        &peer,
        &dev.str("access_token"),
        &json!({"to": ["x@example.com"]}),
    )
    .await;
    let seen = peer
        .get_as(&staging.str("access_token"), "/api/messages")
        .await
        .json();
    assert_eq!(seen["data"].as_array().unwrap().len(), 3);
    let bob = access_token(&peer, "bob@example.com", &["mail.read"]).await;
    assert_eq!(
        peer.get_as(&bob, "/api/messages").await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn an_undeliverable_draft_is_refused() {
    let peer = Peer::plain();
    let sender = access_token(&peer, ALICE, &["mail.send"]).await;
    for draft in [json!({"to": []}), json!({"to": ["nobody"]}), json!("text")] {
        assert_eq!(
            post(&peer, &sender, &draft).await.status,
            StatusCode::BAD_REQUEST
        );
    }
}

#[tokio::test]
async fn the_echo_tells_the_request_and_hides_the_token() {
    let peer = Peer::plain();
    let token = access_token(&peer, ALICE, &["openid"]).await;
    let request = Request::put("/api/echo/a/b?x=1&x=2")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header("x-two", "1")
        .header("x-two", "2");
    let answer = peer.send(request.body(Body::from("hi")).unwrap()).await;
    assert!(!answer.text().contains(&token));
    let told = answer.json();
    assert_eq!(told["method"], "PUT");
    assert_eq!(
        (told["path"].as_str(), told["query"].as_str()),
        (Some("/api/echo/a/b"), Some("x=1&x=2"))
    );
    assert_eq!(told["headers"]["x-two"], json!(["1", "2"]));
    assert_eq!(
        told["headers"]["authorization"],
        json!([format!("dev-app {ALICE}")])
    );
    assert_eq!(
        (told["body"].as_str(), told["client_id"].as_str()),
        (Some("hi"), Some("dev-app"))
    );
}
