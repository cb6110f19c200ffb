//! Sealing anew what retiring terms sealed. One process at a time, in small transactions, and from wherever
//! it stopped: a value that carries the active term is done.

use crate::engine::Engine;
use crate::error::Error;
use keyway_core::entropy::random_bytes;
use keyway_core::sealed::{SealContext, Sealed};
use keyway_store::{SealedColumn, SealedRow, StoreError};
use keyway_vault::{KeyState, sealed_prefix};
use std::time::Duration;

/// Values sealed anew in one transaction.
const BATCH: i64 = 200;
/// How long one process has the work to itself, in milliseconds; renewed with every batch.
const LEASE_MS: i64 = 30_000;
/// Pause between a server's batches, so that what is asked of it meanwhile goes first.
const PAUSE: Duration = Duration::from_millis(20);
const LEASE: &str = "reseal";

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

/// One run: whose, how far, and what came of it.
struct Run {
    owner: String,
    prefix: Vec<u8>,
    pause: Duration,
    outcome: Resealed,
}

/// A value and what is to stand in its place.
struct Replacement {
    row: SealedRow,
    old: Sealed,
    new: Sealed,
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
        let id: [u8; 8] = random_bytes(self.entropy());
        let mut run = Run {
            owner: format!("{:016x}", u64::from_le_bytes(id)),
            prefix: sealed_prefix(self.vault().sealing_term()),
            pause,
            outcome: Resealed::default(),
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
            while let Some(last) = self.reseal_batch(run, column, &after).await? {
                let Some(last) = last else { return Ok(false) };
                after = last;
                progress(run.outcome.done);
                if self.is_stopping() {
                    return Ok(false);
                }
                tokio::time::sleep(run.pause).await;
            }
        }
        Ok(true)
    }

    /// One batch: `None` when the column is done, `Some(None)` when the work is somebody else's, otherwise the
    /// last row looked at.
    async fn reseal_batch(
        &self,
        run: &mut Run,
        column: SealedColumn,
        after: &SealedRow,
    ) -> Result<Option<Option<SealedRow>>, Error> {
        let (after, prefix) = (after.clone(), run.prefix.clone());
        let job = self.store().read(move |s| {
            Box::pin(async move { s.sealed_otherwise(column, &after, &prefix, BATCH).await })
        });
        let found = job.await?;
        let Some((last, _)) = found.last().cloned() else {
            return Ok(None);
        };
        let replacements = found
            .into_iter()
            .filter_map(|(row, old)| self.replacement(run, column, row, old))
            .collect();
        let written = self.write_replacements(run, column, replacements).await?;
        run.outcome.done += written.unwrap_or(0);
        Ok(Some(written.map(|_| last)))
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

    /// How many were written, or `None` if another process has the work. A value that changed meanwhile was
    /// sealed by whoever changed it.
    async fn write_replacements(
        &self,
        run: &Run,
        column: SealedColumn,
        replacements: Vec<Replacement>,
    ) -> Result<Option<u64>, Error> {
        let owner = run.owner.clone();
        let written = self.store().write::<_, StoreError, _>(move |s| {
            Box::pin(async move {
                if !s.take_lease(LEASE, &owner, LEASE_MS).await? {
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

    /// A server's round: goes on with a rotation, wherever it is.
    pub(crate) async fn rotate_on(&self) -> Result<(), Error> {
        if self.has_term(KeyState::Announced).await? {
            self.activate_announced().await?;
        }
        if !self.has_term(KeyState::Retiring).await? {
            return Ok(());
        }
        let outcome = self.reseal(PAUSE, |_| ()).await?;
        if outcome.is_complete {
            self.retire_terms().await?;
        }
        Ok(())
    }

    async fn has_term(&self, state: KeyState) -> Result<bool, Error> {
        let keys = crate::unlock::read_keys(self.store()).await?;
        Ok(keys.iter().any(|key| key.state == state))
    }
}
