//! A sandbox with the plumbing to send it requests.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use keyway_core::entropy::SeededEntropy;
use keyway_core::time::{ManualClock, UnixMillis};
use keyway_sandbox::{Control, Sandbox, SandboxConfig, ScriptedUser, Signing};
use serde_json::Value;
use std::sync::Arc;
use tower::ServiceExt as _;
use url::Url;

pub(crate) const ISSUER: &str = "http://127.0.0.1:9000";
pub(crate) const CALLBACK: &str = "http://127.0.0.1:8080/v3/connect/callback";
pub(crate) const ALICE: &str = "alice@example.com";
pub(crate) const SCOPES: &str = "openid email profile mail.read mail.send";

pub(crate) struct Peer {
    pub(crate) sandbox: Sandbox,
    pub(crate) control: Control,
    pub(crate) clock: Arc<ManualClock>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn location(&self) -> String {
        self.headers[LOCATION].to_str().unwrap().to_owned()
    }

    pub(crate) fn str(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_default().to_owned()
    }
}

impl Peer {
    pub(crate) fn plain() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut SandboxConfig)) -> Self {
        let mut config = SandboxConfig::demo(Url::parse(ISSUER).unwrap());
        config.signing = Signing::Es256;
        change(&mut config);
        let clock = Arc::new(ManualClock::at(UnixMillis::from_secs(1_800_000_000)));
        let entropy = Arc::new(SeededEntropy::new(7));
        let sandbox = Sandbox::new(config, clock.clone(), entropy).unwrap();
        Self {
            control: sandbox.control(),
            sandbox,
            clock,
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (head, body) = self
            .sandbox
            .router()
            .oneshot(request)
            .await
            .unwrap()
            .into_parts();
        let body = body
            .collect()
            .await
            .map(|body| body.to_bytes().to_vec())
            .unwrap_or_default();
        Answer {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.send(Request::get(uri).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn get_as(&self, token: &str, uri: &str) -> Answer {
        let request = Request::get(uri).header(AUTHORIZATION, format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn form(&self, uri: &str, fields: &[(&str, &str)]) -> Answer {
        self.form_with(uri, fields, &HeaderMap::new()).await
    }

    pub(crate) async fn form_with(
        &self,
        uri: &str,
        fields: &[(&str, &str)],
        headers: &HeaderMap,
    ) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let mut request = Request::post(uri)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap();
        request.headers_mut().extend(headers.clone());
        self.send(request).await
    }

    pub(crate) async fn json(&self, method: &str, uri: &str, body: &Value) -> Answer {
        let request = Request::builder().method(method).uri(uri);
        let request = request.header(CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    /// The parameters of the redirect that a scripted sign-in ends in.
    pub(crate) fn code(&self, client_id: &str, email: &str) -> String {
        self.code_from(&authorize_url(client_id, &[]), email)
    }

    pub(crate) fn code_from(&self, url: &str, email: &str) -> String {
        let location = self
            .control
            .sign_in(url, &ScriptedUser::allowing_all(email))
            .unwrap();
        param(&location, "code").unwrap()
    }

    pub(crate) async fn redeem(&self, client_id: &str, code: &str) -> Answer {
        let secret = format!("{client_id}-secret");
        self.form(
            "/token",
            &[
                ("grant_type", "authorization_code"),
                ("client_id", client_id),
                ("client_secret", &secret),
                ("code", code),
                ("redirect_uri", CALLBACK),
            ],
        )
        .await
    }

    pub(crate) async fn refresh(&self, client_id: &str, refresh_token: &str) -> Answer {
        let secret = format!("{client_id}-secret");
        self.form(
            "/token",
            &[
                ("grant_type", "refresh_token"),
                ("client_id", client_id),
                ("client_secret", &secret),
                ("refresh_token", refresh_token),
            ],
        )
        .await
    }

    /// A whole sign-in: the token endpoint's answer.
    pub(crate) async fn tokens(&self, client_id: &str, email: &str) -> Answer {
        let answer = self.redeem(client_id, &self.code(client_id, email)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer
    }
}

/// An authorization URL with further parameters.
pub(crate) fn authorize_url(client_id: &str, more: &[(&str, &str)]) -> String {
    let mut url = Url::parse(ISSUER).unwrap().join("/auth").unwrap();
    url.query_pairs_mut()
        .append_pair("client_id", client_id)
        .append_pair("redirect_uri", CALLBACK)
        .append_pair("response_type", "code")
        .append_pair("state", "st")
        .extend_pairs(more);
    if !more.iter().any(|(name, _)| *name == "scope") {
        url.query_pairs_mut().append_pair("scope", SCOPES);
    }
    url.to_string()
}

pub(crate) fn param(location: &str, name: &str) -> Option<String> {
    let url = Url::parse(location).unwrap();
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// The claims of a JWT, unverified.
pub(crate) fn claims(jwt: &str) -> Value {
    let payload = jwt.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
