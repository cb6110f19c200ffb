//! What is counted of refreshes, for an operator's metrics.

use super::flight::Outcome;
use crate::engine::Engine;
use keyway_core::refusal::Blame;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Refreshes of one process since it began.
#[derive(Debug, Default)]
pub(crate) struct RefreshCounts {
    stored: AtomicU64,
    not_stored: AtomicU64,
    refused: [AtomicU64; Blame::ALL.len()],
    lost: AtomicU64,
    unstored_us_sum: AtomicU64,
    unstored_us_max: AtomicU64,
}

/// What [`RefreshCounts`] stands at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefreshReport {
    /// Refreshes by how they ended: `stored`, `not_stored`, or who was to blame.
    pub outcomes: Vec<(&'static str, u64)>,
    /// Grants that ended because the answer to an earlier refresh was never stored.
    pub lost: u64,
    /// Time between the provider's answer and its being durable, over all answers, in microseconds: a
    /// process that dies in it loses a rotated refresh token (rule 5).
    pub unstored_us_sum: u64,
    /// The longest of those times.
    pub unstored_us_max: u64,
}

impl RefreshCounts {
    /// A provider gave tokens; storing them took `unstored`.
    pub(super) fn answered(&self, stored: &Outcome, unstored: Duration) {
        let counter = match stored {
            Ok(_) => &self.stored,
            Err(_) => &self.not_stored,
        };
        counter.fetch_add(1, Relaxed);
        let us = u64::try_from(unstored.as_micros()).unwrap_or(u64::MAX);
        self.unstored_us_sum.fetch_add(us, Relaxed);
        self.unstored_us_max.fetch_max(us, Relaxed);
    }

    /// A provider gave none.
    pub(super) fn refused(&self, blame: Blame) {
        let at = Blame::ALL.iter().position(|known| *known == blame);
        if let Some(counter) = at.and_then(|at| self.refused.get(at)) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// A grant ended for want of an answer that was never stored.
    pub(super) fn lost(&self) {
        self.lost.fetch_add(1, Relaxed);
    }

    fn report(&self) -> RefreshReport {
        let answered = [("stored", &self.stored), ("not_stored", &self.not_stored)];
        let refused = Blame::ALL
            .iter()
            .map(|blame| blame.as_str())
            .zip(&self.refused);
        let outcomes = answered.into_iter().chain(refused);
        RefreshReport {
            outcomes: outcomes.map(|(name, n)| (name, n.load(Relaxed))).collect(),
            lost: self.lost.load(Relaxed),
            unstored_us_sum: self.unstored_us_sum.load(Relaxed),
            unstored_us_max: self.unstored_us_max.load(Relaxed),
        }
    }
}

impl Engine {
    /// How refreshes of this process went.
    #[must_use]
    pub fn refresh_report(&self) -> RefreshReport {
        self.inner.refresh_counts.report()
    }
}
