//! Logs: to standard error, Keyway's own at the level asked for and others' warnings only.
//!
//! An event is one line, whatever is in it. Some of what is logged was said by a provider or a peer, and a
//! line break in it could make up an event of its own, an escape sequence take over the reader's terminal.

use crate::config::setting::Origin;
use crate::config::{Log, LogFormat};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// What kind of program logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// A server tells what it does.
    Server,
    /// A command tells only what is wrong, unless asked.
    Command,
}

/// Starts logging for the rest of the process.
pub(crate) fn start(log: &Log, program: Program) {
    let level = match (program, log.level.origin) {
        (Program::Command, Origin::Default) => Level::WARN,
        _ => log.level.value,
    };
    // Libraries below us may write headers and statements at their finer levels: secrets, that is.
    let filter = Targets::new()
        .with_target("keyway", level)
        .with_default(LevelFilter::from_level(level.min(Level::WARN)));
    let is_coloured = log.format.value == LogFormat::Text && io::stderr().is_terminal();
    let layer = fmt::layer().with_writer(move || OneLine {
        to: io::stderr(),
        is_coloured,
    });
    let layer = match log.format.value {
        LogFormat::Json => layer.json().with_filter(filter).boxed(),
        LogFormat::Text => layer.with_ansi(is_coloured).with_filter(filter).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(layer);
    // Already set in a process that starts twice, as tests do; the first one counts.
    drop(tracing::subscriber::set_global_default(subscriber));
}

/// Writes events, each of which comes whole, as one line each.
struct OneLine<W> {
    to: W,
    /// Whether the layer above writes colours, which stay.
    is_coloured: bool,
}

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = one_line(text.strip_suffix('\n').unwrap_or(&text), self.is_coloured);
        self.to.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// `text` with control characters, line breaks among them, as the escapes that JSON has for them; all but
/// colours, if it has any.
fn one_line(text: &str, is_coloured: bool) -> String {
    let mut line = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let breaks = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        let colours = || is_coloured && text.get(at..).is_some_and(begins_with_colour);
        if breaks && !colours() {
            escape(c, &mut line);
        } else {
            line.push(c);
        }
    }
    line
}

/// JSON's escape for a character, and text's: whoever reads a log knows it.
fn escape(c: char, line: &mut String) {
    match c {
        '\t' | '\r' | '\n' => line.extend(c.escape_default()),
        // None of those that are escaped lies beyond the first 65,536.
        _ => {
            let _infallible = write!(line, "\\u{:04x}", u32::from(c));
        }
    }
}

/// Whether `text` begins with a sequence that changes how characters look and nothing else (ECMA-48, SGR).
fn begins_with_colour(text: &str) -> bool {
    let parameters = text.strip_prefix("\u{1b}[");
    let rest =
        parameters.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
    rest.is_some_and(|rest| rest.starts_with('m'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const HOSTILE: &str =
        "a\r\n2027-01-01T00:00:00Z ERROR keyway: made up\u{2028}b\u{1b}[2Jc\u{9b}1md\u{8}\u{7f}";

    /// What is written of two events that hold hostile words in every kind of field.
    fn logged(format: LogFormat, is_coloured: bool) -> String {
        let written = Written::default();
        let to = written.clone();
        let layer = fmt::layer().with_writer(move || OneLine {
            to: to.clone(),
            is_coloured,
        });
        let layer = match format {
            LogFormat::Json => layer.json().boxed(),
            LogFormat::Text => layer.with_ansi(is_coloured).boxed(),
        };
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(shown = %HOSTILE, debugged = ?HOSTILE, plain = HOSTILE, "{HOSTILE}");
            tracing::warn!("the second");
        });
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn log_injection_an_event_is_one_line_whatever_is_in_it() {
        let text = logged(LogFormat::Text, false);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text:?}");
        assert!(lines[0].contains("made up") && lines[1].ends_with("the second"));
        let visible = |c: char| c == '\n' || (!c.is_control() && c != '\u{2028}');
        assert!(text.chars().all(visible), "{text:?}");
    }

    #[test]
    fn log_injection_json_stays_json_and_tells_the_words_as_they_were() {
        let text = logged(LogFormat::Json, false);
        assert_eq!(text.lines().count(), 2, "{text:?}");
        let visible = |c: char| c == '\n' || (!c.is_control() && c != '\u{2028}');
        assert!(text.chars().all(visible), "{text:?}");
        let line = text.lines().next().unwrap();
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        for field in ["shown", "plain", "message"] {
            assert_eq!(event["fields"][field], HOSTILE, "{field}");
        }
    }

    #[test]
    fn log_injection_a_coloured_log_takes_no_sequences_from_what_it_tells() {
        let text = logged(LogFormat::Text, true);
        assert_eq!(text.lines().count(), 2, "{text:?}");
        assert!(
            text.contains("\u{1b}[") && !text.contains("\u{1b}[2J"),
            "{text:?}"
        );
        assert!(!text.contains(['\u{9b}', '\u{8}', '\r', '\u{2028}']));
    }
}
