//! Answers to requests that are refused unread: there are too many of them.
//!
//! Made for floods: no line is logged, nothing is looked up, and no more is allocated than the answer takes.

use crate::envelope::JSON;
use crate::errors::{Failure, Shape};
use crate::layers::REQUEST_ID_HEADER;
use axum::body::Body;
use axum::response::IntoResponse as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response};
use keyway_core::ids::RequestId;
use keyway_engine::Error;
use url::Url;

/// Goes with an answer that says there was no room for the request's body: whoever serves it counts it.
#[derive(Clone, Copy, Debug)]
pub struct NoRoom;

/// The answer to a request under `path` that is refused with `error`, in the path's shape.
#[must_use]
pub fn refusal(
    error: Error,
    path: &str,
    request_id: RequestId,
    public_url: &Url,
) -> Response<Body> {
    let failure = Failure::from(error);
    let base = public_url.as_str().trim_end_matches('/');
    let body = failure.body(Shape::of(path), request_id, base);
    let mut response = failure.into_response();
    *response.body_mut() = Body::from(body);
    response.extensions_mut().clear();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(&request_id.to_string()) {
        headers.insert(REQUEST_ID_HEADER, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_engine::ErrorKind;

    #[test]
    fn a_refusal_is_as_well_guarded_as_any_answer() {
        let error = Error::new(ErrorKind::RateLimited, "Too many.").retry_after(1);
        let url = Url::parse("https://kw.example/").unwrap();
        let refusal = refusal(error, "/v3/grants", RequestId::from_u128(7), &url);
        assert_eq!(refusal.status(), 429);
        for (name, value) in [
            ("cache-control", "no-store"),
            ("content-type", "application/json"),
            ("retry-after", "1"),
            ("vary", "Origin"),
            ("x-content-type-options", "nosniff"),
            ("x-request-id", "00000000-0000-0000-0000-000000000007"),
        ] {
            assert_eq!(refusal.headers()[name], value);
        }
    }

    #[tokio::test]
    async fn an_oauth_path_gets_the_shape_its_clients_read() {
        let error = Error::new(ErrorKind::Unavailable, "Too many.").retry_after(1);
        let url = Url::parse("https://kw.example/").unwrap();
        let refusal = refusal(error, "/v3/connect/token", RequestId::from_u128(7), &url);
        assert_eq!(refusal.status(), 503);
        let body = axum::body::to_bytes(refusal.into_body(), 4096).await;
        let body: serde_json::Value = serde_json::from_slice(&body.unwrap()).unwrap();
        assert_eq!(body["error"], "temporarily_unavailable");
        assert_eq!(
            body["error_uri"],
            "https://kw.example/errors#temporarily_unavailable"
        );
    }
}
