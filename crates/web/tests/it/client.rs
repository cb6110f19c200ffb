//! Requests to a router, and what it answers.

use axum::Router;
use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use keyway_core::service_account::{RequestProof, SignedRequest};
use keyway_core::time::UnixMillis;
use keyway_testkit::{TestServiceAccount, World};
use keyway_web::{WebOptions, router};
use serde_json::Value;
use tower::ServiceExt as _;

/// Sends requests to the router of a world's engine.
pub(crate) struct Client(Router);

/// One request.
pub(crate) struct Asked {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<(&'static str, String)>,
}

/// One answer.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

pub(crate) fn ask(method: Method, path: impl Into<String>) -> Asked {
    Asked {
        method,
        path: path.into(),
        headers: Vec::new(),
        body: None,
    }
}

pub(crate) fn get(path: impl Into<String>) -> Asked {
    ask(Method::GET, path)
}

pub(crate) fn post(path: impl Into<String>) -> Asked {
    ask(Method::POST, path)
}

impl Asked {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn bearer(self, value: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {value}"))
    }

    /// Signed by a service account, as of `now`, over what is asked so far.
    pub(crate) fn signed(self, account: &TestServiceAccount, now: UnixMillis) -> Self {
        let proof = account.proof(self.covered(), now);
        self.proved(&proof)
    }

    /// What a signature covers.
    pub(crate) fn covered(&self) -> SignedRequest<'_> {
        SignedRequest {
            method: self.method.as_str(),
            path: self.path.split('?').next().unwrap(),
            body: self.body.as_ref().map_or("", |(_, body)| body.as_str()),
        }
    }

    /// With the headers of a proof.
    pub(crate) fn proved(self, proof: &RequestProof) -> Self {
        let kid = proof.account_id.map(|id| id.to_string());
        self.header("x-nylas-kid", kid.as_deref().unwrap_or("unknown"))
            .header("x-nylas-timestamp", &proof.timestamp.to_string())
            .header("x-nylas-nonce", &proof.nonce)
            .header("x-nylas-signature", &proof.signature)
    }

    /// A JSON body as it is written.
    pub(crate) fn text(mut self, body: &str) -> Self {
        self.body = Some(("application/json", body.to_owned()));
        self
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = Some(("application/json", body.to_string()));
        self
    }

    pub(crate) fn form(mut self, body: &str) -> Self {
        self.body = Some(("application/x-www-form-urlencoded", body.to_owned()));
        self
    }
}

impl Client {
    pub(crate) fn of(world: &World) -> Self {
        let options = WebOptions::new(world.engine.public_url().clone());
        Self(router(world.engine.clone(), options))
    }

    pub(crate) async fn send(&self, asked: Asked) -> Answered {
        let mut request = Request::builder().method(asked.method).uri(&asked.path);
        for (name, value) in asked.headers {
            request = request.header(name, value);
        }
        let body = match asked.body {
            None => Body::empty(),
            Some((content_type, body)) => {
                request = request.header(CONTENT_TYPE, content_type);
                Body::from(body)
            }
        };
        let request = request.body(body).unwrap();
        let response = self.0.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answered {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn error_type(&self) -> String {
        self.json()["error"]["type"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
