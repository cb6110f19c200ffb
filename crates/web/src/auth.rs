//! Who is calling: the Authorization header, read strictly and once.

use crate::app::App;
use crate::context::Context;
use crate::errors::Failure;
use crate::query::Query;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use keyway_engine::caller::Principal;
use keyway_engine::error::ErrorKind;

/// Longest bearer value looked up, in bytes; ours are far shorter.
const BEARER_MAX_BYTES: usize = 4096;

/// What the bearer of an access token is told where it is of no use.
const KEY_ONLY: &str = "An access token opens its own grant and nothing else; this asks for the application's API key.";

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

/// The bearer value of one header: the scheme without case, one space, a token (RFC 6750, 2.1).
fn parse_bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let well_formed = scheme.eq_ignore_ascii_case("bearer")
        && !token.is_empty()
        && token.len() <= BEARER_MAX_BYTES
        && token.bytes().all(is_token_byte);
    well_formed.then_some(token)
}

/// The bearer value of a request, if it has exactly one Authorization header and that is well formed.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let only = values.next()?;
    match values.next() {
        Some(_) => None,
        None => parse_bearer(only),
    }
}

async fn authenticate_key(app: &App, request: &mut Request) -> Result<(), Failure> {
    let value = bearer(request.headers()).ok_or_else(Failure::unauthorized)?;
    let caller = match app.engine.principal(value).await? {
        Principal::Key(caller) => caller,
        // Its session is good: a client that hears 401 would take it for lost.
        Principal::Token(_) => return Err(Failure::new(ErrorKind::AccessDenied, KEY_ONLY)),
    };
    note_application(request, caller.application_id);
    request.extensions_mut().insert(caller);
    Ok(())
}

async fn authenticate_principal(app: &App, request: &mut Request) -> Result<(), Failure> {
    let value = bearer(request.headers()).ok_or_else(Failure::unauthorized)?;
    let principal: Principal = app.engine.principal(value).await?;
    note_application(request, principal.application_id());
    request.extensions_mut().insert(principal);
    Ok(())
}

fn note_application(request: &Request, application: keyway_core::ids::ApplicationId) {
    if let Some(context) = request.extensions().get::<Context>() {
        context.belongs_to(application);
    }
}

/// Lets only API keys through.
pub(crate) async fn require_key(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    match authenticate_key(&app, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

/// Lets API keys and access tokens through.
pub(crate) async fn require_principal(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    match authenticate_principal(&app, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

/// Whether a request names an application in its query and proves nothing.
fn only_names_a_client(request: &Request) -> bool {
    let query = Query::parse(request.uri().query().unwrap_or_default().as_bytes());
    !request.headers().contains_key(AUTHORIZATION)
        && query.is_ok_and(|query| query.get("client_id").is_some())
}

/// Lets API keys through, and requests that prove nothing but name a `client_id`.
pub(crate) async fn require_key_or_client_id(
    state: State<App>,
    request: Request,
    next: Next,
) -> Response {
    if only_names_a_client(&request) {
        next.run(request).await
    } else {
        require_key(state, request, next).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        bearer(&headers).map(str::to_owned)
    }

    #[test]
    fn the_scheme_is_read_without_case() {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(
                read(&[&format!("{scheme} kwk_a-b")]).as_deref(),
                Some("kwk_a-b")
            );
        }
    }

    #[test]
    fn anything_but_one_plain_bearer_header_is_refused() {
        for bad in [
            vec![],
            vec![""],
            vec!["Bearer"],
            vec!["Bearer "],
            vec!["Bearer  x"],
            vec!["Bearer x "],
            vec!["Bearer x y"],
            vec!["Bearer\tx"],
            vec!["Basic eDp5"],
            vec!["Bearer x,Bearer y"],
            vec!["Bearer x", "Bearer y"],
            vec!["kwk_a"],
        ] {
            assert_eq!(read(&bad), None, "{bad:?}");
        }
        let long = format!("Bearer {}", "x".repeat(BEARER_MAX_BYTES + 1));
        assert_eq!(read(&[&long]), None);
    }
}
