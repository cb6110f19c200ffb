//! Where a grant's next access token comes from: one kind of source for each type of credential.

use super::ended;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::provider_calls::ProviderFailure;
use keyway_core::credential::{Credential, CredentialType};
use keyway_core::oauth::{Client, TokenGrant, TokenResponse};
use keyway_core::token_set::TokenSet;
use secrecy::SecretString;

/// What a token is asked for with. A service account's assertion and an administrator's consent become
/// variants of their own; what surrounds a source (lease, storing, refusals) is the same for all.
pub(super) enum TokenSource {
    /// The user's refresh token, presented by the client it was issued to (RFC 6749, 6).
    RefreshToken(SecretString),
}

impl TokenSource {
    /// The refresh token to keep where the answer brings no new one.
    pub(super) fn kept(&self) -> Option<&SecretString> {
        match self {
            Self::RefreshToken(token) => Some(token),
        }
    }

    fn grant<'a>(&'a self, redirect_uri: &'a str) -> TokenGrant<'a> {
        match self {
            Self::RefreshToken(refresh_token) => TokenGrant::RefreshToken {
                refresh_token,
                redirect_uri,
            },
        }
    }
}

impl Engine {
    /// The source of a token set's next token, and the client to speak as. Asks nobody outside.
    ///
    /// # Errors
    /// If there is none; says why.
    pub(super) async fn token_source(
        &self,
        set: &TokenSet,
        credential: &Credential,
    ) -> Result<(Client, TokenSource), Error> {
        let source = match credential.credential_type {
            CredentialType::Connector => {
                let tokens = self.open_tokens(set)?;
                TokenSource::RefreshToken(tokens.refresh_token.ok_or_else(ended)?)
            }
            other => {
                let message = format!(
                    "Credentials of type {} are not built into this server yet.",
                    other.as_str()
                );
                return Err(Error::new(ErrorKind::InvalidRequest, message));
            }
        };
        Ok((self.client(credential).await?, source))
    }

    /// Asks the provider for a token.
    pub(super) async fn obtain(
        &self,
        set: &TokenSet,
        client: &Client,
        source: &TokenSource,
    ) -> Result<TokenResponse, ProviderFailure> {
        let entry = self.entry(set.provider).map_err(ProviderFailure::Ours)?;
        let redirect_uri = self.callback_uri();
        self.provider_tokens(entry, client, source.grant(&redirect_uri))
            .await
    }
}
