//! When the database was last out of reach.

use crate::error::ErrorKind;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long after an outage those who could not store an answer go first: longer than the longest pause
/// between their tries.
const LATE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct Outages(Mutex<Option<Instant>>);

impl Outages {
    /// Notes that work failed so, if it was for want of the database.
    pub(super) fn note(&self, kind: ErrorKind) {
        if kind == ErrorKind::Unavailable {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(Instant::now());
        }
    }

    /// Whether there was one a moment ago.
    pub(super) fn was_lately(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() < LATE)
    }
}
