//! Who calls with which access token (RFC 6750).

use crate::provider::Provider;
use crate::store::Authorization;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use std::sync::Arc;

/// The bearer of a token that works.
pub(crate) struct Bearer {
    pub(crate) authorization: Arc<Authorization>,
    pub(crate) scopes: Vec<String>,
}

/// Why a call is refused (section 3.1).
pub(crate) enum BearerError {
    Missing,
    Invalid,
    InsufficientScope(&'static str),
}

impl Bearer {
    pub(crate) fn read(provider: &Provider, headers: &HeaderMap) -> Result<Self, BearerError> {
        let header = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let (scheme, token) = header
            .and_then(|line| line.split_once(' '))
            .ok_or(BearerError::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(BearerError::Missing);
        }
        let store = provider.store();
        let token = store.live_access_token(token.trim(), provider.now());
        let token = token.ok_or(BearerError::Invalid)?;
        Ok(Self {
            authorization: token.authorization.clone(),
            scopes: token.scopes.clone(),
        })
    }

    /// Refuses the call unless one of the token's scopes is `wanted` or another provider's name
    /// for it.
    pub(crate) fn require(&self, wanted: MailScope) -> Result<(), BearerError> {
        if self.scopes.iter().any(|scope| wanted.is_given_by(scope)) {
            return Ok(());
        }
        Err(BearerError::InsufficientScope(wanted.name()))
    }
}

/// What the mail API asks of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailScope {
    Read,
    Send,
}

impl MailScope {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "mail.read",
            Self::Send => "mail.send",
        }
    }

    /// The scopes of Google, Microsoft and Yahoo that mean the same.
    fn is_given_by(self, scope: &str) -> bool {
        let scope = scope.to_lowercase();
        let short = scope
            .rsplit('/')
            .find(|part| !part.is_empty())
            .unwrap_or_default();
        let names: &[&str] = match self {
            Self::Read => &["mail.read", "mail.readwrite", "gmail.readonly", "mail-r"],
            Self::Send => &["mail.send", "gmail.send"],
        };
        names.contains(&short)
            || ["gmail.modify", "mail.google.com", "mail-w", ".default"].contains(&short)
    }
}

impl IntoResponse for BearerError {
    fn into_response(self) -> Response {
        let (status, error, text) = match self {
            Self::Missing => (
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "no access token was sent",
            ),
            Self::Invalid => (
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "the access token is unknown, expired or revoked",
            ),
            Self::InsufficientScope(_) => (
                StatusCode::FORBIDDEN,
                "insufficient_scope",
                "the access token lacks a scope",
            ),
        };
        let mut challenge = "Bearer realm=\"sandbox\"".to_owned();
        if !matches!(self, Self::Missing) {
            challenge.push_str(&format!(
                ", error=\"{error}\", error_description=\"{text}\""
            ));
        }
        if let Self::InsufficientScope(scope) = self {
            challenge.push_str(&format!(", scope=\"{scope}\""));
        }
        let body = Json(json!({"error": error, "error_description": text}));
        let mut response = (status, body).into_response();
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_providers_name_of_a_mail_scope_is_understood() {
        for scope in [
            "mail.read",
            "Mail.Read",
            "https://www.googleapis.com/auth/gmail.readonly",
        ] {
            assert!(MailScope::Read.is_given_by(scope), "{scope}");
            assert!(!MailScope::Send.is_given_by(scope), "{scope}");
        }
        assert!(MailScope::Send.is_given_by("https://graph.microsoft.com/Mail.Send"));
        assert!(MailScope::Send.is_given_by("https://mail.google.com/"));
        assert!(!MailScope::Read.is_given_by("email"));
    }
}
