//! What a server does by itself, over and over. Each kind of work has rounds of its own, so that a
//! provider that keeps one waiting keeps no other.

use crate::engine::Engine;
use crate::error::Error;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// Pause between two rounds.
const PAUSE: Duration = Duration::from_secs(10);

/// One round of one kind of work. Looks between items whether the server is stopping.
type Round = for<'e> fn(&'e Engine) -> BoxFuture<'e, Result<(), Error>>;

const KINDS: [(&str, Round); 7] = [
    ("revocations", |engine| Box::pin(engine.revoke_due())),
    ("keep-alive refreshes", |engine| {
        Box::pin(engine.refresh_due())
    }),
    ("login checks", |engine| Box::pin(engine.check_logins())),
    ("probes", |engine| Box::pin(engine.probe_broken())),
    ("opened secrets", |engine| Box::pin(engine.drop_opened())),
    ("sweeps", |engine| Box::pin(engine.sweep())),
    ("keyring", |engine| Box::pin(engine.rotate_on())),
];

impl Engine {
    /// Starts all rounds; they end when the server stops.
    pub(crate) fn start_rounds(&self) {
        for (kind, round) in KINDS {
            self.in_background(self.clone().rounds(kind, round));
        }
    }

    async fn rounds(self, kind: &'static str, round: Round) {
        loop {
            // A fault in one round must not be the end of all that come after it.
            let done = AssertUnwindSafe(round(&self)).catch_unwind().await;
            if done.is_err() {
                tracing::error!(
                    kind,
                    "a round of background work ended by a fault of its own: a defect, please report it"
                );
            }
            if let Ok(Err(error)) = done {
                tracing::warn!(kind, %error, "a round of background work failed; the next one tries again");
            }
            tokio::select! {
                () = self.stopping() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Drops secrets from memory that have been open long enough.
    async fn drop_opened(&self) -> Result<(), Error> {
        self.inner.cache.drop_opened(self.now());
        Ok(())
    }

    /// One round of everything, one after the other.
    ///
    /// # Errors
    /// If the database does not answer; nothing is half done.
    pub async fn tick(&self) -> Result<(), Error> {
        for (_, round) in KINDS {
            round(self).await?;
        }
        Ok(())
    }
}
