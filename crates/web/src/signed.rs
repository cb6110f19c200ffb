//! Who signed a request: the four headers of a service account, over method, path and body as they came.

use crate::app::App;
use crate::errors::Failure;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use keyway_core::service_account::{
    RequestProof, SignedRequest, SigningError, SigningHeaders, covers_body,
};
use keyway_engine::error::ErrorKind;

/// The only value of a header, as text.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    match values.next() {
        Some(_) => None,
        None => first.to_str().ok(),
    }
}

fn signing_headers(headers: &HeaderMap) -> SigningHeaders<'_> {
    SigningHeaders {
        kid: only(headers, "x-nylas-kid"),
        timestamp: only(headers, "x-nylas-timestamp"),
        nonce: only(headers, "x-nylas-nonce"),
        signature: only(headers, "x-nylas-signature"),
    }
}

fn unproved(error: SigningError) -> Failure {
    Failure::new(ErrorKind::Unauthorized, error.to_string())
}

/// The request again, with whoever signed it. A request whose headers prove nothing is not read on.
async fn authenticate(app: &App, request: Request) -> Result<Request, Failure> {
    let (mut parts, body) = request.into_parts();
    let headers = signing_headers(&parts.headers);
    let proof = RequestProof::read(&headers, app.engine.now()).map_err(unproved)?;
    let bytes = match covers_body(parts.method.as_str()) {
        true => {
            app.bodies
                .strangers
                .whole(body, parts.extensions.get())
                .await?
        }
        false => Bytes::new(),
    };
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::payload("The body must be JSON in UTF-8."))?;
    let signed = SignedRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        body: text,
    };
    let caller = app.engine.service_caller(proof, signed).await?;
    parts.extensions.insert(caller);
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Lets only requests through that a service account signed.
pub(crate) async fn require_signature(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    match authenticate(&app, request).await {
        Ok(request) => next.run(request).await,
        Err(failure) => failure.for_signed().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_header_that_comes_twice_counts_as_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(signing_headers(&headers).kid, None);
        headers.append("X-Nylas-Kid", HeaderValue::from_static("a"));
        assert_eq!(signing_headers(&headers).kid, Some("a"));
        headers.append("x-nylas-kid", HeaderValue::from_static("a"));
        assert_eq!(signing_headers(&headers).kid, None);
        headers.insert("x-nylas-nonce", HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(signing_headers(&headers).nonce, None);
    }
}
