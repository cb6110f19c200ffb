//! A small mail-like API that checks tokens, and an echo for tests of proxies.

use crate::bearer::{Bearer, BearerError, MailScope};
use crate::config::UserConfig;
use crate::mailbox::Draft;
use crate::provider::Provider;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Bodies up to this size are echoed as text.
const MAX_ECHOED_BYTES: usize = 64 * 1024;

/// Counts the calls by path; messages are counted together.
pub(crate) async fn count(
    State(provider): State<Arc<Provider>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let known = ["/api/me", "/api/messages", "/api/echo"]
        .into_iter()
        .find(|p| path.starts_with(p));
    provider.records().api_request(known.unwrap_or("/api"));
    next.run(request).await
}

/// `GET /api/me`.
pub(crate) async fn me(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
) -> Result<Response, BearerError> {
    let bearer = Bearer::read(&provider, &headers)?;
    Ok(match &bearer.authorization.user {
        Some(user) => Json(json!({
            "email": user.email,
            "name": user.name,
            "client_id": bearer.authorization.client_id,
            "scope": bearer.scopes.join(" "),
        }))
        .into_response(),
        None => nobodys(),
    })
}

/// `GET /api/messages`.
pub(crate) async fn messages(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
) -> Result<Response, BearerError> {
    let bearer = Bearer::read(&provider, &headers)?;
    bearer.require(MailScope::Read)?;
    Ok(with_user(&bearer, |user| {
        let mut store = provider.store();
        let messages = store
            .mailbox(user, provider.now())
            .map(|mailbox| mailbox.newest_first());
        Json(json!({"data": messages.unwrap_or_default()})).into_response()
    }))
}

/// `GET /api/messages/{id}`.
pub(crate) async fn message(
    State(provider): State<Arc<Provider>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, BearerError> {
    let bearer = Bearer::read(&provider, &headers)?;
    bearer.require(MailScope::Read)?;
    Ok(with_user(&bearer, |user| {
        let mut store = provider.store();
        let found = store
            .mailbox(user, provider.now())
            .and_then(|mailbox| mailbox.message(&id));
        match found {
            Some(message) => Json(json!({"data": message})).into_response(),
            None => problem(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such message",
            ),
        }
    }))
}

/// `POST /api/messages` with `to` (a list), `subject` and `body`.
pub(crate) async fn send(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    draft: Result<Json<Draft>, JsonRejection>,
) -> Result<Response, BearerError> {
    let bearer = Bearer::read(&provider, &headers)?;
    bearer.require(MailScope::Send)?;
    let Some(Json(draft)) = draft.ok().filter(|draft| draft.is_sendable()) else {
        let text = "send JSON with a list 'to' of addresses, 'subject' and 'body', 64 KiB at most";
        return Ok(problem(StatusCode::BAD_REQUEST, "invalid_request", text));
    };
    Ok(with_user(&bearer, |user| {
        let (mut store, now) = (provider.store(), provider.now());
        let sent = store
            .mailbox(user, now)
            .map(|mailbox| mailbox.send(&user.email, &draft, now));
        (StatusCode::CREATED, Json(json!({"data": sent}))).into_response()
    }))
}

/// `ANY /api/echo` and everything below: the request as it arrived, its token replaced by whose it
/// is.
pub(crate) async fn echo(
    State(provider): State<Arc<Provider>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, BearerError> {
    let bearer = Bearer::read(&provider, &headers)?;
    let user = bearer
        .authorization
        .user
        .as_ref()
        .map(|user| user.email.clone());
    let caller = format!(
        "{} {}",
        bearer.authorization.client_id,
        user.as_deref().unwrap_or("-")
    );
    let text = std::str::from_utf8(&body)
        .ok()
        .filter(|text| text.len() <= MAX_ECHOED_BYTES);
    Ok(Json(json!({
        "method": method.as_str(),
        "path": uri.path(),
        "query": uri.query(),
        "headers": echoed_headers(&headers, &caller),
        "body": text,
        "body_bytes": body.len(),
        "client_id": bearer.authorization.client_id,
        "user": user,
    })))
}

fn echoed_headers(headers: &HeaderMap, caller: &str) -> Map<String, Value> {
    let values = |name: &http::HeaderName| -> Vec<String> {
        let all = headers.get_all(name).iter();
        all.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    };
    let told = |name: &http::HeaderName| match *name == AUTHORIZATION {
        true => json!([caller]),
        false => json!(values(name)),
    };
    headers
        .keys()
        .map(|name| (name.as_str().to_owned(), told(name)))
        .collect()
}

fn with_user(bearer: &Bearer, act: impl FnOnce(&UserConfig) -> Response) -> Response {
    bearer
        .authorization
        .user
        .as_deref()
        .map_or_else(nobodys, act)
}

fn nobodys() -> Response {
    problem(
        StatusCode::FORBIDDEN,
        "no_user",
        "the token belongs to a client, not to a user",
    )
}

fn problem(status: StatusCode, error: &str, text: &str) -> Response {
    (
        status,
        Json(json!({"error": error, "error_description": text})),
    )
        .into_response()
}
