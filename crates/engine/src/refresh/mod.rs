//! The refresh engine: always a good provider token, obtained through the grant's own credential.
//!
//! What holds (rules 1, 5, 6, 11): one refresh per grant at a time, over all processes of a database, by
//! a lease judged by the database's clock and longer than the call; every write fenced by a version; a
//! rotated refresh token durable before its access token is given to anyone; a token that is still valid
//! served whatever the provider says; and only the user's or tenant administrator's faults ending a
//! grant.

mod attempt;
mod breakers;
mod counts;
mod flight;
mod lease;
mod opened;
mod outages;
mod refused;
mod source;
mod sweep;

pub(crate) use breakers::Breakers;
pub(crate) use counts::RefreshCounts;
pub use counts::RefreshReport;
pub(crate) use flight::Flights;
pub use opened::OpenedToken;
pub(crate) use opened::{OpenedTokens, is_over, table};
pub(crate) use outages::Outages;
pub(crate) use source::{Lasting, TokenSource};

use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use keyway_core::grant::{Grant, GrantStatus};
use keyway_core::ids::GrantId;
use keyway_core::refresh::Freshness;
use keyway_core::time::UnixMillis;
use keyway_core::token_set::TokenSet;
use std::sync::Arc;

/// A grant's own share of every jitter, 0 to 999: the same whenever it is asked, different for each.
pub(crate) fn jitter_of(grant_id: GrantId) -> u16 {
    let low = grant_id.as_uuid().as_u128() % 1000;
    u16::try_from(low).unwrap_or(0)
}

/// Why a grant cannot be used, if it cannot, in words for its application.
///
/// # Errors
/// `Blocked` if it is barred; `Unauthorized` if it is invalid.
pub fn check_usable(grant: &Grant) -> Result<(), Error> {
    if grant.blocked {
        return Err(Error::new(
            ErrorKind::Blocked,
            "Resource blocked, contact administrator.",
        ));
    }
    match (grant.effective_status(), grant.is_anchored) {
        (GrantStatus::Valid, _) => Ok(()),
        (GrantStatus::Invalid, true) => Err(ended()),
        (GrantStatus::Invalid, false) => Err(Error::new(
            ErrorKind::Unauthorized,
            "The connector or credential of this grant was deleted; have the user sign in again through another.",
        )),
    }
}

pub(crate) fn ended() -> Error {
    Error::new(
        ErrorKind::Unauthorized,
        "This grant is invalid: the provider no longer honours it. Have the user sign in again; the grant keeps its id.",
    )
}

impl Engine {
    /// A remembered token that can be served now, if there is one: no database, no waiting. One that
    /// ages is refreshed meanwhile.
    #[must_use]
    pub fn known_token(&self, grant: &Grant) -> Option<Arc<OpenedToken>> {
        let now = self.now();
        let token = self.inner.cache.opened(&grant.id).ok()?;
        if is_over(&token, now) || Some(token.credential_id) != grant.credential_id {
            return None;
        }
        match token.freshness(now, grant.id) {
            Freshness::Fresh => Some(token),
            Freshness::Ageing => {
                self.refresh_ahead(grant, &token);
                Some(token)
            }
            Freshness::Stale => None,
        }
    }

    /// A token of the grant that can be used now; refreshed first if it must be.
    ///
    /// # Errors
    /// Says whose fault it is: the user's, the credential's, the provider's, or ours.
    pub async fn fresh_token(&self, grant: &Grant) -> Result<Arc<OpenedToken>, Error> {
        check_usable(grant)?;
        if let Some(token) = self.known_token(grant) {
            return Ok(token);
        }
        let token = self.stored_token(grant).await?;
        match token.freshness(self.now(), grant.id) {
            Freshness::Fresh => Ok(token),
            Freshness::Ageing => {
                self.refresh_ahead(grant, &token);
                Ok(token)
            }
            Freshness::Stale => self.refresh_waiting(grant, &token, None).await,
        }
    }

    /// Another token in place of one the provider's API has refused. If somebody replaced it meanwhile,
    /// theirs; else a refreshed one.
    ///
    /// # Errors
    /// As [`Engine::fresh_token`].
    pub async fn replace_refused(
        &self,
        grant: &Grant,
        refused: Arc<OpenedToken>,
    ) -> Result<Arc<OpenedToken>, Error> {
        let stored = self.stored_token(grant).await?;
        if !stored.is_same_as(&refused) && stored.expires_at.is_none_or(|end| end > self.now()) {
            return Ok(stored);
        }
        self.refresh_waiting(grant, &stored, Some(refused)).await
    }

    /// Refreshes while a caller waits; turned away at once where the provider wants nothing of
    /// the credential.
    async fn refresh_waiting(
        &self,
        grant: &Grant,
        token: &OpenedToken,
        refused: Option<Arc<OpenedToken>>,
    ) -> Result<Arc<OpenedToken>, Error> {
        // Nothing is asked of, or written down against, a provider that nothing describes.
        self.entry(grant.provider)?;
        let (breakers, id, now) = (&self.inner.breakers, token.credential_id, self.now());
        if breakers.turns_away(id, now) || breakers.rest_secs(id, now).is_some() {
            return Err(self.turned_away(id).into());
        }
        self.refreshed(grant.application_id, grant.id, refused)
            .await
    }

    /// The grant's current token as stored, opened and remembered.
    async fn stored_token(&self, grant: &Grant) -> Result<Arc<OpenedToken>, Error> {
        let (application_id, id) = (grant.application_id, grant.id);
        // Also what is remembered and too old to be served is replaced.
        let miss = self.inner.cache.opened_miss();
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.current_token_set(application_id, id).await }));
        let set = job.await?.ok_or_else(no_tokens)?;
        let tokens = self.open_tokens(&set)?;
        let token = OpenedToken::new(&set, &tokens, self.now());
        self.inner.cache.remember_opened(miss, id, &token);
        Ok(token)
    }

    /// Refreshes a token that is still good, if there is room for work nobody waits for (rule 11).
    fn refresh_ahead(&self, grant: &Grant, token: &OpenedToken) {
        if self.inner.flights.has(grant.id) || self.entry(grant.provider).is_err() {
            return;
        }
        let breakers = &self.inner.breakers;
        let Some(permit) = breakers.ahead(grant.provider, token.credential_id, self.now()) else {
            return;
        };
        let waiting = self.take_off(grant.application_id, grant.id, None);
        self.in_background(async move {
            drop(waiting.await);
            drop(permit);
        });
    }
}

fn no_tokens() -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        "This grant has no provider tokens: accounts of its kind are not called through OAuth.",
    )
}

/// Whether a stored token need not be refreshed.
fn is_good(set: &TokenSet, now: UnixMillis, grant_id: GrantId) -> bool {
    set.freshness(now, jitter_of(grant_id)) == Freshness::Fresh
}
