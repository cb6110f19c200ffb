//! The one layer around every request: its id, its deadline, a guard against panics, and what every
//! answer must carry.
//!
//! It also writes the body of every failure, since only here are request id, path and shape known
//! together, and logs one line for each: status, type, method, route template and request id. Paths hold
//! addresses and queries hold codes, so neither is logged.

use crate::app::App;
use crate::context::Context;
use crate::envelope::JSON;
use crate::errors::{Failure, Shape};
use crate::shed::NoRoom;
use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use keyway_core::ids::RequestId;
use keyway_engine::error::ErrorKind;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// The header that repeats a body's `request_id`.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Pages run no script, load styles and pictures of ours alone, send forms to us alone, and sit in no frame.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What is kept of a request to finish its answer.
struct Seen {
    context: Context,
    shape: Shape,
    method: Method,
    route: String,
}

impl Seen {
    fn of(request: &Request, request_id: RequestId) -> Self {
        let matched = request.extensions().get::<MatchedPath>();
        Self {
            context: Context::new(request_id),
            shape: Shape::of(request.uri().path()),
            method: request.method().clone(),
            route: matched.map_or("(unknown)", MatchedPath::as_str).to_owned(),
        }
    }
}

/// The future panicked.
struct Panicked;

/// Runs a future, and survives its panic.
async fn guarded<T>(future: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut future = pin!(future);
    poll_fn(move |cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

/// Runs the rest of the stack within `deadline`; whatever happens, there is an answer.
async fn answered(inner: impl Future<Output = Response>, deadline: Duration) -> Response {
    match tokio::time::timeout(deadline, guarded(inner)).await {
        Ok(Ok(response)) => response,
        Ok(Err(Panicked)) => Failure::internal("the handler panicked").into_response(),
        Err(_) => Failure::new(
            ErrorKind::Unavailable,
            format!("The request took longer than {} s.", deadline.as_secs()),
        )
        .into_response(),
    }
}

/// The layer itself.
pub(crate) async fn edge(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let seen = Seen::of(&request, app.engine.request_id());
    request.extensions_mut().insert(seen.context.clone());
    let has_body = !request.body().is_end_stream() && request.version() < Version::HTTP_2;
    let response = answered(next.run(request), app.options.deadline).await;
    let mut response = finished(response, &seen, app.options.base());
    if has_body && !seen.context.has_read_the_body() {
        // HTTP/1.1 has no other way past a body nobody read than to end the connection. Unless the answer
        // says so, a client that keeps connections sends its next request into one that is closed.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// An answer as it leaves: failures written out, headers complete.
fn finished(mut response: Response, seen: &Seen, base_url: &str) -> Response {
    let request_id = seen.context.request_id;
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        log(&failure, seen);
        if failure.is_shed() {
            response.extensions_mut().insert(NoRoom);
        }
        *response.body_mut() = Body::from(failure.body(seen.shape, request_id, base_url));
        let json = HeaderValue::from_static(JSON);
        response.headers_mut().insert(CONTENT_TYPE, json);
    } else if response.status().as_u16() >= 400 {
        log_status(response.status().as_u16(), seen);
    }
    let is_redirect = response.status().is_redirection();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&request_id.to_string()) {
        headers.insert(REQUEST_ID_HEADER, value);
    }
    secure(headers, is_redirect);
    response
}

/// Headers that keep answers out of caches, frames, guesses about their type, and referrers.
fn secure(headers: &mut HeaderMap, is_redirect: bool) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let is_page = headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if is_page || is_redirect {
        let policy = HeaderValue::from_static("no-referrer");
        headers.insert(REFERRER_POLICY, policy);
    }
    if is_page {
        let policy = HeaderValue::from_static(PAGE_POLICY);
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
}

/// One line for a failure: loud if it is ours, with its cause; quiet if it is the caller's.
fn log(failure: &Failure, seen: &Seen) {
    let status = failure.status().as_u16();
    let error = failure.word(seen.shape);
    let (method, route) = (seen.method.as_str(), seen.route.as_str());
    let request_id = seen.context.request_id;
    if failure.is_alarming() {
        let cause = failure.cause().unwrap_or("none given");
        tracing::error!(%request_id, status, error, method, route, cause, "request failed");
    } else {
        tracing::info!(%request_id, status, error, method, route, "request refused");
    }
}

/// One line for a failure told on a page, or by a probe.
fn log_status(status: u16, seen: &Seen) {
    let (method, route) = (seen.method.as_str(), seen.route.as_str());
    let request_id = seen.context.request_id;
    tracing::info!(%request_id, status, method, route, "request answered with a failing status");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::task::{Context as TaskContext, Waker};

    /// Polls a future that needs no runtime.
    fn now<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut TaskContext::from_waker(Waker::noop()))
    }

    fn seen(shape: Shape) -> Seen {
        Seen {
            context: Context::new(RequestId::from_u128(7)),
            shape,
            method: Method::GET,
            route: "/x".to_owned(),
        }
    }

    #[test]
    fn a_panic_in_a_handler_is_caught() {
        let survived = now(guarded(async { panic!("on purpose") }));
        assert!(matches!(survived, Poll::Ready(Err::<(), _>(Panicked))));
        assert!(matches!(now(guarded(pending::<()>())), Poll::Pending));
    }

    #[test]
    fn a_failure_leaves_as_json_with_its_id_in_body_and_header() {
        let failure = Failure::unauthorized().into_response();
        let response = finished(failure, &seen(Shape::Api), "http://kw");
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(
            response.headers()[REQUEST_ID_HEADER],
            "00000000-0000-0000-0000-000000000007"
        );
        let Poll::Ready(body) = now(axum::body::to_bytes(response.into_body(), 4096)) else {
            panic!("the body is at hand");
        };
        let text = String::from_utf8(body.unwrap().to_vec()).unwrap();
        assert_eq!(
            text,
            r#"{"request_id":"00000000-0000-0000-0000-000000000007","error":{"type":"token.unauthorized_access","message":"Bearer token invalid"}}"#
        );
    }

    #[test]
    fn pages_and_redirects_tell_nobody_where_they_came_from() {
        let mut page = HeaderMap::new();
        page.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        secure(&mut page, false);
        assert_eq!(page[REFERRER_POLICY], "no-referrer");
        assert_eq!(page[CONTENT_SECURITY_POLICY], PAGE_POLICY);
        let mut redirect = HeaderMap::new();
        secure(&mut redirect, true);
        assert_eq!(redirect[REFERRER_POLICY], "no-referrer");
        assert_eq!(redirect[X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}
