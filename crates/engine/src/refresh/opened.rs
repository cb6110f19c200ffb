//! Opened access tokens in memory: bounded in number and time, zeroized when they go.

use super::jitter_of;
use crate::error::Error;
use keyway_core::ids::{ApplicationId, CredentialId, GrantId, TokenSetId};
use keyway_core::refresh::{Freshness, Life, freshness};
use keyway_core::scope::Scopes;
use keyway_core::time::UnixMillis;
use keyway_core::token_set::{ProviderTokens, TokenSet};
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::Arc;

/// Room for opened tokens, in bytes; about 16,000 of a kilobyte each.
const OPENED_BYTES: u64 = 16 * 1024 * 1024;
/// Tokens the table is laid out for.
const OPENED_EXPECTED: usize = 16_000;
/// What an entry takes beside the token, in bytes.
const FIXED_BYTES: usize = 250;
/// An opened token is served no more this long after it was opened, in milliseconds, used or not, and
/// dropped by the next round.
const KEPT_MS: i64 = 10 * 60_000;

/// A provider access token, opened, with what it takes to judge and replace it.
pub struct OpenedToken {
    /// The token.
    pub access_token: SecretString,
    pub(crate) application_id: ApplicationId,
    /// The credential it was issued to.
    pub credential_id: CredentialId,
    /// The token set it is from.
    pub token_set_id: TokenSetId,
    /// That set's version: tells whether somebody has replaced the token since.
    pub version: i64,
    /// When it ends; none if it lasts until the provider refuses it.
    pub expires_at: Option<UnixMillis>,
    /// The scopes it has: fewer than the grant's, if the provider has withdrawn some since.
    pub scope: Scopes,
    obtained_at: UnixMillis,
    pub(crate) opened_at: UnixMillis,
    /// The user calls must name, where the token is an application's own.
    pub named_user: Option<Box<str>>,
}

impl std::fmt::Debug for OpenedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedToken")
            .field("token_set_id", &self.token_set_id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl OpenedToken {
    pub(crate) fn new(set: &TokenSet, tokens: &ProviderTokens, now: UnixMillis) -> Arc<Self> {
        Arc::new(Self {
            access_token: tokens.access_token.clone(),
            application_id: set.application_id,
            credential_id: set.credential_id,
            token_set_id: set.id,
            version: set.version,
            expires_at: set.access_expires_at,
            scope: set.scope.clone(),
            obtained_at: set.updated_at,
            opened_at: now,
            named_user: named_user(tokens),
        })
    }

    /// How good it still is.
    pub(super) fn freshness(&self, now: UnixMillis, grant_id: GrantId) -> Freshness {
        let judge = |expires_at| {
            let life = Life {
                obtained_at: self.obtained_at,
                expires_at,
            };
            freshness(life, now, jitter_of(grant_id))
        };
        self.expires_at.map_or(Freshness::Fresh, judge)
    }

    /// Whether this is the very token `other` is.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.token_set_id == other.token_set_id && self.version == other.version
    }
}

fn named_user(tokens: &ProviderTokens) -> Option<Box<str>> {
    let acts_for = tokens.acts_for.as_ref()?;
    acts_for.named_user().map(Box::from)
}

#[derive(Clone)]
pub(crate) struct ByBytes;

impl quick_cache::Weighter<GrantId, Arc<OpenedToken>> for ByBytes {
    fn weight(&self, _: &GrantId, token: &Arc<OpenedToken>) -> u64 {
        let bytes = FIXED_BYTES + token.access_token.expose_secret().len();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

pub(crate) type OpenedTokens = quick_cache::sync::Cache<GrantId, Arc<OpenedToken>, ByBytes>;

pub(crate) fn table() -> OpenedTokens {
    OpenedTokens::with_weighter(OPENED_EXPECTED, OPENED_BYTES, ByBytes)
}

/// Whether an entry has been open long enough.
pub(crate) fn is_over(token: &OpenedToken, now: UnixMillis) -> bool {
    now >= token.opened_at.plus_ms(KEPT_MS)
}

/// Why no token can be had: the same for every caller that waited for the same attempt.
#[derive(Clone, Debug)]
pub(crate) struct NoToken {
    pub(crate) kind: crate::ErrorKind,
    pub(crate) message: String,
    pub(crate) provider_error: Option<Box<keyway_core::oauth::ProviderError>>,
    pub(crate) retry_after_secs: Option<u32>,
}

impl NoToken {
    pub(crate) fn new(kind: crate::ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            provider_error: None,
            retry_after_secs: None,
        }
    }
}

impl From<NoToken> for Error {
    fn from(no: NoToken) -> Self {
        let mut error = Self::new(no.kind, no.message);
        if let Some(provider_error) = no.provider_error {
            error = error.with_provider_error(*provider_error);
        }
        match no.retry_after_secs {
            Some(secs) => error.retry_after(secs),
            None => error,
        }
    }
}

impl From<Error> for NoToken {
    fn from(error: Error) -> Self {
        if error.kind() == crate::ErrorKind::Internal {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "a refresh failed here");
        }
        Self {
            kind: error.kind(),
            message: error.message().to_owned(),
            provider_error: error.provider_error().cloned().map(Box::new),
            retry_after_secs: error.retry_after_secs(),
        }
    }
}

impl From<keyway_store::StoreError> for NoToken {
    fn from(error: keyway_store::StoreError) -> Self {
        Error::from(error).into()
    }
}
