//! The right to refresh a grant: one holder at a time over all processes, judged by the database's clock.

use super::is_good;
use super::opened::NoToken;
use crate::engine::Engine;
use keyway_core::ids::{ApplicationId, GrantId};
use keyway_core::refresh::{CALL_LIMIT_MS, LEASE_MS, REST_MAX_MS};
use keyway_core::time::UnixMillis;
use keyway_core::token_set::{RefreshState, TokenSet, Unheard};
use keyway_store::{Session, StoreError};
use std::time::Duration;
use tokio::time::Instant;

/// What asking for the lease found.
pub(super) enum Asked {
    /// It is ours, for this token set.
    Ours(Box<Held>),
    /// Somebody has refreshed already: this set is good.
    Good(Box<TokenSet>),
    /// Somebody else is at it, until then at the latest.
    Busy,
    /// The provider refused lately; not before then.
    Resting(Box<Rest>),
    /// The grant has no tokens any more.
    Gone,
}

/// A grant that is not to be refreshed for a while.
pub(super) struct Rest {
    pub(super) set: TokenSet,
    pub(super) until: UnixMillis,
    /// What the provider said last, and whose fault it was.
    pub(super) last_error: Option<String>,
}

/// A lease held.
pub(super) struct Held {
    /// When it was asked for, by a clock nobody can set.
    pub(super) asked_at: Instant,
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
    /// The database was out of reach a moment ago: a lease that ran out meanwhile may belong to somebody
    /// who could not store an answer, and has the next seconds to do it.
    pub(super) spares_the_late: bool,
}

impl Held {
    /// Whether so little of the lease is left that a call begun now might outlast it.
    pub(super) fn is_too_old(&self) -> bool {
        let spare_ms = LEASE_MS - CALL_LIMIT_MS - SPARE_MS;
        self.asked_at.elapsed() > Duration::from_millis(spare_ms.unsigned_abs())
    }
}

/// Part of what a lease lasts longer than a call that is kept for storing its answer, in milliseconds.
const SPARE_MS: i64 = 5_000;

impl Engine {
    /// Takes the lease if it is to be had. Looks first: of many who ask, most only wait, and those need
    /// not write.
    pub(super) async fn ask_lease(&self, asking: &Asking) -> Result<Asked, NoToken> {
        let ask = asking.clone();
        let looked = self
            .store()
            .read(move |s| Box::pin(async move { look(s, &ask).await }));
        match looked.await? {
            Looked::Free { .. } => {}
            Looked::Said(asked) => return Ok(asked),
        }
        let (ask, asked_at) = (asking.clone(), Instant::now());
        let asked = self
            .store()
            .write(move |s| Box::pin(async move { take(s, &ask, asked_at).await }))
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

/// What a look at a grant's rows found.
enum Looked {
    /// The lease is free, or has run out.
    Free {
        set: Box<TokenSet>,
        known: Option<RefreshState>,
        clock: UnixMillis,
    },
    Said(Asked),
}

/// The state is read before the tokens: whoever held the lease a moment ago gave it back together with
/// what it stored, so a free lease is never seen with the tokens of before.
async fn look(s: &mut Session<'_>, asking: &Asking) -> Result<Looked, StoreError> {
    let (application_id, grant_id) = (asking.application_id, asking.grant_id);
    let clock = s.db_now().await?;
    let known = s.refresh_state(application_id, grant_id).await?;
    let Some(set) = s.current_token_set(application_id, grant_id).await? else {
        return Ok(Looked::Said(Asked::Gone));
    };
    let is_refused = asking.refused == Some((set.id, set.version));
    if !is_refused && is_good(&set, asking.now, grant_id) {
        return Ok(Looked::Said(Asked::Good(Box::new(set))));
    }
    let state = known.as_ref();
    if state.is_some_and(|state| is_held(state, clock, asking)) {
        return Ok(Looked::Said(Asked::Busy));
    }
    if let Some(until) = state.and_then(|state| rests_until(state, asking.now)) {
        let rest = Rest {
            until,
            last_error: known.and_then(|state| state.last_error),
            set,
        };
        return Ok(Looked::Said(Asked::Resting(Box::new(rest))));
    }
    Ok(Looked::Free {
        set: Box::new(set),
        known,
        clock,
    })
}

fn is_held(state: &RefreshState, clock: UnixMillis, asking: &Asking) -> bool {
    let is_left = state.lease_owner.is_some();
    let runs = |until: UnixMillis| clock < until;
    state.lease_until.is_some_and(runs) || (is_left && asking.spares_the_late)
}

/// Until when a grant is left alone after refusals. No rest is longer than the longest a provider can ask
/// for; what claims to be was written by a clock that was wrong.
fn rests_until(state: &RefreshState, now: UnixMillis) -> Option<UnixMillis> {
    let due = state.due_at.filter(|_| state.failures > 0)?;
    let left_ms = due.0.saturating_sub(now.0);
    (left_ms > 0 && left_ms <= REST_MAX_MS).then_some(due)
}

async fn take(
    s: &mut Session<'_>,
    asking: &Asking,
    asked_at: Instant,
) -> Result<Asked, StoreError> {
    let (set, known, clock) = match look(s, asking).await? {
        Looked::Free { set, known, clock } => (*set, known, clock),
        Looked::Said(asked) => return Ok(asked),
    };
    let expected = known.as_ref().map(|state| state.version);
    let state = known.unwrap_or_default();
    // An owner that never gave its lease back may have got new tokens that nobody stored.
    let died = state.lease_owner.is_some().then_some(Unheard::Interrupted);
    let held = RefreshState {
        unheard: state.unheard.or(died),
        lease_owner: Some(asking.owner.clone()),
        lease_until: Some(clock.plus_ms(LEASE_MS)),
        version: expected.unwrap_or(0) + 1,
        ..state
    };
    let won = s
        .upsert_refresh_state(asking.application_id, asking.grant_id, &held, expected)
        .await?;
    Ok(if won {
        Asked::Ours(Box::new(Held {
            asked_at,
            set,
            state: held,
        }))
    } else {
        Asked::Busy
    })
}
