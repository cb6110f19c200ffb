//! The pages, walked through as a browser without scripts would.

use crate::peer::{ALICE, Answer, Peer, authorize_url, param};
use axum::body::Body;
use http::header::{CONTENT_SECURITY_POLICY, COOKIE, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use serde_json::json;

fn cookie_of(answer: &Answer) -> HeaderMap {
    let set = answer.headers[SET_COOKIE].to_str().unwrap();
    assert!(
        set.contains("HttpOnly") && set.contains("SameSite=Lax"),
        "{set}"
    );
    HeaderMap::from_iter([(COOKIE, set.split(';').next().unwrap().parse().unwrap())])
}

fn query_of(url: &str) -> String {
    url.split_once('?').unwrap().1.to_owned()
}

async fn get_with(peer: &Peer, url: &str, cookie: &HeaderMap) -> Answer {
    let mut request = Request::get(url).body(Body::empty()).unwrap();
    request.headers_mut().extend(cookie.clone());
    peer.send(request).await
}

async fn signed_in(peer: &Peer, url: &str) -> (Answer, HeaderMap) {
    let fields = [("request", query_of(url)), ("email", ALICE.to_owned())];
    let fields = fields
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let answer = peer.form("/auth/sign-in", &fields).await;
    let cookie = cookie_of(&answer);
    (answer, cookie)
}

#[tokio::test]
async fn a_sign_in_by_plain_forms_ends_with_a_code() {
    let peer = Peer::plain();
    let url = authorize_url("dev-app", &[("login_hint", "hint@example.com")]);
    let page = peer.get(&url).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("value=\"hint@example.com\""));
    assert!(page.text().contains("value=\"bob@example.com\""));
    let (page, cookie) = signed_in(&peer, &url).await;
    assert!(page.text().contains("value=\"mail.read\" checked"));
    let request = query_of(&url);
    let fields = [
        ("request", request.as_str()),
        ("scope", "mail.read"),
        ("decision", "accept"),
    ];
    let answer = peer.form_with("/auth/consent", &fields, &cookie).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let tokens = peer
        .redeem("dev-app", &param(&answer.location(), "code").unwrap())
        .await;
    assert_eq!(tokens.str("scope"), "openid email profile mail.read");
}

#[tokio::test]
async fn with_a_session_a_second_client_needs_consent_only_and_then_nothing() {
    let peer = Peer::plain();
    let (_, cookie) = signed_in(&peer, &authorize_url("dev-app", &[])).await;
    let url = authorize_url("staging-app", &[]);
    let page = get_with(&peer, &url, &cookie).await;
    assert!(page.text().contains("Allow access?"));
    peer.code("staging-app", ALICE);
    let answer = get_with(&peer, &url, &cookie).await;
    assert!(param(&answer.location(), "code").is_some());
    let again = authorize_url("staging-app", &[("prompt", "consent")]);
    assert_eq!(
        get_with(&peer, &again, &cookie).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn prompts_are_honoured() {
    let peer = Peer::plain();
    let silent = authorize_url("dev-app", &[("prompt", "none")]);
    let answer = peer.get(&silent).await;
    assert_eq!(
        param(&answer.location(), "error").as_deref(),
        Some("login_required")
    );
    let (_, cookie) = signed_in(&peer, &authorize_url("dev-app", &[])).await;
    let answer = get_with(&peer, &silent, &cookie).await;
    assert_eq!(
        param(&answer.location(), "error").as_deref(),
        Some("consent_required")
    );
    for prompt in ["login", "select_account"] {
        let url = authorize_url("dev-app", &[("prompt", prompt)]);
        assert!(
            get_with(&peer, &url, &cookie)
                .await
                .text()
                .contains("id=\"sign-in\"")
        );
    }
    let other = authorize_url("dev-app", &[("login_hint", "bob@example.com")]);
    assert!(
        get_with(&peer, &other, &cookie)
            .await
            .text()
            .contains("id=\"sign-in\"")
    );
}

#[tokio::test]
async fn cancelling_and_declining_go_back_with_access_denied() {
    let peer = Peer::plain();
    let url = authorize_url("dev-app", &[]);
    let (_, cookie) = signed_in(&peer, &url).await;
    let request = query_of(&url);
    let fields = [("request", request.as_str()), ("decision", "deny")];
    for path in ["/auth/sign-in", "/auth/consent"] {
        let answer = peer.form_with(path, &fields, &cookie).await;
        assert_eq!(
            param(&answer.location(), "error").as_deref(),
            Some("access_denied")
        );
    }
}

#[tokio::test]
async fn consent_without_a_session_and_a_bad_address_lead_back_to_the_sign_in_page() {
    let peer = Peer::plain();
    let request = query_of(&authorize_url("dev-app", &[]));
    let consent = [("request", request.as_str()), ("decision", "accept")];
    let sign_in = [("request", request.as_str()), ("email", "not an address")];
    for (path, fields) in [("/auth/consent", consent), ("/auth/sign-in", sign_in)] {
        let answer = peer.form(path, &fields).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.text().contains("role=\"alert\""));
    }
}

#[tokio::test]
async fn the_administrators_page_goes_back_with_the_tenant() {
    let peer = Peer::plain();
    let query = query_of(&authorize_url("dev-app", &[]));
    for path in [
        "/adminconsent",
        "/v2.0/adminconsent",
        "/common/adminconsent",
    ] {
        let page = peer.get(&format!("{path}?{query}")).await;
        assert!(page.text().contains("id=\"accept\""), "{path}");
    }
    let fields = [("request", query.as_str()), ("decision", "accept")];
    let answer = peer.form("/adminconsent", &fields).await;
    assert_eq!(
        param(&answer.location(), "admin_consent").as_deref(),
        Some("True")
    );
    assert_eq!(param(&answer.location(), "state").as_deref(), Some("st"));
}

#[tokio::test]
async fn every_answer_is_labelled_and_every_page_says_so_and_runs_no_script() {
    let peer = Peer::plain();
    for path in [
        "/",
        "/auth",
        "/jwks",
        "/token",
        "/sandbox/state",
        "/nowhere",
        "/api/me",
    ] {
        assert_eq!(
            peer.get(path).await.headers["x-keyway-sandbox"],
            "1",
            "{path}"
        );
    }
    for path in [
        "/".to_owned(),
        "/auth".to_owned(),
        authorize_url("dev-app", &[]),
    ] {
        let page = peer.get(&path).await;
        assert!(page.text().contains("not a real account"), "{path}");
        assert!(!page.text().contains("<script"));
        let policy = page.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"));
    }
}

#[tokio::test]
async fn what_a_request_carries_is_escaped_on_the_page() {
    let peer = Peer::plain();
    let url = authorize_url("dev-app", &[("login_hint", "\"><b>@x")]);
    assert!(!peer.get(&url).await.text().contains("<b>"));
    let unregistered = url.replace("callback", "%3Cb%3E");
    assert!(!peer.get(&unregistered).await.text().contains("<b>"));
}

#[tokio::test]
async fn a_script_signs_in_with_one_call() {
    let peer = Peer::plain();
    let body = json!({"authorize_url": authorize_url("dev-app", &[]), "email": ALICE});
    let location = peer
        .json("POST", "/sandbox/sign-in", &body)
        .await
        .str("location");
    assert!(param(&location, "code").is_some());
    let body =
        json!({"authorize_url": authorize_url("dev-app", &[]), "email": ALICE, "deny": true});
    let location = peer
        .json("POST", "/sandbox/sign-in", &body)
        .await
        .str("location");
    assert_eq!(param(&location, "error").as_deref(), Some("access_denied"));
    let body = json!({"authorize_url": authorize_url("nobody", &[]), "email": ALICE});
    assert_eq!(
        peer.json("POST", "/sandbox/sign-in", &body).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn clients_and_users_are_registered_while_it_runs() {
    let peer = Peer::plain();
    let client = json!({"client_secret": "mine-secret", "redirect_uris": [crate::peer::CALLBACK]});
    let answer = peer.json("PUT", "/sandbox/clients/mine", &client).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let user = json!({"sub": "another-person", "email_verified": false});
    peer.json("PUT", "/sandbox/users/alice@example.com", &user)
        .await;
    let answer = peer.tokens("mine", ALICE).await;
    let me = peer.get_as(&answer.str("access_token"), "/me").await.json();
    assert_eq!(
        (me["sub"].as_str(), me["email_verified"].as_bool()),
        (Some("another-person"), Some(false))
    );
    let body = json!({"client_id": "mine", "email": ALICE, "scopes": ["openid"]});
    let token = peer
        .json("POST", "/sandbox/refresh-tokens", &body)
        .await
        .str("refresh_token");
    assert_eq!(peer.refresh("mine", &token).await.status, StatusCode::OK);
    let ended = Request::delete("/sandbox/users/alice@example.com/tokens").body(Body::empty());
    assert_eq!(
        peer.send(ended.unwrap()).await.status,
        StatusCode::NO_CONTENT
    );
    assert!(!peer.control.is_alive(&token));
    let account = json!({"client_email": "robot@example.net"});
    let file = peer
        .json("POST", "/sandbox/service-accounts", &account)
        .await;
    assert_eq!(file.str("type"), "service_account");
}
