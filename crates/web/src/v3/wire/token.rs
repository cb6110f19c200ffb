//! Answers of the OAuth endpoints.

use keyway_core::ids::GrantId;
use keyway_core::provider::Provider;
use keyway_engine::tokens::{TokenAnswer, TokenInfo};
use secrecy::ExposeSecret as _;
use serde::Serialize;

/// What `/v3/connect/token` gives, at the top level of its answer (RFC 6749, 5.1).
#[derive(Serialize)]
pub(crate) struct TokenView<'a> {
    access_token: &'a str,
    expires_in: i64,
    grant_id: GrantId,
    token_type: &'static str,
    scope: &'a str,
    email: &'a str,
    id_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<Provider>,
}

impl<'a> From<&'a TokenAnswer> for TokenView<'a> {
    fn from(answer: &'a TokenAnswer) -> Self {
        Self {
            access_token: answer.access_token.expose_secret(),
            expires_in: answer.expires_in,
            grant_id: answer.grant_id,
            token_type: "Bearer",
            scope: &answer.scope,
            email: &answer.email,
            id_token: &answer.id_token,
            refresh_token: answer.refresh_token.as_ref().map(|t| t.expose_secret()),
            provider: answer.provider,
        }
    }
}

/// What `/v3/connect/tokeninfo` tells of a token.
#[derive(Serialize)]
pub(crate) struct TokenInfoView<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    email: &'a str,
    iat: i64,
    exp: i64,
}

impl<'a> From<&'a TokenInfo> for TokenInfoView<'a> {
    fn from(info: &'a TokenInfo) -> Self {
        Self {
            iss: &info.iss,
            aud: &info.aud,
            sub: &info.sub,
            email: &info.email,
            iat: info.iat,
            exp: info.exp,
        }
    }
}
