//! Revocation (RFC 7009) and introspection (RFC 7662).

use crate::client_auth::Presented;
use crate::digest::Digest;
use crate::fault_answer;
use crate::faults::{Asked, Endpoint};
use crate::oauth_error::OAuthError;
use crate::params::Params;
use crate::provider::Provider;
use crate::records::Revocation;
use crate::store::{Authorization, Store};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

/// `POST /token/revocation`. As at Google a client need not authenticate, but if it does it has
/// to be right and the token has to be its own.
pub(crate) async fn revoke(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Params::parse(&body);
    let presented = Presented::read(&headers, &form);
    let client_id = presented
        .as_ref()
        .ok()
        .and_then(|presented| presented.client_id.clone());
    record(&provider, &form, client_id.as_deref());
    let asked = Asked {
        client_id: client_id.as_deref(),
        grant_type: None,
    };
    let fault = provider.strike(Endpoint::Revocation, asked);
    let act = async {
        let done = presented.and_then(|presented| act(&provider, &presented, &form));
        done.map_or_else(
            |error| error.response(&provider),
            |()| StatusCode::OK.into_response(),
        )
    };
    fault_answer::answer(&provider, fault, act).await
}

fn record(provider: &Provider, form: &Params, client_id: Option<&str>) {
    let digest = Digest::of(form.get("token").unwrap_or_default());
    let authorization = authorization_of(&provider.store(), &digest);
    let user = authorization.and_then(|authorization| authorization.user.clone());
    provider.records().revocation(Revocation {
        at_ms: provider.now(),
        client_id: client_id.map(str::to_owned),
        email: user.map(|user| user.email.clone()),
        token_digest: digest.short(),
    });
}

fn act(provider: &Provider, presented: &Presented, form: &Params) -> Result<(), OAuthError> {
    let client = match presented.client_id {
        Some(_) => Some(presented.authenticate(provider)?),
        None => None,
    };
    let digest = Digest::of(form.require("token")?);
    let mut store = provider.store();
    // A token that is not there is revoked already (RFC 7009, section 2.2).
    let Some(authorization) = authorization_of(&store, &digest) else {
        return Ok(());
    };
    if client.is_some_and(|client| client.client_id != authorization.client_id) {
        return Err(OAuthError::invalid_grant(
            70_000,
            "the token was issued to another client",
        ));
    }
    store.revoke(&authorization, provider.config.revocation);
    Ok(())
}

fn authorization_of(store: &Store, token: &Digest) -> Option<Arc<Authorization>> {
    let accessing = || {
        store
            .access_tokens
            .get(token)
            .map(|token| token.authorization.clone())
    };
    store.refresh_tokens.get(token).cloned().or_else(accessing)
}

/// `POST /token/introspection`, for the client that the token was issued to.
pub(crate) async fn introspect(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Params::parse(&body);
    match introspected(&provider, &headers, &form) {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => error.response(&provider),
    }
}

fn introspected(
    provider: &Provider,
    headers: &HeaderMap,
    form: &Params,
) -> Result<Value, OAuthError> {
    let client = Presented::read(headers, form)?.authenticate(provider)?;
    let token = form.require("token")?;
    let store = provider.store();
    let (authorization, scopes, expires_at) = match store.live_access_token(token, provider.now()) {
        Some(found) => (
            &found.authorization,
            &found.scopes,
            Some(found.expires_at.as_secs()),
        ),
        None => match store.refresh_tokens.get(&Digest::of(token)) {
            Some(found) => (found, &found.scopes, None),
            None => return Ok(json!({"active": false})),
        },
    };
    if authorization.client_id != client.client_id {
        return Ok(json!({"active": false}));
    }
    let user = authorization.user.as_deref();
    Ok(json!({
        "active": true,
        "client_id": authorization.client_id,
        "scope": scopes.join(" "),
        "sub": user.map(|user| provider.subject(user, &authorization.client_id)),
        "username": user.map(|user| &user.email),
        "exp": expires_at,
        "iss": provider.issuer(),
    }))
}
