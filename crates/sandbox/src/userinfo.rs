//! Userinfo (OpenID Connect Core, section 5.3), the key set and the discovery document.

use crate::authorize::see_other;
use crate::bearer::{Bearer, BearerError};
use crate::claims;
use crate::config::Dialect;
use crate::fault_answer::Lies;
use crate::faults::Lie;
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use crate::signer::Signer;
use crate::tenants;
use crate::token::JWT_BEARER;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::HeaderMap;
use serde_json::{Value, json};
use std::sync::Arc;

/// `GET` and `POST /me`.
pub(crate) async fn userinfo(
    State(provider): State<Arc<Provider>>,
    Extension(lies): Extension<Lies>,
    headers: HeaderMap,
) -> Result<Json<Value>, BearerError> {
    provider.records().counters.userinfo_requests += 1;
    let bearer = Bearer::read(&provider, &headers)?;
    let user = bearer.authorization.user.as_ref();
    let user = user.filter(|_| claims::may_read_userinfo(&bearer.scopes));
    let user = user.ok_or(BearerError::InsufficientScope("openid"))?;
    let client_id = &bearer.authorization.client_id;
    Ok(Json(Value::Object(claims::about(
        &provider,
        user,
        client_id,
        &bearer.scopes,
        &lies,
    ))))
}

/// `GET /jwks`.
pub(crate) async fn jwks(
    State(provider): State<Arc<Provider>>,
    Extension(lies): Extension<Lies>,
) -> Json<Value> {
    provider.records().counters.jwks_requests += 1;
    if lies.has(Lie::OtherKeys)
        && let Ok(other) = Signer::generate(crate::Signing::Es256)
    {
        return Json(other.jwks());
    }
    Json(provider.signer.jwks())
}

/// `GET /.well-known/openid-configuration`, and Microsoft's for a tenant.
pub(crate) async fn discovery(
    State(provider): State<Arc<Provider>>,
    tenant: Option<Path<String>>,
) -> Response {
    let issuer = match &tenant {
        None => Some(provider.issuer()),
        Some(Path(name)) => {
            let tenant = tenants::named(&provider, name);
            tenant.map(|id| format!("{}/{id}/v2.0", provider.origin()))
        }
    };
    match issuer {
        Some(issuer) => Json(metadata(&provider, &issuer)).into_response(),
        None => OAuthError::invalid_request("AADSTS90002: Tenant not found.").response(&provider),
    }
}

fn metadata(provider: &Provider, issuer: &str) -> Value {
    let at = |path: &str| format!("{}{path}", provider.origin());
    json!({
        "issuer": issuer,
        "authorization_endpoint": at("/auth"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/me"),
        "jwks_uri": at("/jwks"),
        "revocation_endpoint": at("/token/revocation"),
        "introspection_endpoint": at("/token/introspection"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported":
            ["authorization_code", "refresh_token", "client_credentials", JWT_BEARER],
        "subject_types_supported": [subject_type(provider.config.dialect)],
        "id_token_signing_alg_values_supported": [provider.signer.alg()],
        "token_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256", "plain"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "scopes_supported":
            ["openid", "email", "profile", "offline_access", "mail.read", "mail.send"],
        "claims_supported": ["sub", "email", "email_verified", "name", "preferred_username",
            "oid", "tid", "iss", "aud", "azp", "iat", "exp", "auth_time", "nonce"],
        "authorization_response_iss_parameter_supported": provider.config.issuer_in_redirect,
    })
}

fn subject_type(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Microsoft => "pairwise",
        Dialect::Plain | Dialect::Google => "public",
    }
}

/// Microsoft's paths lead to the plain ones.
pub(crate) async fn to_authorize(
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Response {
    see_other(&format!("/auth?{}", query.unwrap_or_default()))
}
