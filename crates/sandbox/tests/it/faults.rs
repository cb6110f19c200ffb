//! The faults, each in its effect on a client.

use crate::peer::{ALICE, ISSUER, Peer, authorize_url, claims, param};
use axum::body::Body;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use keyway_sandbox::{BodyKind, Fault, Faults, Lie, Rotation, ScriptedUser, When};
use serde_json::{Value, json};
use std::future::pending;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

fn at_token(fault: Fault) -> Faults {
    Faults {
        token: Some(fault),
        ..Faults::default()
    }
}

fn refresh_token(peer: &Peer) -> String {
    peer.control
        .mint_refresh_token("dev-app", ALICE, &["openid", "email"])
}

/// One request over a real connection: everything that came back before it closed.
async fn over_a_socket(peer: &Peer, request: &str) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let exchange = async {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is reset instead of closed has answered as little.
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    tokio::select! {
        answer = exchange => answer,
        served = peer.sandbox.serve(listener, pending()) => panic!("{served:?}"),
    }
}

fn raw_refresh(refresh_token: &str) -> String {
    let body = format!(
        "grant_type=refresh_token&client_id=dev-app&client_secret=dev-app-secret&refresh_token={refresh_token}"
    );
    format!(
        "POST /token HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn faults_are_switched_on_and_off_over_http() {
    let peer = Peer::plain();
    let faults = json!({"token": {"status": 503, "retry_after_s": 7, "next_n": 1}});
    assert_eq!(
        peer.json("PUT", "/sandbox/faults", &faults).await.status,
        StatusCode::OK
    );
    assert_eq!(
        peer.get("/sandbox/faults").await.json()["token"]["status"],
        503
    );
    let token = refresh_token(&peer);
    let answer = peer.refresh("dev-app", &token).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers[RETRY_AFTER], "7");
    assert_eq!(peer.refresh("dev-app", &token).await.status, StatusCode::OK);
    assert_eq!(peer.get("/sandbox/faults").await.json(), json!({}));
    let misspelt = json!({"token": {"stauts": 503}});
    assert_eq!(
        peer.json("PUT", "/sandbox/faults", &misspelt).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_chosen_error_strikes_only_the_client_and_grant_type_it_is_for() {
    let peer = Peer::plain();
    let fault = Fault::error("invalid_client", "The OAuth client was deleted.");
    peer.control.set_faults(at_token(
        fault.for_client("dev-app").for_grant_type("refresh_token"),
    ));
    let token = refresh_token(&peer);
    let struck = peer.refresh("dev-app", &token).await;
    assert_eq!(
        (struck.status, struck.str("error").as_str()),
        (StatusCode::UNAUTHORIZED, "invalid_client")
    );
    let other = peer
        .control
        .mint_refresh_token("staging-app", ALICE, &["openid"]);
    assert_eq!(
        peer.refresh("staging-app", &other).await.status,
        StatusCode::OK
    );
    peer.tokens("dev-app", ALICE).await;
}

#[tokio::test]
async fn a_delayed_answer_is_late_and_true() {
    let peer = Peer::plain();
    peer.control.set_faults(at_token(Fault::delay(60)));
    let token = refresh_token(&peer);
    let patient = peer.refresh("dev-app", &token);
    assert!(
        tokio::time::timeout(Duration::from_millis(10), patient)
            .await
            .is_err()
    );
    assert_eq!(peer.refresh("dev-app", &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn two_refreshes_at_once_with_one_token_are_counted() {
    let peer = Peer::plain();
    peer.control.set_faults(at_token(Fault::delay(30)));
    let token = refresh_token(&peer);
    tokio::join!(
        peer.refresh("dev-app", &token),
        peer.refresh("dev-app", &token)
    );
    peer.refresh("dev-app", &token).await;
    assert_eq!(peer.control.counters().overlapping_refreshes, 1);
}

#[tokio::test]
async fn unwanted_bodies_are_what_they_are_called() {
    let peer = Peer::plain();
    let token = refresh_token(&peer);
    for (kind, is_json) in [
        (BodyKind::Garbage, true),
        (BodyKind::Html, false),
        (BodyKind::Empty, true),
        (BodyKind::EmptyObject, true),
        (BodyKind::BrokenJson, true),
        (BodyKind::WrongContentType, false),
    ] {
        peer.control.set_faults(at_token(Fault {
            body: Some(kind),
            ..Fault::default()
        }));
        let answer = peer.refresh("dev-app", &token).await;
        assert_eq!(answer.status, StatusCode::OK);
        let content_type = answer.headers[CONTENT_TYPE].to_str().unwrap();
        assert_eq!(content_type == "application/json", is_json, "{kind:?}");
        assert_eq!(
            !answer.str("access_token").is_empty(),
            kind == BodyKind::WrongContentType
        );
    }
}

#[tokio::test]
async fn a_huge_body_goes_on_for_64_mebibytes() {
    let peer = Peer::plain();
    peer.control.set_faults(at_token(Fault {
        body: Some(BodyKind::Huge),
        ..Fault::default()
    }));
    assert!(
        peer.refresh("dev-app", &refresh_token(&peer))
            .await
            .body
            .len()
            > 64 << 20
    );
}

#[tokio::test]
async fn a_dropped_connection_answers_nothing_and_before_acting_changes_nothing() {
    let peer = Peer::with(|config| config.rotation = Rotation::On);
    peer.control
        .set_faults(at_token(Fault::drop_connection(When::Before).next(1)));
    let token = refresh_token(&peer);
    assert_eq!(over_a_socket(&peer, &raw_refresh(&token)).await, b"");
    assert!(peer.control.is_alive(&token));
    let answer = over_a_socket(&peer, &raw_refresh(&token)).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_connection_dropped_after_acting_leaves_the_token_rotated_but_never_answered() {
    let peer = Peer::with(|config| config.rotation = Rotation::On);
    peer.control
        .set_faults(at_token(Fault::drop_connection(When::After)));
    let token = refresh_token(&peer);
    assert_eq!(over_a_socket(&peer, &raw_refresh(&token)).await, b"");
    assert!(!peer.control.is_alive(&token));
    assert_eq!(peer.control.tokens_alive()["dev-app"].refresh_tokens, 1);
}

#[tokio::test]
async fn a_body_that_is_cut_off_has_begun() {
    let peer = Peer::plain();
    peer.control.set_faults(at_token(Fault {
        body: Some(BodyKind::CutOff),
        ..Fault::default()
    }));
    let answer = over_a_socket(&peer, &raw_refresh(&refresh_token(&peer))).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    assert!(!answer.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn an_error_after_acting_loses_the_answer_only() {
    let peer = Peer::with(|config| config.rotation = Rotation::On);
    let fault = Fault {
        when: When::After,
        ..Fault::status(502)
    };
    peer.control.set_faults(at_token(fault));
    let token = refresh_token(&peer);
    assert_eq!(
        peer.refresh("dev-app", &token).await.status,
        StatusCode::BAD_GATEWAY
    );
    assert!(!peer.control.is_alive(&token));
}

async fn told_with(lie: Lie) -> Value {
    let peer = Peer::plain();
    peer.control.set_faults(at_token(Fault::lie(lie)));
    let code = peer.code_from(&authorize_url("dev-app", &[("nonce", "n-1")]), ALICE);
    peer.redeem("dev-app", &code).await.json()
}

#[tokio::test]
async fn lies_leave_members_out_or_alter_them() {
    for (lie, member) in [
        (Lie::MissingExpiresIn, "expires_in"),
        (Lie::MissingAccessToken, "access_token"),
        (Lie::MissingRefreshToken, "refresh_token"),
        (Lie::MissingIdToken, "id_token"),
        (Lie::MissingScope, "scope"),
    ] {
        assert!(told_with(lie).await.get(member).is_none(), "{lie:?}");
    }
    assert!(
        told_with(Lie::AbsurdExpiresIn).await["expires_in"]
            .as_i64()
            .unwrap()
            > 1 << 40
    );
    assert_eq!(told_with(Lie::NegativeExpiresIn).await["expires_in"], -3600);
    assert_eq!(told_with(Lie::ExpiresInAsText).await["expires_in"], "3600");
    assert_eq!(
        told_with(Lie::OtherScope).await["scope"],
        "calendar.unasked"
    );
    assert_eq!(told_with(Lie::WrongTokenType).await["token_type"], "mac");
}

#[tokio::test]
async fn lies_about_identity_are_in_the_id_token() {
    let token = |answer: Value| answer["id_token"].as_str().unwrap().to_owned();
    let told = async |lie| claims(&token(told_with(lie).await));
    assert_ne!(told(Lie::WrongNonce).await["nonce"], "n-1");
    assert_ne!(told(Lie::WrongIssuer).await["iss"], ISSUER);
    assert_ne!(told(Lie::WrongAudience).await["aud"], "dev-app");
    assert_ne!(told(Lie::OtherUser).await["email"], ALICE);
    assert!(told(Lie::MissingEmail).await.get("email").is_none());
    assert!(told(Lie::ExpiredIdToken).await["exp"].as_i64().unwrap() < 1_800_000_000);
    let unsigned = token(told_with(Lie::UnsignedIdToken).await);
    assert!(unsigned.ends_with('.'));
}

#[tokio::test]
async fn lies_at_the_redirect_change_state_and_issuer() {
    let peer = Peer::plain();
    let lies = Fault {
        lies: vec![Lie::WrongState, Lie::WrongIssuer],
        ..Fault::default()
    };
    peer.control.set_faults(Faults {
        authorization: Some(lies),
        ..Faults::default()
    });
    let user = ScriptedUser::allowing_all(ALICE);
    let location = peer
        .control
        .sign_in(&authorize_url("dev-app", &[]), &user)
        .unwrap();
    assert_ne!(param(&location, "state").as_deref(), Some("st"));
    assert_ne!(param(&location, "iss").as_deref(), Some(ISSUER));
    let error = Fault::error("admin_policy_enforced", "an administrator said no");
    peer.control.set_faults(Faults {
        authorization: Some(error),
        ..Faults::default()
    });
    let location = peer
        .control
        .sign_in(&authorize_url("dev-app", &[]), &user)
        .unwrap();
    assert_eq!(
        param(&location, "error").as_deref(),
        Some("admin_policy_enforced")
    );
    assert_eq!(param(&location, "state").as_deref(), Some("st"));
}

#[tokio::test]
async fn every_endpoint_has_its_own_fault() {
    let peer = Peer::plain();
    let access = peer.tokens("dev-app", ALICE).await.str("access_token");
    let down = || Some(Fault::status(503));
    peer.control.set_faults(Faults {
        userinfo: down(),
        revocation: down(),
        jwks: down(),
        discovery: down(),
        api: down(),
        ..Faults::default()
    });
    let paths = [
        "/me",
        "/jwks",
        "/.well-known/openid-configuration",
        "/api/me",
        "/api/echo/x",
    ];
    for path in paths {
        let answer = peer.get_as(&access, path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.headers["x-keyway-sandbox"], "1");
    }
    let revoked = peer.form("/token/revocation", &[("token", &access)]).await;
    assert_eq!(revoked.status, StatusCode::SERVICE_UNAVAILABLE);
    peer.control.set_faults(Faults::default());
    assert_eq!(peer.get_as(&access, "/me").await.status, StatusCode::OK);
}

#[tokio::test]
async fn userinfo_and_keys_can_lie_too() {
    let peer = Peer::plain();
    let access = peer.tokens("dev-app", ALICE).await.str("access_token");
    let keys = peer.get("/jwks").await.json();
    peer.control.set_faults(Faults {
        userinfo: Some(Fault::lie(Lie::OtherUser)),
        jwks: Some(Fault::lie(Lie::OtherKeys)),
        ..Faults::default()
    });
    assert_ne!(peer.get_as(&access, "/me").await.json()["email"], ALICE);
    assert_ne!(peer.get("/jwks").await.json(), keys);
}

#[tokio::test]
async fn a_dropped_connection_is_a_failed_body_over_the_router() {
    let peer = Peer::plain();
    let fault = Fault::drop_connection(When::Before);
    peer.control.set_faults(Faults {
        api: Some(fault),
        ..Faults::default()
    });
    let request = Request::get("/api/me").body(Body::empty()).unwrap();
    let answer = peer.sandbox.router().oneshot(request).await.unwrap();
    assert!(answer.into_body().collect().await.is_err());
}
