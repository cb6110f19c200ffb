//! Progress of long work, on standard error: one line that is written over at a terminal, and a line now and
//! then elsewhere.

use crate::output;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;
use tokio::time::Instant;

/// How often the line at a terminal is written over.
const AT_TERMINAL: Duration = Duration::from_millis(200);
/// How often a line is written where nothing can be written over.
const ELSEWHERE: Duration = Duration::from_secs(10);

/// How far some work is.
pub(crate) struct Progress {
    what: &'static str,
    total: u64,
    began: Instant,
    told: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// Work on `total` things, none of which is done.
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        Self {
            what,
            total,
            began: Instant::now(),
            told: None,
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// So many are done.
    pub(crate) fn at(&mut self, done: u64) {
        let every = if self.is_terminal {
            AT_TERMINAL
        } else {
            ELSEWHERE
        };
        if self.told.unwrap_or(self.began).elapsed() < every {
            return;
        }
        self.told = Some(Instant::now());
        let line = line(self.what, done, self.total, self.began.elapsed());
        if self.is_terminal {
            // Where standard error is closed there is nobody to tell.
            drop(write!(std::io::stderr(), "\r\x1b[2K{line}"));
        } else {
            output::notice(&line);
        }
    }

    /// The work is over.
    pub(crate) fn finish(&self, outcome: &str) {
        if self.is_terminal && self.told.is_some() {
            drop(write!(std::io::stderr(), "\r\x1b[2K"));
        }
        let secs = self.began.elapsed().as_secs_f64();
        output::notice(&format!("{outcome} in {secs:.1} s"));
    }
}

fn line(what: &str, done: u64, total: u64, elapsed: Duration) -> String {
    let percent = (done * 100).checked_div(total).unwrap_or(100).min(100);
    let left = total.saturating_sub(done);
    let secs = elapsed.as_secs().saturating_mul(left).checked_div(done);
    let left = secs.map_or_else(String::new, |secs| format!(", {secs} s left"));
    format!("{what}: {done} of {total} ({percent} %){left}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is_and_how_long_it_takes() {
        let at = |done, secs| line("copying", done, 200, Duration::from_secs(secs));
        assert_eq!(at(0, 0), "copying: 0 of 200 (0 %)");
        assert_eq!(at(50, 10), "copying: 50 of 200 (25 %), 30 s left");
        assert_eq!(at(200, 40), "copying: 200 of 200 (100 %), 0 s left");
        assert_eq!(line("x", 0, 0, Duration::ZERO), "x: 0 of 0 (100 %)");
    }
}
