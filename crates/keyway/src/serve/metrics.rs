//! What a server counts about itself, in Prometheus' text format.

mod proxy;
mod refresh;
mod shed;

use super::places::Count;
use http::StatusCode;
use keyway_core::time::UnixMillis;
use keyway_engine::refresh::RefreshReport;
use proxy::ProxyMetrics;
pub(super) use shed::Shed;
use shed::Sheds;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Classes of statuses.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Counters of one server.
#[derive(Debug)]
pub(super) struct Metrics {
    started_at: UnixMillis,
    answers: [AtomicU64; CLASSES.len()],
    /// Calls on behalf of grants.
    pub(super) proxy: ProxyMetrics,
    /// What was refused for want of room.
    pub(super) sheds: Sheds,
    /// Requests under way, of each thread.
    under_way: Mutex<Vec<Arc<Count>>>,
}

impl Metrics {
    pub(super) fn starting_at(started_at: UnixMillis) -> Self {
        Self {
            started_at,
            answers: Default::default(),
            proxy: ProxyMetrics::default(),
            sheds: Sheds::default(),
            under_way: Mutex::default(),
        }
    }

    /// A count of one more thread's requests under way.
    pub(super) fn count_requests(&self) -> Arc<Count> {
        let count = Arc::new(Count::default());
        let mut all = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&count));
        count
    }

    fn requests_under_way(&self) -> usize {
        let all = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|count| count.get()).sum()
    }

    /// Counts an answer.
    pub(super) fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.answers.get(class) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// All of it as text.
    pub(super) fn render(
        &self,
        now: UnixMillis,
        is_ready: bool,
        refreshes: &RefreshReport,
    ) -> String {
        let mut text = String::from(
            "# HELP keyway_http_requests_total Requests answered on the public listener, by class of status.\n\
             # TYPE keyway_http_requests_total counter\n",
        );
        for (class, counter) in CLASSES.iter().zip(&self.answers) {
            let count = counter.load(Relaxed);
            let _ = writeln!(
                text,
                "keyway_http_requests_total{{status=\"{class}\"}} {count}"
            );
        }
        let _ = writeln!(
            text,
            "# HELP keyway_requests_under_way Requests on the public listener whose answers are not written yet.\n\
             # TYPE keyway_requests_under_way gauge\n\
             keyway_requests_under_way {}",
            self.requests_under_way()
        );
        self.sheds.render(&mut text);
        self.proxy.render(&mut text);
        refresh::render(refreshes, &mut text);
        let uptime_ms = now.0.saturating_sub(self.started_at.0).max(0);
        let _ = write!(
            text,
            "# HELP keyway_uptime_seconds Time since the server started.\n\
             # TYPE keyway_uptime_seconds gauge\n\
             keyway_uptime_seconds {}.{:03}\n\
             # HELP keyway_ready Whether the database answers.\n\
             # TYPE keyway_ready gauge\n\
             keyway_ready {}\n\
             # HELP keyway_build_info The version that runs.\n\
             # TYPE keyway_build_info gauge\n\
             keyway_build_info{{version=\"{}\"}} 1\n",
            uptime_ms / 1000,
            uptime_ms % 1000,
            u8::from(is_ready),
            env!("CARGO_PKG_VERSION"),
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_class() {
        let metrics = Metrics::starting_at(UnixMillis(1_000));
        for status in [200, 204, 404, 503] {
            metrics.count(StatusCode::from_u16(status).unwrap());
        }
        let text = metrics.render(UnixMillis(2_500), true, &RefreshReport::default());
        assert!(
            text.contains("keyway_http_requests_total{status=\"2xx\"} 2\n"),
            "{text}"
        );
        assert!(text.contains("keyway_http_requests_total{status=\"5xx\"} 1\n"));
        assert!(text.contains("keyway_uptime_seconds 1.500\n"));
        assert!(text.contains("keyway_ready 1\n"));
    }
}
