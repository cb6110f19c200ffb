//! Answers that need no router: `GET /v3/grants/{id}` and `…/me` when key, token and grant are
//! remembered. Nothing is waited for and no database is read; everything else returns `None` and takes
//! the ordinary way, whose answer is the same to the letter but for the request id.

use crate::auth::bearer;
use crate::envelope::JSON;
use crate::layers::REQUEST_ID_HEADER;
use crate::v3::wire::grant::GrantView;
use axum::body::Body;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Response, Uri};
use keyway_core::ids::GrantId;
use keyway_engine::{Engine, KnownGrant, Principal};

const PREFIX: &str = "/v3/grants/";

/// The answer to a request for a grant, if everything it takes is remembered.
#[must_use]
pub fn remembered(
    engine: &Engine,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<Response<Body>> {
    // A query may change the answer, and an origin its headers.
    if method != Method::GET || uri.query().is_some() || headers.contains_key(ORIGIN) {
        return None;
    }
    let named = uri.path().strip_prefix(PREFIX)?;
    let principal = engine.known_principal(bearer(headers)?)?;
    let id: GrantId = match (named, &principal) {
        ("me", Principal::Token(bearer)) => bearer.grant_id,
        (id, _) => id.parse().ok()?,
    };
    let known = engine.known_grant(&principal, id)?;
    let mut response = answer(engine, rendered(&known)?)?;
    if named == "me" {
        // Pages may call this path, so that its answer depends on who asks.
        let origin = HeaderValue::from_static("Origin");
        response.headers_mut().insert(VARY, origin);
    }
    Some(response)
}

/// The grant as JSON, written once and kept beside it.
fn rendered(known: &KnownGrant) -> Option<&Bytes> {
    if known.rendered.get().is_none() {
        let written = serde_json::to_vec(&GrantView::from(&known.grant)).ok()?;
        drop(known.rendered.set(Bytes::from(written)));
    }
    known.rendered.get()
}

fn answer(engine: &Engine, data: &Bytes) -> Option<Response<Body>> {
    let request_id = engine.request_id().to_string();
    let mut body = BytesMut::with_capacity(data.len() + request_id.len() + 28);
    body.put_slice(b"{\"request_id\":\"");
    body.put_slice(request_id.as_bytes());
    body.put_slice(b"\",\"data\":");
    body.put_slice(data);
    body.put_slice(b"}");
    let mut response = Response::new(Body::from(body.freeze()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REQUEST_ID_HEADER, HeaderValue::from_str(&request_id).ok()?);
    Some(response)
}
