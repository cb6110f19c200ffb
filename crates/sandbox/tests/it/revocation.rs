//! Revocation and introspection.

use crate::peer::{ALICE, Answer, Peer};
use http::StatusCode;
use keyway_sandbox::RevocationReach;

async fn revoke(peer: &Peer, token: &str) -> StatusCode {
    peer.form("/token/revocation", &[("token", token)])
        .await
        .status
}

fn in_one_project(reach: RevocationReach) -> Peer {
    Peer::with(|config| {
        config.revocation = reach;
        for client in config.clients.iter_mut().take(2) {
            client.project = "shared".to_owned();
        }
    })
}

#[tokio::test]
async fn googles_revocation_reaches_the_users_tokens_of_the_whole_project() {
    let peer = in_one_project(RevocationReach::WholeProject);
    let dev = peer.tokens("dev-app", ALICE).await.str("refresh_token");
    let same_project = peer.tokens("staging-app", ALICE).await.str("refresh_token");
    let other_project = peer
        .tokens("production-app", ALICE)
        .await
        .str("refresh_token");
    let other_user = peer
        .tokens("staging-app", "bob@example.com")
        .await
        .str("refresh_token");
    assert_eq!(revoke(&peer, &dev).await, StatusCode::OK);
    assert!(!peer.control.is_alive(&dev) && !peer.control.is_alive(&same_project));
    assert!(peer.control.is_alive(&other_project) && peer.control.is_alive(&other_user));
}

#[tokio::test]
async fn a_narrow_revocation_reaches_one_sign_in() {
    let peer = in_one_project(RevocationReach::SameSignIn);
    let tokens = peer.tokens("dev-app", ALICE).await;
    let other = peer.tokens("staging-app", ALICE).await.str("refresh_token");
    assert_eq!(
        revoke(&peer, &tokens.str("access_token")).await,
        StatusCode::OK
    );
    assert!(!peer.control.is_alive(&tokens.str("refresh_token")));
    assert!(peer.control.is_alive(&other));
}

#[tokio::test]
async fn revocations_are_listed_with_the_user_they_concerned() {
    let peer = Peer::plain();
    let token = peer.tokens("dev-app", ALICE).await.str("refresh_token");
    assert_eq!(revoke(&peer, &token).await, StatusCode::OK);
    assert_eq!(revoke(&peer, "never-given").await, StatusCode::OK);
    let seen: Vec<_> = peer
        .control
        .revocations()
        .into_iter()
        .map(|seen| seen.email)
        .collect();
    assert_eq!(seen, [Some(ALICE.to_owned()), None]);
}

#[tokio::test]
async fn another_client_cannot_revoke_a_token() {
    let peer = Peer::plain();
    let token = peer.tokens("dev-app", ALICE).await.str("refresh_token");
    let fields = [
        ("token", token.as_str()),
        ("client_id", "staging-app"),
        ("client_secret", "staging-app-secret"),
    ];
    assert_eq!(
        peer.form("/token/revocation", &fields).await.status,
        StatusCode::BAD_REQUEST
    );
    assert!(peer.control.is_alive(&token));
}

#[tokio::test]
async fn a_user_can_end_everything() {
    let peer = Peer::plain();
    let dev = peer.tokens("dev-app", ALICE).await.str("refresh_token");
    let staging = peer.tokens("staging-app", ALICE).await.str("access_token");
    peer.control.revoke_all(ALICE);
    assert!(!peer.control.is_alive(&dev) && !peer.control.is_alive(&staging));
    assert!(peer.control.tokens_alive().is_empty());
}

async fn introspect(peer: &Peer, client_id: &str, token: &str) -> Answer {
    let secret = format!("{client_id}-secret");
    let fields = [
        ("token", token),
        ("client_id", client_id),
        ("client_secret", &secret),
    ];
    peer.form("/token/introspection", &fields).await
}

#[tokio::test]
async fn introspection_answers_the_tokens_own_client_only() {
    let peer = Peer::plain();
    let token = peer.tokens("dev-app", ALICE).await.str("access_token");
    let own = introspect(&peer, "dev-app", &token).await.json();
    assert_eq!(
        (own["active"].as_bool(), own["username"].as_str()),
        (Some(true), Some(ALICE))
    );
    assert_eq!(
        introspect(&peer, "staging-app", &token).await.json()["active"],
        false
    );
    let fields = [("token", token.as_str())];
    let anonymous = peer.form("/token/introspection", &fields).await;
    assert_eq!(anonymous.status, StatusCode::BAD_REQUEST);
}
