//! Refreshing: rotation, reuse, other clients' tokens, scopes, a client's own tokens.

use crate::peer::{ALICE, Peer, authorize_url};
use http::StatusCode;
use keyway_sandbox::{Decision, Dialect, Rotation};

fn rotating(rotation: Rotation) -> Peer {
    Peer::with(|config| config.rotation = rotation)
}

#[tokio::test]
async fn without_rotation_the_refresh_token_stays_and_no_other_comes() {
    let peer = Peer::plain();
    let token = peer.tokens("dev-app", ALICE).await.str("refresh_token");
    for _ in 0..2 {
        let answer = peer.refresh("dev-app", &token).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.json().get("refresh_token").is_none());
    }
    assert_eq!(
        peer.control.counters().token_requests_of("refresh_token"),
        2
    );
}

#[tokio::test]
async fn with_rotation_the_old_token_is_dead_and_the_new_one_lives_on() {
    let peer = rotating(Rotation::On);
    let first = peer.tokens("dev-app", ALICE).await.str("refresh_token");
    let second = peer.refresh("dev-app", &first).await.str("refresh_token");
    let reuse = peer.refresh("dev-app", &first).await;
    assert_eq!(
        (reuse.status, reuse.str("error").as_str()),
        (StatusCode::BAD_REQUEST, "invalid_grant")
    );
    assert_eq!(
        peer.refresh("dev-app", &second).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn the_old_token_works_on_where_it_is_configured_so() {
    let peer = rotating(Rotation::OnOldStillWorks);
    let first = peer.tokens("dev-app", ALICE).await.str("refresh_token");
    assert_ne!(
        peer.refresh("dev-app", &first).await.str("refresh_token"),
        ""
    );
    assert_eq!(peer.refresh("dev-app", &first).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_reused_refresh_token_ends_everything_from_its_sign_in() {
    let peer = rotating(Rotation::OnWithReuseDetection);
    let first = peer.tokens("dev-app", ALICE).await.str("refresh_token");
    let bystander = peer.tokens("dev-app", ALICE).await.str("refresh_token");
    let refreshed = peer.refresh("dev-app", &first).await;
    assert_eq!(
        peer.refresh("dev-app", &first).await.str("error"),
        "invalid_grant"
    );
    assert!(!peer.control.is_alive(&refreshed.str("refresh_token")));
    assert!(!peer.control.is_alive(&refreshed.str("access_token")));
    assert!(peer.control.is_alive(&bystander));
}

#[tokio::test]
async fn another_clients_refresh_token_is_unauthorized_client_and_is_not_used_up() {
    let peer = rotating(Rotation::On);
    let token = peer.tokens("dev-app", ALICE).await.str("refresh_token");
    let answer = peer.refresh("staging-app", &token).await;
    assert_eq!(
        (answer.status, answer.str("error").as_str()),
        (StatusCode::UNAUTHORIZED, "unauthorized_client")
    );
    assert!(peer.control.is_alive(&token));
    let microsoft = Peer::with(|config| config.dialect = Dialect::Microsoft);
    let token = microsoft
        .control
        .mint_refresh_token("dev-app", ALICE, &["openid"]);
    assert_eq!(
        microsoft.refresh("staging-app", &token).await.str("error"),
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_refresh_may_narrow_the_scope_and_not_widen_it() {
    let peer = Peer::plain();
    let token = peer
        .control
        .mint_refresh_token("dev-app", ALICE, &["openid", "mail.read"]);
    let fields = |scope| {
        [
            ("grant_type", "refresh_token"),
            ("client_id", "dev-app"),
            ("client_secret", "dev-app-secret"),
            ("refresh_token", token.as_str()),
            ("scope", scope),
        ]
    };
    let narrow = peer.form("/token", &fields("mail.read")).await;
    assert_eq!(narrow.str("scope"), "mail.read");
    assert_eq!(narrow.str("id_token"), "");
    assert_eq!(
        peer.form("/token", &fields("mail.send")).await.str("error"),
        "invalid_scope"
    );
}

#[tokio::test]
async fn a_minted_refresh_token_works_for_its_client_and_names_its_user() {
    let peer = Peer::plain();
    let token = peer
        .control
        .mint_refresh_token("dev-app", "new@example.org", &["openid", "email"]);
    let access = peer.refresh("dev-app", &token).await.str("access_token");
    let me = peer.get_as(&access, "/me").await.json();
    assert_eq!(me["email"], "new@example.org");
    assert!(me.get("name").is_none());
}

#[tokio::test]
async fn an_access_token_expires_with_the_clock() {
    let peer = Peer::plain();
    let access = peer.tokens("dev-app", ALICE).await.str("access_token");
    assert_eq!(peer.get_as(&access, "/api/me").await.status, StatusCode::OK);
    peer.clock.advance_ms(3_600_000);
    assert_eq!(
        peer.get_as(&access, "/api/me").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn at_microsoft_a_clients_own_token_needs_an_administrators_consent() {
    let peer = Peer::with(|config| config.dialect = Dialect::Microsoft);
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", "dev-app"),
        ("client_secret", "dev-app-secret"),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    assert_eq!(
        peer.form("/common/oauth2/v2.0/token", &fields)
            .await
            .str("error"),
        "unauthorized_client"
    );
    let url = authorize_url("dev-app", &[]);
    let declined = peer
        .control
        .admin_consent(&url, &Decision::Decline)
        .unwrap();
    assert!(declined.contains("error=access_denied") && declined.contains("state=st"));
    let accepted = peer
        .control
        .admin_consent(&url, &Decision::AllowAll)
        .unwrap();
    assert!(accepted.contains("admin_consent=True") && accepted.contains("tenant="));
    let answer = peer.form("/token", &fields).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.json().get("refresh_token").is_none());
}

#[tokio::test]
async fn past_their_cap_the_oldest_tokens_are_forgotten() {
    let peer = Peer::with(|config| config.max_live_entries = 3);
    let tokens: Vec<_> = (0..5)
        .map(|_| {
            peer.control
                .mint_refresh_token("dev-app", ALICE, &["openid"])
        })
        .collect();
    assert!(!peer.control.is_alive(&tokens[1]));
    assert!(peer.control.is_alive(&tokens[4]));
    assert_eq!(peer.control.tokens_alive()["dev-app"].refresh_tokens, 3);
}
