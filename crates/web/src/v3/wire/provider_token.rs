//! A provider's access token on the wire.

use keyway_core::ids::CredentialId;
use keyway_core::time::UnixMillis;
use keyway_engine::provider_token::ProviderToken;
use secrecy::ExposeSecret as _;
use serde::Serialize;

/// `data` of `GET /v3/grants/{grant_id}/token`.
#[derive(Serialize)]
pub(crate) struct ProviderTokenView<'a> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    scope: &'a [String],
    credential_id: CredentialId,
}

impl<'a> From<&'a ProviderToken> for ProviderTokenView<'a> {
    fn from(token: &'a ProviderToken) -> Self {
        Self {
            access_token: token.access_token.expose_secret(),
            expires_at: token.expires_at.map(UnixMillis::as_secs),
            scope: token.scope.as_slice(),
            credential_id: token.credential_id,
        }
    }
}
