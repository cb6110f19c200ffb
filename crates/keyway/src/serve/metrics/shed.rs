//! What is counted of what was refused for want of room.

use keyway_core::time::UnixMillis;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Between two lines in the log about it.
const TOLD_EVERY_MS: i64 = 10_000;

/// What is refused, cut off or sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Shed {
    /// A request, because too many are under way.
    Request,
    /// A call, because its application has too many under way.
    Application,
    /// A call, because its provider has.
    Provider,
    /// A connection that nobody used while others waited.
    Connection,
    /// A caller that did not read its answer.
    Reader,
    /// A request, because there is no memory for its body.
    Body,
    /// A WebSocket, because too many are open.
    Tunnel,
}

/// What each is called, in the order in which they stand above.
const NAMES: [&str; 7] = [
    "requests",
    "application",
    "provider",
    "connections",
    "reader",
    "bodies",
    "tunnels",
];

/// Counters of what was shed.
#[derive(Debug, Default)]
pub(in super::super) struct Sheds {
    counts: [AtomicU64; NAMES.len()],
    told_at_ms: AtomicI64,
}

impl Sheds {
    /// Counts one.
    pub(in super::super) fn note(&self, shed: Shed) {
        if let Some(counter) = self.counts.get(shed as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// The counts so far, if it is time for a line in the log: a flood must not become a flood of lines.
    pub(in super::super) fn to_tell(&self, now: UnixMillis) -> Option<Vec<(&'static str, u64)>> {
        let told_at = self.told_at_ms.load(Relaxed);
        let is_time = now.0.saturating_sub(told_at) >= TOLD_EVERY_MS || now.0 < told_at;
        let is_mine = is_time
            && self
                .told_at_ms
                .compare_exchange(told_at, now.0, Relaxed, Relaxed)
                .is_ok();
        is_mine.then(|| self.all().collect())
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = NAMES.iter().zip(&self.counts);
        counts.map(|(name, count)| (*name, count.load(Relaxed)))
    }

    /// All of it, in Prometheus' text format.
    pub(super) fn render(&self, text: &mut String) {
        text.push_str(
            "# HELP keyway_shed_total Requests, calls and connections refused or cut off for want of room.\n\
             # TYPE keyway_shed_total counter\n",
        );
        for (name, count) in self.all() {
            let _ = writeln!(text, "keyway_shed_total{{what=\"{name}\"}} {count}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_by_itself_and_told_now_and_then() {
        let sheds = Sheds::default();
        sheds.note(Shed::Request);
        for _ in 0..3 {
            sheds.note(Shed::Connection);
        }
        sheds.note(Shed::Tunnel);
        let mut text = String::new();
        sheds.render(&mut text);
        assert!(
            text.contains("keyway_shed_total{what=\"requests\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("keyway_shed_total{what=\"connections\"} 3\n"),
            "{text}"
        );
        assert!(text.ends_with("what=\"tunnels\"} 1\n"), "{text}");
        assert!(sheds.to_tell(UnixMillis(20_000)).is_some());
        assert_eq!(sheds.to_tell(UnixMillis(29_999)), None);
        assert!(sheds.to_tell(UnixMillis(30_000)).is_some());
    }
}
