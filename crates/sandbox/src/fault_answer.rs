//! Carrying a fault out: the answer that a struck request gets.

use crate::faults::{Asked, BodyKind, Endpoint, Fault, Lie, When};
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The lies to tell in the answer to a request, handed to its handler.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lies(Vec<Lie>);

impl Lies {
    pub(crate) fn of(fault: Option<&Fault>) -> Self {
        Self(fault.map(|fault| fault.lies.clone()).unwrap_or_default())
    }

    pub(crate) fn has(&self, lie: Lie) -> bool {
        self.0.contains(&lie)
    }
}

/// The layer of one endpoint: looks up its fault and answers through it.
pub(crate) async fn layer(
    State((provider, endpoint)): State<(Arc<Provider>, Endpoint)>,
    mut request: Request,
    next: Next,
) -> Response {
    let fault = provider.strike(endpoint, Asked::default());
    request.extensions_mut().insert(Lies::of(fault.as_ref()));
    answer(&provider, fault, next.run(request)).await
}

/// The answer of `act`, or what `fault` makes of it.
pub(crate) async fn answer(
    provider: &Provider,
    fault: Option<Fault>,
    act: impl Future<Output = Response>,
) -> Response {
    let Some(fault) = fault else { return act.await };
    if !fault.replaces_answer() {
        return paused(&fault, act).await;
    }
    let acts = fault.when == When::After || fault.body == Some(BodyKind::WrongContentType);
    let acted = if acts { Some(act.await) } else { None };
    pause(&fault).await;
    fault.replacement(provider, acted)
}

/// The true answer, with the pause before or after it is acted upon.
async fn paused(fault: &Fault, act: impl Future<Output = Response>) -> Response {
    if fault.when == When::Before {
        pause(fault).await;
        return act.await;
    }
    let answer = act.await;
    pause(fault).await;
    answer
}

async fn pause(fault: &Fault) {
    if fault.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
    }
}

impl Fault {
    fn replaces_answer(&self) -> bool {
        let answers = self.status.is_some() || self.body.is_some() || self.error.is_some();
        answers || self.drop_connection
    }

    fn replacement(&self, provider: &Provider, acted: Option<Response>) -> Response {
        if self.drop_connection {
            return dropped_connection();
        }
        let mut response = match (&self.error, self.body) {
            (_, Some(BodyKind::WrongContentType)) => acted.unwrap_or_default(),
            (_, Some(kind)) => with_body(kind),
            (Some(error), None) => OAuthError::chosen(error).response(provider),
            (None, None) => Response::default(),
        };
        if self.body == Some(BodyKind::WrongContentType) {
            set(&mut response, "text/plain");
        }
        self.put_status_on(&mut response);
        response
    }

    fn put_status_on(&self, response: &mut Response) {
        if let Some(status) = self.status.and_then(|code| StatusCode::from_u16(code).ok()) {
            *response.status_mut() = status;
        }
        if let Some(seconds) = self.retry_after_s {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}

fn set(response: &mut Response, content_type: &'static str) {
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
}

fn with_body(kind: BodyKind) -> Response {
    const GARBAGE: &[u8] = &[
        0x00, 0xff, 0xfe, 0x1f, 0x8b, 0x08, 0xc3, 0x28, 0x7b, 0xa0, 0xa1,
    ];
    const PAGE: &str = "<!doctype html><title>Error</title><h1>502 Bad Gateway</h1>";
    match kind {
        BodyKind::Garbage => called_json(Body::from(GARBAGE)),
        BodyKind::Html => axum::response::Html(PAGE).into_response(),
        BodyKind::Empty | BodyKind::WrongContentType => called_json(Body::empty()),
        BodyKind::EmptyObject => called_json(Body::from("{}")),
        BodyKind::BrokenJson => called_json(Body::from(r#"{"access_token": "half"#)),
        BodyKind::Huge => called_json(huge_body()),
        BodyKind::CutOff => called_json(cut_off_body()),
    }
}

fn called_json(body: Body) -> Response {
    let mut response = Response::new(body);
    set(&mut response, "application/json");
    response
}

fn huge_body() -> Body {
    let letters = Bytes::from(vec![b'a'; 1 << 20]);
    let opening = stream::iter([Bytes::from_static(br#"{"access_token": ""#)]);
    let filling = stream::iter(std::iter::repeat_n(letters, 64));
    let closing = stream::iter([Bytes::from_static(br#""}"#)]);
    Body::from_stream(
        opening
            .chain(filling)
            .chain(closing)
            .map(Ok::<_, io::Error>),
    )
}

fn cut_off_body() -> Body {
    let half = stream::iter([Ok(Bytes::from_static(br#"{"access_token": "ha"#))]);
    // The pause lets the server send the half before it sees the error.
    let end = stream::once(async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    Body::from_stream(half.chain(end))
}

/// A body that fails before its first byte: the server closes the connection without having sent
/// even the status line.
fn dropped_connection() -> Response {
    let error = Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionAborted));
    Response::new(Body::from_stream(stream::iter([error])))
}
