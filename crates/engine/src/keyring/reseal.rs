//! Sealing anew what retiring terms sealed. One process at a time, in small transactions, and from wherever
//! it stopped: a value that carries the active term is done.

use super::{in_state, is_over};
use crate::engine::Engine;
use crate::error::Error;
use keyway_core::entropy::random_bytes;
use keyway_core::issued::KeyRow;
use keyway_core::sealed::{SealContext, Sealed};
use keyway_core::time::UnixMillis;
use keyway_store::{SealedColumn, SealedRow, StoreError};
use keyway_vault::{KeyState, sealed_prefix, term_of_prefix};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Values sealed anew in one transaction.
const BATCH: i64 = 200;
/// How long one process has the work to itself, in milliseconds; renewed with every batch.
const LEASE_MS: i64 = 30_000;
/// Pause between a server's batches, so that what is asked of it meanwhile goes first.
const PAUSE: Duration = Duration::from_millis(20);
const LEASE: &str = "reseal";
/// How soon a server looks again at terms that could be retired if they sealed nothing: a damaged value keeps
/// them, and to find that out takes reading all the tables.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Values sealed anew.
    pub done: u64,
    /// Values that do not open, `column/row`: they were changed, or moved from another row. They stay.
    pub unreadable: Vec<String>,
    /// Whether it went through everything; if not, another process has the work, or the server stops.
    pub is_complete: bool,
}

/// One run: whose, with which term, and what came of it.
struct Run {
    owner: String,
    term: u32,
    pause: Duration,
    outcome: Resealed,
    /// Whether a value was met that a newer term sealed: somebody rotated on meanwhile.
    is_behind: bool,
}

/// How far a batch went.
enum Batch {
    /// There was nothing left.
    Done,
    /// Up to this row.
    Through(SealedRow),
    /// The work is another process's, or is to be begun anew with a newer term.
    NotOurs,
}

/// A value and what is to stand in its place.
struct Replacement {
    row: SealedRow,
    old: Sealed,
    new: Sealed,
}

/// The rotation as a server's round finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rotation {
    /// The terms that stopped sealing, and since when.
    retiring: Vec<(i64, UnixMillis)>,
    /// How many of them may be retired as soon as they seal nothing.
    over: usize,
}

impl Rotation {
    fn of(keys: Vec<KeyRow>, now: UnixMillis) -> Self {
        let retiring: Vec<KeyRow> = in_state(keys, KeyState::Retiring).collect();
        Self {
            over: retiring.iter().filter(|key| is_over(key, now)).count(),
            retiring: retiring
                .iter()
                .map(|key| (key.term, key.state_since))
                .collect(),
        }
    }
}

/// The last run of a server's rounds that went through everything: until something changes there is nothing to
/// do, and the tables are not read again for it.
#[derive(Default)]
pub(crate) struct LastRun(Mutex<Option<(Rotation, Instant)>>);

impl LastRun {
    fn covers(&self, rotation: &Rotation) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().is_some_and(|(seen, at)| {
            seen == rotation && (rotation.over == 0 || at.elapsed() < LOOK_AGAIN)
        })
    }

    fn note(&self, rotation: Rotation) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((rotation, Instant::now()));
    }
}

impl Engine {
    /// Seals everything anew that is not sealed with the active term, and tells `progress` after each batch
    /// how many values are done. Rests for `pause` between batches.
    ///
    /// # Errors
    /// If the database does not answer; what is done stays done.
    pub async fn reseal(
        &self,
        pause: Duration,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<Resealed, Error> {
        // The states come from the database, what seals from memory: they must not be of different times.
        self.take_up_keys().await?;
        let id: [u8; 8] = random_bytes(self.entropy());
        let mut run = Run {
            owner: format!("{:016x}", u64::from_le_bytes(id)),
            term: self.vault().sealing_term(),
            pause,
            outcome: Resealed::default(),
            is_behind: false,
        };
        let is_complete = self.reseal_columns(&mut run, &mut progress).await?;
        let owner = run.owner;
        self.store()
            .write::<_, StoreError, _>(move |s| {
                Box::pin(async move { s.give_lease_back(LEASE, &owner).await })
            })
            .await?;
        Ok(Resealed {
            is_complete,
            ..run.outcome
        })
    }

    async fn reseal_columns(
        &self,
        run: &mut Run,
        progress: &mut (impl FnMut(u64) + Send),
    ) -> Result<bool, Error> {
        for column in SealedColumn::ALL {
            let mut after = SealedRow::default();
            loop {
                match self.reseal_batch(run, column, &after).await? {
                    Batch::Done => break,
                    Batch::NotOurs => return Ok(false),
                    Batch::Through(last) => after = last,
                }
                progress(run.outcome.done);
                if self.is_stopping() {
                    return Ok(false);
                }
                tokio::time::sleep(run.pause).await;
            }
        }
        Ok(true)
    }

    async fn reseal_batch(
        &self,
        run: &mut Run,
        column: SealedColumn,
        after: &SealedRow,
    ) -> Result<Batch, Error> {
        let (after, prefix) = (after.clone(), sealed_prefix(run.term));
        let job = self.store().read(move |s| {
            Box::pin(async move { s.sealed_otherwise(column, &after, &prefix, BATCH).await })
        });
        let found = job.await?;
        let Some((last, _)) = found.last().cloned() else {
            return Ok(Batch::Done);
        };
        let replacements = found
            .into_iter()
            .filter_map(|(row, old)| self.replacement(run, column, row, old))
            .collect();
        if run.is_behind {
            self.inner.keys_changed.notify_one();
            return Ok(Batch::NotOurs);
        }
        let Some(written) = self.write_replacements(run, column, replacements).await? else {
            return Ok(Batch::NotOurs);
        };
        run.outcome.done += written;
        Ok(Batch::Through(last))
    }

    fn replacement(
        &self,
        run: &mut Run,
        column: SealedColumn,
        row: SealedRow,
        old: Sealed,
    ) -> Option<Replacement> {
        let context = SealContext {
            purpose: column.as_str(),
            row: &row.id,
        };
        match self.vault().open(&context, &old) {
            // Sealing it with the older term would undo what another process does.
            _ if is_newer(&old, run.term) => {
                run.is_behind = true;
                None
            }
            Ok(plain) => {
                let new = self.vault().seal(&context, &plain);
                Some(Replacement { row, old, new })
            }
            Err(error) => {
                tracing::error!(column = column.as_str(), row = row.id, %error, "a sealed value does not open");
                let at = format!("{}/{}", column.as_str(), row.id);
                run.outcome.unreadable.push(at);
                None
            }
        }
    }

    /// How many were written, or `None` if another process has the work or another term seals by now. A value
    /// that changed meanwhile was sealed by whoever changed it.
    async fn write_replacements(
        &self,
        run: &Run,
        column: SealedColumn,
        replacements: Vec<Replacement>,
    ) -> Result<Option<u64>, Error> {
        let (owner, term) = (run.owner.clone(), i64::from(run.term));
        let written = self.store().write::<_, StoreError, _>(move |s| {
            Box::pin(async move {
                let mut active = in_state(s.keys().await?, KeyState::Active);
                if active.any(|key| key.term > term)
                    || !s.take_lease(LEASE, &owner, LEASE_MS).await?
                {
                    return Ok(None);
                }
                let mut written = 0;
                for Replacement { row, old, new } in &replacements {
                    written += u64::from(s.replace_sealed(column, row, old, new).await?);
                }
                Ok(Some(written))
            })
        });
        Ok(written.await?)
    }

    /// A server's round: goes on with a rotation, wherever it is. A process that lacks keys leaves that to
    /// others, which can open what there is to seal anew.
    pub(crate) async fn rotate_on(&self) -> Result<(), Error> {
        if self.inner.keys_missing.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.take_up_keys().await?;
        if self.is_announcing().await? {
            self.activate_announced().await?;
        }
        let (keys, now) = self.keys_now().await?;
        let rotation = Rotation::of(keys, now);
        if rotation.retiring.is_empty() || self.inner.last_run.covers(&rotation) {
            return Ok(());
        }
        if self.reseal(PAUSE, |_| ()).await?.is_complete {
            self.retire_terms().await?;
            self.inner.last_run.note(rotation);
        }
        Ok(())
    }
}

/// Whether a later term than `term` sealed it. What has no readable beginning is none of ours.
fn is_newer(sealed: &Sealed, term: u32) -> bool {
    let prefix = sealed.0.get(..sealed_prefix(term).len());
    let other = prefix.and_then(term_of_prefix);
    other.is_some_and(|other| other > term)
}
