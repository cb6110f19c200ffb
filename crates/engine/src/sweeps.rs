//! What time does to rows: expired sign-ins, tokens and keys, and what deleted connectors left behind.
//! Every sweep is bounded and may run as often as it likes, in any number of processes.

use crate::engine::Engine;
use crate::error::Error;
use keyway_core::sign_in::SIGN_IN_LIFETIME_SECS;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Rows a sweep takes at once.
const BATCH: i64 = 500;
/// Used sign-ins are kept until their state could not open anything any more, in seconds.
const SIGN_IN_KEPT_SECS: i64 = SIGN_IN_LIFETIME_SECS + 24 * 3600;
/// What a deleted connector or credential left behind is kept this long, in seconds.
const DELETED_KEPT_SECS: i64 = 30 * 24 * 3600;
/// Pause between two rounds.
const PAUSE: Duration = Duration::from_secs(10);

impl Engine {
    pub(crate) async fn tick_forever(self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.tick().await {
                tracing::warn!(%error, "a round of background work failed; the next one tries again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// One round of everything the server does by itself.
    ///
    /// # Errors
    /// If the database does not answer; nothing is half done.
    pub async fn tick(&self) -> Result<(), Error> {
        self.revoke_rested().await?;
        self.sweep_signing_keys().await?;
        self.refresh_due().await?;
        self.probe_broken().await;
        let now = self.now();
        let swept = self
            .store()
            .write(move |s| {
                Box::pin(async move {
                    s.sweep_sign_ins(now.plus_secs(-SIGN_IN_KEPT_SECS), BATCH)
                        .await?;
                    s.sweep_access_tokens(now, BATCH).await?;
                    s.sweep_deleted(now.plus_secs(-DELETED_KEPT_SECS), BATCH)
                        .await
                })
            })
            .await?;
        if swept > 0 {
            self.inner.cache.clear_grants();
        }
        Ok(())
    }
}
