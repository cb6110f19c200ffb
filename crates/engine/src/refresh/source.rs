//! Where a grant's next access token comes from: one kind of source for each type of credential.

use super::ended;
use crate::engine::Engine;
use crate::error::Error;
use crate::provider_calls::ProviderFailure;
use keyway_core::credential::{Credential, CredentialType};
use keyway_core::oauth::{Client, TokenGrant, TokenResponse};
use keyway_core::provider::Provider;
use keyway_core::scope::Scopes;
use keyway_core::time::UnixMillis;
use keyway_core::token_set::{ActsFor, TokenSet};
use secrecy::SecretString;

/// What a token is asked for with. What surrounds a source (lease, storing, refusals) is the same for all.
pub(crate) enum TokenSource {
    /// The user's refresh token, presented by the client it was issued to (RFC 6749, 6).
    RefreshToken(SecretString),
    /// The user's access token itself, which nothing renews: whether it still holds can be asked.
    Lasting(Lasting),
    /// A service account's assertion for its user (RFC 7523, 2.1): made anew each time.
    Assertion(SecretString),
    /// The application's own access to a tenant (RFC 6749, 4.4), by its administrator's consent.
    Consent {
        /// The scope that stands for all that was consented to.
        scope: String,
    },
}

/// An access token that nothing renews.
pub(crate) struct Lasting {
    pub(crate) access_token: SecretString,
    /// Its end, if the provider named one.
    pub(crate) expires_at: Option<UnixMillis>,
}

impl TokenSource {
    /// The refresh token to store with what the provider answered: no new one means the old one stays (RFC
    /// 6749, 6), and where none is behind the tokens none is kept.
    pub(crate) fn kept(&self, answer: &TokenResponse) -> Option<SecretString> {
        match self {
            Self::RefreshToken(old) => Some(answer.refresh_token.as_ref().unwrap_or(old).clone()),
            Self::Lasting(_) | Self::Assertion(_) | Self::Consent { .. } => None,
        }
    }

    /// When the token that came ends. One that nothing renews ends when it did before.
    pub(crate) fn end(&self, answer: &TokenResponse, now: UnixMillis) -> Option<UnixMillis> {
        match self {
            Self::Lasting(lasting) => lasting.expires_at,
            _ => answer.expires_at(now),
        }
    }

    /// What is exchanged at the token endpoint, or the token that nothing is exchanged for.
    fn grant<'a>(&'a self, redirect_uri: &'a str) -> Result<TokenGrant<'a>, &'a Lasting> {
        Ok(match self {
            Self::RefreshToken(refresh_token) => TokenGrant::RefreshToken {
                refresh_token,
                redirect_uri,
            },
            Self::Lasting(lasting) => return Err(lasting),
            Self::Assertion(assertion) => TokenGrant::Assertion { assertion },
            Self::Consent { scope } => TokenGrant::ClientCredentials { scope },
        })
    }
}

/// All that a refresh takes.
pub(super) struct Refreshable {
    /// Whom to speak as.
    pub(super) client: Client,
    /// What to ask with.
    pub(super) source: TokenSource,
    /// Stays with the tokens, whatever the provider answers.
    pub(super) acts_for: Option<ActsFor>,
}

impl Engine {
    /// The source of a token set's next token. Asks nobody outside.
    ///
    /// # Errors
    /// If there is none; says why.
    pub(super) async fn refreshable(
        &self,
        set: &TokenSet,
        credential: &Credential,
    ) -> Result<Refreshable, Error> {
        let tokens = self.open_tokens(set)?;
        let (client, source) = match (credential.credential_type, &tokens.acts_for) {
            (CredentialType::Connector, _) => {
                let lasts = !self.entry(set.provider)?.refresh_tokens;
                let source = match tokens.refresh_token {
                    Some(token) => TokenSource::RefreshToken(token),
                    None if lasts => TokenSource::Lasting(Lasting {
                        access_token: tokens.access_token,
                        expires_at: set.access_expires_at,
                    }),
                    None => return Err(ended()),
                };
                (self.client(credential).await?, source)
            }
            (_, Some(ActsFor::Subject(subject))) => {
                self.assertion_source(credential, subject, &set.scope)
                    .await?
            }
            (_, Some(ActsFor::Member { tenant, .. })) => {
                let client = self.client(credential).await?.in_tenant(tenant);
                (client, self.consent_source(credential.provider)?)
            }
            (_, None) => return Err(ended()),
        };
        Ok(Refreshable {
            client,
            source,
            acts_for: tokens.acts_for,
        })
    }

    /// The source of tokens of a user for whom a service account acts.
    pub(crate) async fn assertion_source(
        &self,
        credential: &Credential,
        subject: &str,
        scope: &Scopes,
    ) -> Result<(Client, TokenSource), Error> {
        let signed = self.signed_assertion(credential, Some(subject), scope);
        let (client, assertion) = signed.await?;
        Ok((client, TokenSource::Assertion(assertion)))
    }

    /// The source of an application's own tokens.
    pub(crate) fn consent_source(&self, provider: Provider) -> Result<TokenSource, Error> {
        let entry = self.entry(provider)?;
        let scope = entry.consent_scope.clone().ok_or_else(|| {
            Error::internal("a provider without administrators' consent has such a credential")
        })?;
        Ok(TokenSource::Consent { scope })
    }

    /// Asks the provider for a token.
    pub(crate) async fn obtain(
        &self,
        provider: Provider,
        client: &Client,
        source: &TokenSource,
    ) -> Result<TokenResponse, ProviderFailure> {
        let entry = self.entry(provider).map_err(ProviderFailure::Ours)?;
        let redirect_uri = self.callback_uri();
        match source.grant(&redirect_uri) {
            Ok(grant) => self.provider_tokens(entry, client, grant).await,
            Err(lasting) => self.still_honoured(entry, client, lasting).await,
        }
    }
}
