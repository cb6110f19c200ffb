//! What is counted of calls on behalf of grants.

use super::CLASSES;
use http::StatusCode;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper ends of the histogram's buckets, in milliseconds.
const BUCKETS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 30_000];

/// Counters of calls.
#[derive(Debug, Default)]
pub(in super::super) struct ProxyMetrics {
    answers: [AtomicU64; CLASSES.len()],
    buckets: [AtomicU64; BUCKETS_MS.len()],
    sum_ms: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    replayed: AtomicU64,
}

impl ProxyMetrics {
    /// Counts an answer of a provider's, which took so long to begin.
    pub(in super::super) fn answered(&self, status: StatusCode, took_ms: u64) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        let bucket = BUCKETS_MS.partition_point(|end| *end < took_ms);
        for counter in [self.answers.get(class), self.buckets.get(bucket)]
            .into_iter()
            .flatten()
        {
            counter.fetch_add(1, Relaxed);
        }
        self.sum_ms.fetch_add(took_ms, Relaxed);
    }

    /// Counts an answer of Keyway's own.
    pub(in super::super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a provider that brought no answer.
    pub(in super::super) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    /// Counts a call that was made again with another token.
    pub(in super::super) fn replayed(&self) {
        self.replayed.fetch_add(1, Relaxed);
    }

    /// All of it, in Prometheus' text format.
    pub(super) fn render(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "# HELP keyway_proxy_answers_total Answers of providers passed on, by class of status.\n\
             # TYPE keyway_proxy_answers_total counter"
        );
        let mut count = 0;
        for (class, counter) in CLASSES.iter().zip(&self.answers) {
            let answers = counter.load(Relaxed);
            count += answers;
            let _ = writeln!(
                text,
                "keyway_proxy_answers_total{{status=\"{class}\"}} {answers}"
            );
        }
        self.render_times(text, count);
        for (name, help, counter) in [
            ("refused", "Calls answered by Keyway itself.", &self.refused),
            (
                "failed",
                "Calls to which the provider gave no answer.",
                &self.failed,
            ),
            (
                "replayed",
                "Calls made again with another token.",
                &self.replayed,
            ),
        ] {
            let _ = writeln!(
                text,
                "# HELP keyway_proxy_{name}_total {help}\n\
                 # TYPE keyway_proxy_{name}_total counter\n\
                 keyway_proxy_{name}_total {}",
                counter.load(Relaxed)
            );
        }
    }

    fn render_times(&self, text: &mut String, count: u64) {
        let name = "keyway_proxy_upstream_seconds";
        let _ = writeln!(
            text,
            "# HELP {name} How long providers took to begin their answers.\n# TYPE {name} histogram"
        );
        let mut below = 0;
        for (end, counter) in BUCKETS_MS.iter().zip(&self.buckets) {
            below += counter.load(Relaxed);
            let _ = writeln!(
                text,
                "{name}_bucket{{le=\"{}.{:03}\"}} {below}",
                end / 1000,
                end % 1000
            );
        }
        let sum_ms = self.sum_ms.load(Relaxed);
        let _ = writeln!(
            text,
            "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {}.{:03}\n{name}_count {count}",
            sum_ms / 1000,
            sum_ms % 1000
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_in_every_bucket_from_theirs_on() {
        let metrics = ProxyMetrics::default();
        metrics.answered(StatusCode::OK, 3);
        metrics.answered(StatusCode::NOT_FOUND, 60_000);
        let mut text = String::new();
        metrics.render(&mut text);
        for line in [
            "keyway_proxy_answers_total{status=\"2xx\"} 1",
            "keyway_proxy_upstream_seconds_bucket{le=\"0.002\"} 0",
            "keyway_proxy_upstream_seconds_bucket{le=\"0.005\"} 1",
            "keyway_proxy_upstream_seconds_bucket{le=\"30.000\"} 1",
            "keyway_proxy_upstream_seconds_bucket{le=\"+Inf\"} 2",
            "keyway_proxy_upstream_seconds_sum 60.003",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
