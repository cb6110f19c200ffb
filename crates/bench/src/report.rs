//! The table: medians over the rounds, and their ratios.

use crate::load::Rate;
use crate::subject::Subject;
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::Instant;

/// One side of one round.
pub(crate) struct Measured {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: f64,
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds fit")]
    pub(crate) fn new(rate: &Rate, cpu_us: u64) -> Self {
        Self {
            per_second: rate.per_second,
            p50_us: rate.p50_us as f64,
            p99_us: rate.p99_us as f64,
            cpu_us: cpu_us as f64 / rate.count.max(1) as f64,
        }
    }

    /// What this would be for units of `parts` requests each.
    pub(crate) fn split(self, parts: f64) -> Self {
        Self {
            per_second: self.per_second / parts,
            p50_us: self.p50_us * parts,
            p99_us: self.p99_us * parts,
            cpu_us: self.cpu_us * parts,
        }
    }
}

#[derive(Default)]
pub(crate) struct Table(BTreeMap<&'static str, Vec<(Measured, Measured)>>);

/// The middle one.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

impl Table {
    pub(crate) fn add(&mut self, what: &'static str, ours: Measured, plain: Measured) {
        self.0.entry(what).or_default().push((ours, plain));
    }

    pub(crate) fn print(&self) {
        println!(
            "\n{:<28}{:>12}{:>12}{:>8}{:>10}{:>10}{:>12}{:>14}",
            "what", "keyway/s", "bare/s", "ratio", "p50 us", "p99 us", "cpu us", "bare cpu us"
        );
        for (what, rounds) in &self.0 {
            let ours = |of: fn(&Measured) -> f64| median(rounds.iter().map(|(o, _)| of(o)));
            let bare = |of: fn(&Measured) -> f64| median(rounds.iter().map(|(_, b)| of(b)));
            let ratio = median(rounds.iter().map(|(o, b)| o.per_second / b.per_second));
            println!(
                "{what:<28}{:>12.0}{:>12.0}{ratio:>8.2}{:>10.0}{:>10.0}{:>12.1}{:>14.1}",
                ours(|m| m.per_second),
                bare(|m| m.per_second),
                ours(|m| m.p50_us),
                ours(|m| m.p99_us),
                ours(|m| m.cpu_us),
                bare(|m| m.cpu_us),
            );
        }
        println!("ratios are medians of the rounds' own ratios");
    }
}

/// So many since then, a second.
#[expect(clippy::cast_precision_loss, reason = "ten thousand fits")]
pub(crate) fn rate(count: usize, began: Instant) -> f64 {
    count as f64 / began.elapsed().as_secs_f64()
}

/// What the figures were taken on.
pub(crate) fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("");
    format!(
        "{cpus} cores,{}",
        model.trim_start_matches([' ', '\t', ':'])
    )
}

pub(crate) fn start_up(subject: &Subject) {
    println!(
        "start on an empty database, to the first answer: {} ms; idle memory: {:.1} MiB",
        subject.started_in.as_millis(),
        mib(subject.idle_kib)
    );
}

pub(crate) fn memory(subject: &Subject) -> Result<()> {
    let now = subject.process.resident_kib()?;
    println!(
        "memory after the run: {:.1} MiB (idle {:.1}); database: {:.1} MiB",
        mib(now),
        mib(subject.idle_kib),
        mib(subject.database_bytes() / 1024)
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "kibibytes of a process fit")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
