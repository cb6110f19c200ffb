//! What is told of refreshes.

use keyway_engine::refresh::RefreshReport;
use std::fmt::Write as _;

/// Writes them in Prometheus' text format.
pub(super) fn render(report: &RefreshReport, text: &mut String) {
    let _ = writeln!(
        text,
        "# HELP keyway_refreshes_total Refreshes of provider tokens, by how they ended.\n\
         # TYPE keyway_refreshes_total counter"
    );
    for (outcome, count) in &report.outcomes {
        let _ = writeln!(
            text,
            "keyway_refreshes_total{{outcome=\"{outcome}\"}} {count}"
        );
    }
    let _ = write!(
        text,
        "# HELP keyway_refresh_lost_total Grants that ended because an earlier answer of the provider was never stored.\n\
         # TYPE keyway_refresh_lost_total counter\n\
         keyway_refresh_lost_total {}\n\
         # HELP keyway_refresh_unstored_seconds_total Time between providers' answers and their being durable.\n\
         # TYPE keyway_refresh_unstored_seconds_total counter\n\
         keyway_refresh_unstored_seconds_total {}\n\
         # HELP keyway_refresh_unstored_seconds_max The longest of these times.\n\
         # TYPE keyway_refresh_unstored_seconds_max gauge\n\
         keyway_refresh_unstored_seconds_max {}\n",
        report.lost,
        Seconds(report.unstored_us_sum),
        Seconds(report.unstored_us_max),
    );
}

/// Microseconds, written as seconds.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshes_are_told_by_outcome_and_times_in_seconds() {
        let report = RefreshReport {
            outcomes: vec![("stored", 3), ("user", 1)],
            lost: 1,
            unstored_us_sum: 2_000_450,
            unstored_us_max: 900,
        };
        let mut text = String::new();
        render(&report, &mut text);
        for line in [
            "keyway_refreshes_total{outcome=\"stored\"} 3",
            "keyway_refreshes_total{outcome=\"user\"} 1",
            "keyway_refresh_lost_total 1",
            "keyway_refresh_unstored_seconds_total 2.000450",
            "keyway_refresh_unstored_seconds_max 0.000900",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
        }
    }
}
