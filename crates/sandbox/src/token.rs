//! The token endpoint (RFC 6749, section 3.2): records, faults, and which grant answers.

use crate::claims;
use crate::client_auth::Presented;
use crate::config::Dialect;
use crate::digest::Digest;
use crate::fault_answer::{self, Lies};
use crate::faults::{Asked, Endpoint, Lie};
use crate::grants;
use crate::oauth_error::OAuthError;
use crate::params::Params;
use crate::provider::Provider;
use crate::records::TokenRequest;
use crate::service_account;
use crate::store::Authorization;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The grant type of service accounts (RFC 7523).
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// `POST /token`.
pub(crate) async fn token(
    State(provider): State<Arc<Provider>>,
    tenant: Option<Path<String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Params::parse(&body);
    let presented = Presented::read(&headers, &form);
    let client_id = presented
        .as_ref()
        .ok()
        .and_then(|presented| presented.client_id.clone());
    let grant_type = form.get("grant_type");
    record(&provider, &form, client_id.as_deref());
    let _under_way = Refreshing::begin(&provider, &form);
    let asked = Asked {
        client_id: client_id.as_deref(),
        grant_type,
    };
    let fault = provider.strike(Endpoint::Token, asked);
    let lies = Lies::of(fault.as_ref());
    let act = async {
        let tenant = tenant.as_ref().map(|Path(name)| name.as_str());
        let checked = check_form(&headers, &form).and(presented);
        let answer =
            checked.and_then(|presented| grant(&provider, &presented, &form, tenant, &lies));
        answer.unwrap_or_else(|error| {
            provider.records().token_refusal(&error.error);
            error.response(&provider)
        })
    };
    fault_answer::answer(&provider, fault, act).await
}

fn record(provider: &Provider, form: &Params, client_id: Option<&str>) {
    let request = TokenRequest {
        at_ms: provider.now(),
        grant_type: form.get("grant_type").unwrap_or_default().to_owned(),
        client_id: client_id.unwrap_or_default().to_owned(),
        refresh_token_digest: form
            .get("refresh_token")
            .map(|token| Digest::of(token).short()),
        scope: form.get("scope").map(str::to_owned),
    };
    provider.records().token_request(request);
}

fn check_form(headers: &HeaderMap, form: &Params) -> Result<(), OAuthError> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded")) {
        let text = "the body is not application/x-www-form-urlencoded";
        return Err(OAuthError::invalid_request(text));
    }
    form.repeated().map_or(Ok(()), |name| {
        Err(OAuthError::invalid_request(&format!(
            "parameter '{name}' came more than once"
        )))
    })
}

fn grant(
    provider: &Provider,
    presented: &Presented,
    form: &Params,
    tenant: Option<&str>,
    lies: &Lies,
) -> Result<Response, OAuthError> {
    let issued = match form.require("grant_type")? {
        "authorization_code" => grants::authorization_code(provider, presented, form),
        "refresh_token" => grants::refresh_token(provider, presented, form),
        "client_credentials" => grants::client_credentials(provider, presented, form, tenant),
        JWT_BEARER => service_account::jwt_bearer(provider, form),
        _ => Err(OAuthError::unsupported_grant_type()),
    }?;
    Ok(Json(Value::Object(issued.into_answer(provider, lies))).into_response())
}

/// What a grant gave.
pub(crate) struct Issued {
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) authorization: Arc<Authorization>,
}

impl Issued {
    /// The answer of section 5.1, less what the lies leave out of it.
    fn into_answer(self, provider: &Provider, lies: &Lies) -> Map<String, Value> {
        let mut answer = Map::new();
        answer.insert("access_token".to_owned(), json!(self.access_token));
        answer.insert("token_type".to_owned(), json!("Bearer"));
        answer.insert(
            "expires_in".to_owned(),
            json!(provider.config.access_token_lifetime_s),
        );
        answer.insert(
            "scope".to_owned(),
            json!(self.told_scope(provider.config.dialect)),
        );
        if let Some(token) = &self.refresh_token {
            answer.insert("refresh_token".to_owned(), json!(token));
        }
        if let Some(token) = self.id_token(provider, lies) {
            answer.insert("id_token".to_owned(), json!(token));
        }
        distort(&mut answer, lies);
        answer
    }

    /// Microsoft does not tell `offline_access` back.
    fn told_scope(&self, dialect: Dialect) -> String {
        let told = self
            .scopes
            .iter()
            .filter(|scope| dialect != Dialect::Microsoft || scope.as_str() != "offline_access");
        told.map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    fn id_token(&self, provider: &Provider, lies: &Lies) -> Option<String> {
        if !self.scopes.iter().any(|scope| scope == "openid") {
            return None;
        }
        let nonce = self.nonce.as_deref();
        let token = claims::id_token(provider, &self.authorization, &self.scopes, nonce, lies);
        token.unwrap_or_else(|error| {
            tracing::error!(%error, "an id_token could not be signed");
            None
        })
    }
}

fn distort(answer: &mut Map<String, Value>, lies: &Lies) {
    const LEFT_OUT: [(Lie, &str); 5] = [
        (Lie::MissingAccessToken, "access_token"),
        (Lie::MissingExpiresIn, "expires_in"),
        (Lie::MissingIdToken, "id_token"),
        (Lie::MissingRefreshToken, "refresh_token"),
        (Lie::MissingScope, "scope"),
    ];
    for (_, member) in LEFT_OUT.iter().filter(|(lie, _)| lies.has(*lie)) {
        answer.remove(*member);
    }
    let lifetime = answer
        .get("expires_in")
        .map(Value::to_string)
        .unwrap_or_default();
    let altered = [
        (
            Lie::AbsurdExpiresIn,
            "expires_in",
            json!(9_007_199_254_740_991_i64),
        ),
        (Lie::NegativeExpiresIn, "expires_in", json!(-3600)),
        (Lie::ExpiresInAsText, "expires_in", json!(lifetime)),
        (Lie::OtherScope, "scope", json!("calendar.unasked")),
        (Lie::WrongTokenType, "token_type", json!("mac")),
    ];
    for (_, member, value) in altered.into_iter().filter(|(lie, _, _)| lies.has(*lie)) {
        answer.insert(member.to_owned(), value);
    }
}

/// A refresh being answered: two at once with one token are counted, even if one client hangs up.
struct Refreshing<'a>(&'a Provider, Option<Digest>);

impl<'a> Refreshing<'a> {
    fn begin(provider: &'a Provider, form: &Params) -> Self {
        let token = form.get("refresh_token").map(Digest::of);
        if let Some(token) = token {
            provider.records().refresh_begins(token);
        }
        Self(provider, token)
    }
}

impl Drop for Refreshing<'_> {
    fn drop(&mut self) {
        if let Some(token) = self.1 {
            self.0.records().refresh_ends(token);
        }
    }
}
