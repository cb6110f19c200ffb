//! Microsoft-like tenants: which domain belongs to which, and what an application's own token may ask of the
//! people there.
//!
//! Every address is somebody, of the tenant of its domain, with these exceptions: `nobody@` is no user, and
//! `alias-ann@` is only another mail address of `ann@`. Domains under `.invalid` belong to no tenant.

use crate::bearer::{Bearer, BearerError};
use crate::config::UserConfig;
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const NO_USER: &str = "nobody@";
const ALIAS: &str = "alias-";

/// The tenant of an address, or of a domain by itself.
pub(crate) fn of_address(provider: &Provider, address: &str) -> String {
    let domain = address.rsplit('@').next().unwrap_or_default();
    let config = &provider.config;
    let other = config.other_tenants.get(&domain.to_lowercase());
    other.unwrap_or(&config.tenant_id).clone()
}

/// The tenant that a path names by its id or one of its domains.
pub(crate) fn named(provider: &Provider, name: &str) -> Option<String> {
    let config = &provider.config;
    let is_id = name == config.tenant_id || config.other_tenants.values().any(|id| id == name);
    let is_domain = name.contains('.') && !name.ends_with(".invalid");
    match (is_id, is_domain) {
        (true, _) => Some(name.to_owned()),
        (_, true) => Some(of_address(provider, name)),
        _ => None,
    }
}

/// The tenant an application asks for a token of its own in.
pub(crate) fn of_token_request(
    provider: &Provider,
    path: Option<&str>,
) -> Result<String, OAuthError> {
    match path {
        None => Ok(provider.config.tenant_id.clone()),
        Some("common" | "organizations" | "consumers") => Err(OAuthError::unauthorized_client(
            9_001_023,
            "an application's own token belongs to a tenant: name it",
        )),
        Some(name) => named(provider, name).ok_or_else(|| {
            OAuthError::invalid_request(&format!("AADSTS90002: Tenant '{name}' not found."))
        }),
    }
}

#[derive(Deserialize)]
pub(crate) struct Filter {
    #[serde(rename = "$filter")]
    filter: Option<String>,
}

/// `GET /api/v1.0/users?$filter=…`: whose mail address stands first in the filter.
pub(crate) async fn users(
    State(provider): State<Arc<Provider>>,
    Query(query): Query<Filter>,
    headers: HeaderMap,
) -> Result<Response, BearerError> {
    let tenant = application_tenant(&provider, &headers)?;
    let filter = query.filter.unwrap_or_default();
    let mail = filter
        .strip_prefix("mail eq '")
        .and_then(|rest| rest.split_once("' or "))
        .map(|(mail, _)| mail.replace("''", "'"));
    let owner = mail.map(|mail| match mail.strip_prefix(ALIAS) {
        Some(own) => own.to_owned(),
        None => mail,
    });
    let found = owner.and_then(|owner| member(&provider, &tenant, &owner));
    let found: Vec<Value> = found.iter().map(|user| shown(user)).collect();
    Ok(Json(json!({"value": found})).into_response())
}

/// `GET /api/v1.0/users/{name}`.
pub(crate) async fn user(
    State(provider): State<Arc<Provider>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, BearerError> {
    let tenant = application_tenant(&provider, &headers)?;
    let found = (!name.starts_with(ALIAS)).then(|| member(&provider, &tenant, &name));
    Ok(match found.flatten() {
        Some(user) => Json(shown(&user)).into_response(),
        None => {
            let body = json!({"error": {"code": "Request_ResourceNotFound"}});
            (StatusCode::NOT_FOUND, Json(body)).into_response()
        }
    })
}

/// `GET /api/v1.0/users/{id}/{rest}`: what an application may read of a person: that it was asked.
pub(crate) async fn of_user(
    State(provider): State<Arc<Provider>>,
    Path((id, rest)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, BearerError> {
    let tenant = application_tenant(&provider, &headers)?;
    let bearer = Bearer::read(&provider, &headers)?;
    let client_id = &bearer.authorization.client_id;
    let told = json!({"user_id": id, "rest": rest, "tenant": tenant, "client_id": client_id});
    Ok(Json(told).into_response())
}

fn application_tenant(provider: &Provider, headers: &HeaderMap) -> Result<String, BearerError> {
    let bearer = Bearer::read(provider, headers)?;
    bearer
        .authorization
        .tenant
        .clone()
        .ok_or(BearerError::InsufficientScope("User.Read.All"))
}

fn member(provider: &Provider, tenant: &str, address: &str) -> Option<Arc<UserConfig>> {
    let is_somebody = address.contains('@') && !address.starts_with(NO_USER);
    let is_here = is_somebody && of_address(provider, address) == tenant;
    is_here.then(|| provider.store().user(address))
}

fn shown(user: &UserConfig) -> Value {
    json!({"id": user.oid, "displayName": user.name, "userPrincipalName": user.email})
}
