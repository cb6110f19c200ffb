//! What time does to rows: expired sign-ins, tokens and keys, and what deleted connectors left behind.
//! Every sweep is bounded and may run as often as it likes, in any number of processes.

mod ended;

pub(crate) use self::ended::LookThrough;
use crate::engine::{ChangeOf, Engine};
use crate::error::Error;
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::ids::{ApiKeyId, ApplicationId, GrantId};
use keyway_core::sign_in::SIGN_IN_LIFETIME_SECS;
use keyway_core::time::UnixMillis;
use serde_json::json;

/// Rows a sweep takes at once.
const BATCH: i64 = 500;
/// Batches in one round.
const BATCHES_MAX: usize = 20;
/// A refresh token of Keyway's own that was rotated away is kept this long, in seconds, so that its reuse
/// is recognised.
const ROTATED_KEPT_SECS: i64 = 30 * 24 * 3600;
/// Used sign-ins are kept until their state could not open anything any more, in seconds.
const SIGN_IN_KEPT_SECS: i64 = SIGN_IN_LIFETIME_SECS + 24 * 3600;
/// An API key that ended is kept this long, in seconds: whoever finds a program refused can see why.
const ENDED_KEYS_KEPT_SECS: i64 = 30 * 24 * 3600;
/// What a deleted connector or credential left behind is kept this long, in seconds.
const DELETED_KEPT_SECS: i64 = 30 * 24 * 3600;

impl Engine {
    /// Removes what has had its time, a bounded number of rows.
    pub(crate) async fn sweep(&self) -> Result<(), Error> {
        self.sweep_signing_keys().await?;
        for _ in 0..BATCHES_MAX {
            if self.is_stopping() || self.sweep_once().await? < BATCH {
                break;
            }
        }
        self.sweep_ended().await
    }

    /// One batch of every sweep, in one transaction; the most rows any of them found.
    async fn sweep_once(&self) -> Result<i64, Error> {
        let now = self.now();
        let found = self
            .commit(move |s| {
                Box::pin(async move {
                    let before = |secs: i64| now.plus_secs(-secs);
                    let found = [
                        s.sweep_sign_ins(before(SIGN_IN_KEPT_SECS), BATCH).await?,
                        s.sweep_access_tokens(now, BATCH).await?,
                        s.sweep_nonces(now, BATCH).await?,
                        s.sweep_refresh_tokens(before(ROTATED_KEPT_SECS), BATCH)
                            .await?,
                    ];
                    let gone = s.sweep_deleted(before(DELETED_KEPT_SECS), BATCH).await?;
                    let keys = s
                        .sweep_api_keys(before(ENDED_KEYS_KEPT_SECS), BATCH)
                        .await?;
                    let rows = gone.rows.max(keys.len() as u64);
                    let most = found.into_iter().max().unwrap_or(0).max(rows);
                    let grants = gone.grants.iter().map(|grant| swept(*grant, now));
                    let keys = keys.iter().map(|key| swept_key(*key, now));
                    Ok((most, grants.chain(keys).collect()))
                })
            })
            .await?;
        Ok(i64::try_from(found).unwrap_or(BATCH))
    }
}

/// A grant that nobody deleted by itself: what it stood on was.
fn swept((application_id, grant_id): (ApplicationId, GrantId), at: UnixMillis) -> NewChange {
    let change = ChangeOf {
        application_id,
        entity: Entity::Grant,
        id: &grant_id,
        action: Action::Deleted,
        actor: "engine",
    };
    change.with(at, json!({"cause": "connector_or_credential_deleted"}))
}

/// A key that ended long ago, by itself or by somebody's hand.
fn swept_key((application_id, id): (ApplicationId, ApiKeyId), at: UnixMillis) -> NewChange {
    let change = ChangeOf {
        application_id,
        entity: Entity::ApiKey,
        id: &id,
        action: Action::Deleted,
        actor: "engine",
    };
    change.with(at, json!({"cause": "ended"}))
}
