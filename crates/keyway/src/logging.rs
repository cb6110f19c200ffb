//! Logs: to standard error, Keyway's own at the level asked for and others' warnings only.

use crate::config::setting::Origin;
use crate::config::{Log, LogFormat};
use std::io::{self, IsTerminal as _};
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
    let layer = fmt::layer().with_writer(io::stderr);
    let layer = match log.format.value {
        LogFormat::Json => layer.json().with_filter(filter).boxed(),
        LogFormat::Text => layer
            .with_ansi(io::stderr().is_terminal())
            .with_filter(filter)
            .boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(layer);
    // Already set in a process that starts twice, as tests do; the first one counts.
    drop(tracing::subscriber::set_global_default(subscriber));
}
