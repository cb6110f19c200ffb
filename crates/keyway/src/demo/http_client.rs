//! A small HTTP client, for the demo's own servers on this machine.

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

const ANSWER_LIMIT_BYTES: usize = 1024 * 1024;

/// A client that follows no redirects and keeps no cookies.
#[derive(Clone)]
pub(super) struct HttpClient(Client<HttpConnector, Full<Bytes>>);

/// One request.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    /// An API key.
    pub(super) bearer: Option<&'a str>,
    pub(super) cookies: Option<String>,
    pub(super) body: Option<&'a Value>,
}

impl<'a> Call<'a> {
    pub(super) const fn new(method: Method, url: &'a str) -> Self {
        Self {
            method,
            url,
            bearer: None,
            cookies: None,
            body: None,
        }
    }
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The body, if it is JSON.
    pub(super) json: Value,
    headers: HeaderMap,
}

impl HttpClient {
    pub(super) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    pub(super) async fn send(&self, call: Call<'_>) -> anyhow::Result<Answer> {
        let mut request = http::Request::builder().method(call.method).uri(call.url);
        if let Some(key) = call.bearer {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        if let Some(cookies) = call.cookies {
            request = request.header(COOKIE, cookies);
        }
        let body = match call.body {
            Some(json) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(json.to_string())
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(body))?;
        let answer = self
            .0
            .request(request)
            .await
            .context("no answer over loopback")?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_LIMIT_BYTES).collect().await;
        let body = body
            .map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?
            .to_bytes();
        Ok(Answer {
            status: head.status,
            json: serde_json::from_slice(&body).unwrap_or_default(),
            headers: head.headers,
        })
    }
}

impl Answer {
    /// Where a redirect leads.
    pub(super) fn location(&self) -> anyhow::Result<&str> {
        let value = self
            .headers
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        value.with_context(|| format!("status {} and no redirect", self.status))
    }

    /// The cookies it sets, as `name=value`.
    pub(super) fn cookies(&self) -> Vec<String> {
        let lines = self
            .headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok());
        lines
            .filter_map(|line| line.split(';').next())
            .map(str::to_owned)
            .collect()
    }

    /// A text of the JSON body, by its pointer (RFC 6901).
    pub(super) fn text(&self, pointer: &str) -> anyhow::Result<String> {
        let text = self.json.pointer(pointer).and_then(Value::as_str);
        let text =
            text.with_context(|| format!("status {}, and no {pointer} in the answer", self.status));
        Ok(text?.to_owned())
    }
}
