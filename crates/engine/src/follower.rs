//! Following what other processes change, so that what this one remembers stays true.
//!
//! The sequence of changes grows in the order of commits on both databases, so a follower only ever
//! looks behind the last entry it has seen. Where it cannot look, nothing remembered counts.

use crate::engine::Engine;
use crate::error::Error;
use futures_util::FutureExt as _;
use keyway_core::change::Entity;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often the sequence of changes is looked at. A change made elsewhere counts here within this
/// time and one read.
const PAUSE: Duration = Duration::from_millis(40);
/// A look that takes longer has failed: a database that hangs must not keep a revoked key alive.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// What is remembered counts for nothing this long after the last good look began, unless the operator lets it
/// count for longer ([`Settings::serve_through_outage`](crate::Settings)).
pub(crate) const STALE_AFTER: Duration = Duration::from_millis(500);
/// Entries read at once.
const BATCH: i64 = 500;
/// A follower further behind than this many batches forgets everything instead of reading on.
const BATCHES_MAX: usize = 20;

/// Whether what is remembered is known to be current.
pub(crate) struct Following {
    /// Whether other processes' changes are followed at all; a command of the program does not, and
    /// lives too short to miss any.
    follows: AtomicBool,
    /// For how long after it what is remembered counts, in milliseconds.
    stale_after_ms: i64,
    /// When the last good look began, in milliseconds since `began`.
    last_ok_ms: AtomicI64,
    /// Time is measured from here by a clock nobody can set.
    began: Instant,
}

impl Following {
    pub(crate) fn new(stale_after: Duration) -> Self {
        Self {
            stale_after_ms: i64::try_from(stale_after.as_millis()).unwrap_or(i64::MAX),
            follows: AtomicBool::new(false),
            last_ok_ms: AtomicI64::new(i64::MIN),
            began: Instant::now(),
        }
    }

    /// From now on what is remembered counts only after a good look.
    pub(crate) fn begin(&self) {
        self.follows.store(true, Ordering::Release);
    }

    /// Whether what is remembered counts.
    pub(crate) fn is_current(&self) -> bool {
        !self.follows.load(Ordering::Acquire) || self.is_current_at(self.elapsed_ms())
    }

    /// Whether changes are followed, and were seen to their end not too long ago.
    pub(crate) fn is_seen(&self) -> bool {
        self.follows.load(Ordering::Acquire) && self.is_current_at(self.elapsed_ms())
    }

    fn is_current_at(&self, at_ms: i64) -> bool {
        at_ms.saturating_sub(self.last_ok_ms.load(Ordering::Acquire)) <= self.stale_after_ms
    }

    fn elapsed_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// A look that began then has seen everything.
    fn caught_up(&self, began_ms: i64) {
        self.last_ok_ms.store(began_ms, Ordering::Release);
    }
}

impl Engine {
    pub(crate) async fn follow_changes(self, stop: CancellationToken) {
        let mut seen = None;
        loop {
            // Without a follower nothing that is remembered counts: a fault in one look must not be the last of it.
            let looked = AssertUnwindSafe(self.look(&mut seen)).catch_unwind().await;
            let looked = looked.unwrap_or_else(|_| {
                Err(Error::internal(
                    "a look at the changes ended by a fault of its own",
                ))
            });
            if let Err(error) = looked {
                // What happens meanwhile is unknown. What is remembered counts for a little longer, and for
                // nothing once the sequence can be read again: after a failover it may have gone back.
                seen = None;
                tracing::warn!(%error, "the sequence of changes cannot be read");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn look(&self, seen: &mut Option<i64>) -> Result<(), Error> {
        let following = &self.inner.cache.following;
        let began_ms = following.elapsed_ms();
        let looked = tokio::time::timeout(LOOK_MAX, self.follow_once(seen)).await;
        if looked.map_err(Error::internal)?? {
            following.caught_up(began_ms);
        }
        Ok(())
    }

    /// Whether everything has been seen.
    async fn follow_once(&self, seen: &mut Option<i64>) -> Result<bool, Error> {
        let Some(last) = seen else {
            *seen = Some(self.latest_seq().await?);
            self.inner.cache.forget_all();
            self.inner.keys_changed.notify_one();
            return Ok(true);
        };
        for _ in 0..BATCHES_MAX {
            let from = *last;
            let job = self
                .store()
                .read_apart(move |s| Box::pin(async move { s.changes_since(from, BATCH).await }));
            let changes = job.await?;
            for change in &changes {
                self.inner.cache.forget(&change.change);
                if change.change.entity == Entity::Keyring {
                    self.inner.keys_changed.notify_one();
                }
                *last = change.seq;
            }
            if i64::try_from(changes.len()).unwrap_or(BATCH) < BATCH {
                return Ok(true);
            }
        }
        *seen = None;
        Ok(false)
    }

    async fn latest_seq(&self) -> Result<i64, Error> {
        Ok(self
            .store()
            .read_apart(|s| Box::pin(async move { s.latest_seq().await }))
            .await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_counts_where_nobody_follows() {
        let following = Following::new(STALE_AFTER);
        assert!(following.is_current());
    }

    #[test]
    fn what_is_remembered_counts_only_after_a_good_look() {
        let following = Following::new(STALE_AFTER);
        following.begin();
        assert!(!following.is_current());
        following.caught_up(following.elapsed_ms());
        assert!(following.is_current());
    }

    #[test]
    fn what_is_remembered_counts_no_more_half_a_second_after_the_last_good_look() {
        let following = Following::new(STALE_AFTER);
        following.begin();
        following.caught_up(1_000);
        assert!(following.is_current_at(1_500));
        assert!(!following.is_current_at(1_501));
        // A look that began later and has not ended says nothing yet.
        following.caught_up(2_000);
        assert!(following.is_current_at(2_400));
    }
}
