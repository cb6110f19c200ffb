//! Who is calling: an application by its API key, or a grant by its access token.

use crate::cache::{KnownKey, KnownToken, Miss};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use keyway_core::bearer::{BearerKind, looks_like};
use keyway_core::ids::{ApiKeyId, ApplicationId, GrantId};
use keyway_core::sealed::{Digest, DigestKind};

/// Proof of an API key. Every use case on an application's data takes one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The application.
    pub application_id: ApplicationId,
    /// The key it used.
    pub key_id: ApiKeyId,
}

impl Caller {
    /// How the sequence of changes names this caller.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("api_key:{}", self.key_id)
    }
}

/// Proof of an access token: opens one grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The grant's application.
    pub application_id: ApplicationId,
    /// The grant.
    pub grant_id: GrantId,
}

/// Whoever may read a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// An application.
    Key(Caller),
    /// A grant's own token.
    Token(Bearer),
}

impl Principal {
    /// The application either belongs to.
    #[must_use]
    pub const fn application_id(&self) -> ApplicationId {
        match self {
            Self::Key(caller) => caller.application_id,
            Self::Token(bearer) => bearer.application_id,
        }
    }
}

fn refused() -> Error {
    Error::new(ErrorKind::Unauthorized, "Bearer token invalid")
}

pub(crate) fn application_blocked() -> Error {
    let message = "Application blocked, contact administrator.";
    Error::new(ErrorKind::Blocked, message)
}

impl Engine {
    /// The application whose API key `text` is.
    ///
    /// # Errors
    /// `Unauthorized` for anything that is no live key; `Blocked` if the application is barred.
    pub async fn caller(&self, text: &str) -> Result<Caller, Error> {
        if !looks_like(BearerKind::ApiKey, text) {
            return Err(refused());
        }
        let digest = self.vault().digest(DigestKind::ApiKey, text.as_bytes());
        let known = match self.inner.cache.key(&digest) {
            Ok(known) => known,
            Err(miss) => self.look_up_key(digest, miss).await?,
        };
        match known.expires_at {
            Some(end) if self.now() >= end => Err(refused()),
            _ => Ok(known.caller),
        }
    }

    /// Whoever `text` proves, if that is remembered: no database, no waiting.
    #[must_use]
    pub fn known_principal(&self, text: &str) -> Option<Principal> {
        let now = self.now();
        if looks_like(BearerKind::ApiKey, text) {
            let digest = self.vault().digest(DigestKind::ApiKey, text.as_bytes());
            let known = self.inner.cache.key(&digest).ok()?;
            let live = known.expires_at.is_none_or(|end| now < end);
            return live.then_some(Principal::Key(known.caller));
        }
        if !looks_like(BearerKind::AccessToken, text) {
            return None;
        }
        let digest = self
            .vault()
            .digest(DigestKind::AccessToken, text.as_bytes());
        let known = self.inner.cache.token(&digest).ok()?;
        let KnownToken {
            application_id,
            grant_id,
            expires_at,
        } = known;
        (now < expires_at).then_some(Principal::Token(Bearer {
            application_id,
            grant_id,
        }))
    }

    async fn look_up_key(&self, digest: Digest, miss: Miss) -> Result<KnownKey, Error> {
        let found = self
            .store()
            .read(move |s| Box::pin(async move { s.api_key_by_digest(&digest).await }))
            .await?;
        let Some((key, blocked)) = found.filter(|(key, _)| key.is_live(self.now())) else {
            return Err(refused());
        };
        if blocked {
            return Err(application_blocked());
        }
        let caller = Caller {
            application_id: key.application_id,
            key_id: key.id,
        };
        let known = KnownKey {
            caller,
            expires_at: key.expires_at,
        };
        self.inner.cache.remember_key(miss, digest, known);
        Ok(known)
    }

    /// The grant whose access token `text` is.
    ///
    /// # Errors
    /// `Unauthorized` for anything that is no live access token; `Blocked` if its application is barred.
    pub async fn bearer(&self, text: &str) -> Result<Bearer, Error> {
        if !looks_like(BearerKind::AccessToken, text) {
            return Err(refused());
        }
        let digest = self
            .vault()
            .digest(DigestKind::AccessToken, text.as_bytes());
        let known = match self.inner.cache.token(&digest) {
            Ok(known) => known,
            Err(miss) => self.look_up_token(text, digest, miss).await?,
        };
        if self.now() >= known.expires_at {
            return Err(refused());
        }
        Ok(Bearer {
            application_id: known.application_id,
            grant_id: known.grant_id,
        })
    }

    async fn look_up_token(
        &self,
        text: &str,
        digest: Digest,
        miss: Miss,
    ) -> Result<KnownToken, Error> {
        let token = self.find_access_token(text).await?.ok_or_else(refused)?;
        if self.public_application(token.application_id).await?.blocked {
            return Err(application_blocked());
        }
        let known = KnownToken {
            application_id: token.application_id,
            grant_id: token.grant_id,
            expires_at: token.expires_at,
        };
        self.inner.cache.remember_token(miss, digest, known);
        Ok(known)
    }

    /// Whoever `text` proves.
    ///
    /// # Errors
    /// As [`Engine::caller`] and [`Engine::bearer`].
    pub async fn principal(&self, text: &str) -> Result<Principal, Error> {
        if looks_like(BearerKind::AccessToken, text) {
            return self.bearer(text).await.map(Principal::Token);
        }
        self.caller(text).await.map(Principal::Key)
    }
}
