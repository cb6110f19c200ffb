//! The right to refresh a grant: one holder at a time over all processes, judged by the database's clock.

use super::is_good;
use super::opened::NoToken;
use crate::engine::Engine;
use keyway_core::ids::{ApplicationId, GrantId};
use keyway_core::refresh::LEASE_MS;
use keyway_core::time::UnixMillis;
use keyway_core::token_set::{RefreshState, TokenSet, Unheard};
use keyway_store::{Session, StoreError};

/// What asking for the lease found.
pub(super) enum Asked {
    /// It is ours, for this token set.
    Ours(Box<Held>),
    /// Somebody has refreshed already: this set is good.
    Good(Box<TokenSet>),
    /// Somebody else is at it, until then at the latest.
    Busy,
    /// The provider was refused lately; not before then.
    Resting(UnixMillis),
    /// The grant has no tokens any more.
    Gone,
}

/// A lease held.
pub(super) struct Held {
    pub(super) set: TokenSet,
    pub(super) state: RefreshState,
}

/// Who asks, and for what.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) application_id: ApplicationId,
    pub(super) grant_id: GrantId,
    /// The name of this attempt.
    pub(super) owner: String,
    /// The version of a token the provider's API refused: good by the clock, yet to be replaced.
    pub(super) refused: Option<(keyway_core::ids::TokenSetId, i64)>,
    /// The present, as the engine sees it; token lives are judged by it.
    pub(super) now: UnixMillis,
}

impl Engine {
    pub(super) async fn ask_lease(&self, asking: Asking) -> Result<Asked, NoToken> {
        let asked = self
            .store()
            .write(move |s| Box::pin(async move { ask(s, &asking).await }))
            .await;
        match asked {
            // Two processes asked at the same moment, and the other one was first.
            Err(StoreError::Conflict(_)) => Ok(Asked::Busy),
            other => Ok(other?),
        }
    }

    /// Gives the lease back with what was learnt, unless somebody else holds it by now.
    pub(super) async fn give_back(
        &self,
        asking: &Asking,
        held: &RefreshState,
        learnt: RefreshState,
    ) -> Result<bool, NoToken> {
        let (application_id, grant_id, version) =
            (asking.application_id, asking.grant_id, held.version);
        let kept = self
            .store()
            .write(move |s| {
                Box::pin(async move {
                    s.upsert_refresh_state(application_id, grant_id, &learnt, Some(version))
                        .await
                })
            })
            .await?;
        Ok(kept)
    }
}

async fn ask(s: &mut Session<'_>, asking: &Asking) -> Result<Asked, StoreError> {
    let clock = s.db_now().await?;
    let Some(set) = s
        .current_token_set(asking.application_id, asking.grant_id)
        .await?
    else {
        return Ok(Asked::Gone);
    };
    let is_refused = asking.refused == Some((set.id, set.version));
    if !is_refused && is_good(set.access_expires_at, asking.now, asking.grant_id) {
        return Ok(Asked::Good(Box::new(set)));
    }
    let known = s
        .refresh_state(asking.application_id, asking.grant_id)
        .await?;
    let state = known.clone().unwrap_or_default();
    if state.lease_until.is_some_and(|until| clock < until) {
        return Ok(Asked::Busy);
    }
    if let Some(rest) = state
        .due_at
        .filter(|due| state.failures > 0 && asking.now < *due)
    {
        return Ok(Asked::Resting(rest));
    }
    // An owner that never gave its lease back may have got new tokens that nobody stored.
    let died = state.lease_owner.is_some().then_some(Unheard::Interrupted);
    let held = RefreshState {
        unheard: state.unheard.or(died),
        lease_owner: Some(asking.owner.clone()),
        lease_until: Some(clock.plus_ms(LEASE_MS)),
        version: known.as_ref().map_or(1, |state| state.version + 1),
        ..state
    };
    let expected = known.map(|state| state.version);
    let won = s
        .upsert_refresh_state(asking.application_id, asking.grant_id, &held, expected)
        .await?;
    Ok(if won {
        Asked::Ours(Box::new(Held { set, state: held }))
    } else {
        Asked::Busy
    })
}
