//! How a command fails: what failed, on what, what to do next, and with which status it ends.

use keyway_engine::error::ErrorKind;
use std::fmt::{self, Write as _};

/// The status of a command that failed for another reason than its input.
const FAILED: u8 = 1;
/// The status of a command that was asked for something it cannot do. The argument parser uses it too.
const BAD_INPUT: u8 = 2;

/// A failure in words for the person at the terminal. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    what: String,
    next: Option<String>,
    status: u8,
}

impl Failure {
    /// Something failed that the input is not to blame for.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: None,
            status: FAILED,
        }
    }

    /// The input cannot be worked with.
    pub(crate) fn bad_input(what: impl Into<String>) -> Self {
        Self {
            status: BAD_INPUT,
            ..Self::new(what)
        }
    }

    /// The same, saying what to do next.
    #[must_use]
    pub(crate) fn next(self, next: impl Into<String>) -> Self {
        Self {
            next: Some(next.into()),
            ..self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

/// The status that a command which failed so ends with.
pub(crate) fn status(error: &anyhow::Error) -> u8 {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.status;
    }
    match error.downcast_ref::<keyway_engine::Error>() {
        Some(engine) if !is_ours(engine.kind()) => BAD_INPUT,
        _ => FAILED,
    }
}

/// Whether the server, and not what it was asked, is to blame.
fn is_ours(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Internal | ErrorKind::Unavailable | ErrorKind::ProviderUnavailable
    )
}

/// What the error says to do next.
pub(crate) fn next_step(error: &anyhow::Error) -> Option<&str> {
    error.downcast_ref::<Failure>()?.next.as_deref()
}

/// What failed, and its causes.
pub(crate) fn story(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    let mut told = error.to_string();
    for cause in error.chain().skip(1) {
        let words = cause.to_string();
        // Some errors repeat their cause in their own words.
        if !told.contains(&words) {
            let _ = write!(text, "\n  cause: {words}");
            told = words;
        }
    }
    text
}

/// The whole story, for standard error: what failed, its causes, what to do next.
pub(crate) fn report(error: &anyhow::Error) -> String {
    let mut text = format!("keyway: {}", story(error));
    if let Some(next) = next_step(error) {
        let _ = write!(text, "\n  {}", next.replace('\n', "\n  "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_report_names_what_failed_its_cause_and_the_next_step() {
        let error = Err::<(), _>(std::io::Error::other("disk full"))
            .context(Failure::new("the key cannot be written").next("Make room."))
            .unwrap_err();
        let text = "keyway: the key cannot be written\n  cause: disk full\n  Make room.";
        assert_eq!(report(&error), text);
        assert_eq!(status(&error), FAILED);
    }

    #[test]
    fn bad_input_ends_with_its_own_status_even_under_more_context() {
        let error = anyhow::Error::from(Failure::bad_input("no such thing")).context("app show");
        assert_eq!(status(&error), BAD_INPUT);
        assert_eq!(status(&anyhow::anyhow!("other")), FAILED);
    }
}
