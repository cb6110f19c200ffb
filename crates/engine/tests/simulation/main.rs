//! Several processes on one database, a provider that rotates and misbehaves, crashes, and clocks that
//! jump: after every step rules 1, 4, 5, 6 and 11 must hold.
//!
//! A seed is a course of events, the same whenever it is run. `KEYWAY_SIM_SEED=7` runs that one and prints
//! what happens; `KEYWAY_SIM_SEEDS=5000` runs so many:
//!
//! ```text
//! KEYWAY_SIM_SEEDS=5000 cargo test --release -p keyway-engine --test simulation -- --nocapture on_demand
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds something else than it expects fails, and says what"
)]

mod board;
mod calls;
mod provider;
mod rules;
mod run;
mod scenes;
mod world;

use run::Run;
use std::ops::Range;

/// What came of a seed.
struct Course {
    trace: Vec<String>,
    violations: Vec<String>,
}

/// One thread, and time that moves when nothing else does.
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let paused = builder.enable_time().start_paused(true);
    paused.build().unwrap()
}

fn play(seed: u64) -> Course {
    runtime().block_on(async {
        let mut run = Run::new(seed).await;
        let violations = run.go().await;
        Course {
            trace: run.trace(),
            violations,
        }
    })
}

fn play_all(seeds: Range<u64>) {
    for seed in seeds {
        let course = play(seed);
        if !course.violations.is_empty() {
            let (trace, violations) = (course.trace.join("\n"), course.violations.join("\n"));
            panic!("{trace}\n\nseed {seed} (replay it with KEYWAY_SIM_SEED={seed}):\n{violations}");
        }
    }
}

fn number(name: &str) -> Option<u64> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests have no configuration but the environment"
    )]
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap())
}

#[test]
fn rules_01_04_05_06_11_hold_in_seeds_0_to_99() {
    play_all(0..100);
}

#[test]
fn rules_01_04_05_06_11_hold_in_seeds_100_to_199() {
    play_all(100..200);
}

#[test]
fn rules_01_04_05_06_11_hold_in_seeds_200_to_299() {
    play_all(200..300);
}

#[test]
fn rules_01_04_05_06_11_hold_in_seeds_300_to_399() {
    play_all(300..400);
}

#[test]
fn rules_01_04_05_06_11_hold_in_seeds_on_demand() {
    if let Some(seed) = number("KEYWAY_SIM_SEED") {
        let course = play(seed);
        println!("{}", course.trace.join("\n"));
        assert!(
            course.violations.is_empty(),
            "{}",
            course.violations.join("\n")
        );
    }
    if let Some(count) = number("KEYWAY_SIM_SEEDS") {
        play_all(1_000..1_000 + count);
        println!("{count} seeds, nothing violated");
    }
}

#[test]
fn a_seed_is_the_same_course_whenever_it_is_run() {
    let (one, other) = (play(7), play(7));
    assert_eq!(one.trace, other.trace);
    assert!(one.trace.len() > 100);
    assert_ne!(one.trace, play(8).trace);
}
