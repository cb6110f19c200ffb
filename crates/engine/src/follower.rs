//! Following what other processes change, so that what this one remembers stays true.

use crate::engine::Engine;
use crate::error::Error;
use keyway_core::time::UnixMillis;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the sequence of changes is looked at. A change made elsewhere counts here within this
/// time and one read.
const PAUSE: Duration = Duration::from_millis(40);
/// Entries read at once; a longer jump forgets everything instead.
const BATCH: i64 = 1000;
/// On PostgreSQL a lower number may become visible after a higher one; entries this young are read
/// again, in milliseconds. Forgetting twice does no harm.
const OVERLAP_MS: i64 = 10_000;

/// Where a follower stands.
#[derive(Default)]
struct Position {
    seq: i64,
    /// Entries above `settled` that were handled already.
    handled: BTreeSet<i64>,
    settled: i64,
}

impl Engine {
    pub(crate) async fn follow_changes(self, stop: CancellationToken) {
        let mut position = None;
        loop {
            match self.follow_once(&mut position).await {
                Ok(()) => {}
                Err(error) => {
                    // What happened meanwhile is unknown: remember nothing until it is known again.
                    self.inner.cache.forget_all();
                    tracing::warn!(%error, "the sequence of changes cannot be read");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn follow_once(&self, position: &mut Option<Position>) -> Result<(), Error> {
        let Some(at) = position else {
            let seq = self
                .store()
                .read(|s| Box::pin(async move { s.latest_seq().await }))
                .await?;
            *position = Some(Position {
                seq,
                settled: seq,
                ..Position::default()
            });
            self.inner.cache.forget_all();
            return Ok(());
        };
        let latest = self
            .store()
            .read(|s| Box::pin(async move { s.latest_seq().await }))
            .await?;
        if latest == at.seq && at.handled.is_empty() {
            return Ok(());
        }
        let from = at.settled;
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.changes_since(from, BATCH).await }));
        let changes = job.await?;
        if i64::try_from(changes.len()).unwrap_or(BATCH) >= BATCH {
            self.inner.cache.forget_all();
            *at = Position {
                seq: latest,
                settled: latest,
                ..Position::default()
            };
            return Ok(());
        }
        for change in &changes {
            if at.handled.insert(change.seq) {
                self.inner.cache.forget(&change.change);
            }
        }
        at.seq = latest;
        at.settle(&changes, self.now());
        Ok(())
    }
}

impl Position {
    /// Moves past entries that are old enough for every lower number to be visible.
    fn settle(&mut self, changes: &[keyway_core::change::Change], now: UnixMillis) {
        let old = |c: &&keyway_core::change::Change| c.change.at.0 < now.0 - OVERLAP_MS;
        if let Some(last) = changes.iter().take_while(old).last() {
            self.settled = last.seq;
            self.handled.retain(|seq| *seq > last.seq);
        }
    }
}
