//! Calls on behalf of a grant, as HTTP: what is read from a request, which headers cross, and how a
//! refusal of Keyway's own is told from an answer of the provider's.
//!
//! The call itself is made by whoever accepts connections (bodies are streamed and connections belong to
//! threads); nothing in this crate can reach a provider.

mod headers;
mod request;

pub use headers::{answer_headers, call_headers, wants_websocket};
pub use request::{CallRequest, UPSTREAM_HOST_HEADER};

use crate::envelope::JSON;
use crate::errors::{Failure, Shape};
use crate::layers::REQUEST_ID_HEADER;
use axum::body::Body;
use axum::response::IntoResponse as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Response};
use keyway_core::ids::RequestId;
use keyway_engine::{Error, ErrorKind};

/// Whose answer it is: `provider` or `keyway`.
pub const ANSWER_HEADER: HeaderName = HeaderName::from_static("x-keyway-answer");
/// How long the provider took to begin its answer, in milliseconds.
pub const UPSTREAM_MS_HEADER: HeaderName = HeaderName::from_static("x-keyway-upstream-ms");

/// Keyway's own answer in place of the provider's: the documented error, with its request id.
#[must_use]
pub fn refusal(error: Error, request_id: RequestId) -> Response<Body> {
    tell(Failure::from(error), request_id)
}

/// The same under a status that the transport calls for.
#[must_use]
pub fn refusal_with_status(status: u16, message: &str, request_id: RequestId) -> Response<Body> {
    let failure = Failure::with_status(status, ErrorKind::InvalidRequest, message);
    tell(failure, request_id)
}

fn tell(failure: Failure, request_id: RequestId) -> Response<Body> {
    log(&failure, request_id);
    let body = failure.body(Shape::Api, request_id, "");
    let mut response = failure.into_response();
    *response.body_mut() = Body::from(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(ANSWER_HEADER, HeaderValue::from_static("keyway"));
    if let Ok(id) = HeaderValue::from_str(&request_id.to_string()) {
        headers.insert(REQUEST_ID_HEADER, id);
    }
    response
}

/// One line for a call that brought no answer of the provider's: loud if the fault is ours.
fn log(failure: &Failure, request_id: RequestId) {
    let (status, error) = (failure.status().as_u16(), failure.word(Shape::Api));
    if failure.is_alarming() {
        let cause = failure.cause().unwrap_or("none given");
        tracing::error!(%request_id, status, error, cause, "a call on behalf of a grant failed here");
    } else {
        tracing::info!(%request_id, status, error, "a call on behalf of a grant was not made");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_that_it_is_keyway_s() {
        let error = Error::new(
            ErrorKind::ProviderUnavailable,
            "Provider request timed out.",
        );
        let response = refusal(error, RequestId::from_u128(7));
        assert_eq!(response.status(), 504);
        assert_eq!(response.headers()[ANSWER_HEADER], "keyway");
        assert_eq!(
            response.headers()[REQUEST_ID_HEADER],
            "00000000-0000-0000-0000-000000000007"
        );
    }
}
