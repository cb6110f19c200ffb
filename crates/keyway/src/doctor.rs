//! `keyway doctor`: looks at everything a server stands on, and says what to do. Changes nothing.

mod database;
mod providers;

use crate::check;
use crate::cli::DoctorArgs;
use crate::config::Config;
use crate::config::environment::Environment;
use crate::failure::{self, Failure};
use crate::logging::{self, Program};
use crate::open;
use crate::output;
use crate::session::on_runtime;
use keyway_outbound::Transport;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::runtime::Handle;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// As it should be.
    Ok,
    /// A server works with it, and yet somebody should look.
    Warn,
    /// A server does not work with it.
    Fail,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What one look found.
struct Finding {
    level: Level,
    what: &'static str,
    found: String,
    next: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            what,
            found: found.into(),
            next: None,
        }
    }

    fn warn(what: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            level: Level::Warn,
            next: Some(next.into()),
            ..Self::ok(what, found)
        }
    }

    /// Something failed, with the words it failed with.
    fn failed(what: &'static str, error: &anyhow::Error) -> Self {
        Self {
            level: Level::Fail,
            next: failure::next_step(error).map(str::to_owned),
            ..Self::ok(what, failure::story(error))
        }
    }

    fn text(&self) -> String {
        let head = format!(
            "{:<5} {:<14} {}",
            self.level.as_str(),
            self.what,
            self.found
        );
        let blank = " ".repeat(21);
        let head = head.replace('\n', &format!("\n{blank}"));
        match &self.next {
            Some(next) => format!(
                "{head}\n{blank}{}",
                next.replace('\n', &format!("\n{blank}"))
            ),
            None => head,
        }
    }

    fn view(&self) -> Value {
        json!({
            "check": self.what,
            "status": self.level.as_str(),
            "found": self.found,
            "next": self.next,
        })
    }
}

/// Runs the command.
///
/// # Errors
/// If a check failed, or the configuration cannot be read at all.
pub(crate) fn run(args: &DoctorArgs, environment: &Environment) -> anyhow::Result<()> {
    let config = Config::load_settings(&args.settings, environment)?;
    logging::start(&config.log, Program::Command);
    let findings = on_runtime(async |runtime| examine(&config, runtime.handle()).await)?;
    if args.json {
        let views: Vec<Value> = findings.iter().map(Finding::view).collect();
        output::json(&json!(views))?;
    } else {
        for finding in &findings {
            output::line(&finding.text())?;
        }
    }
    let failed = findings.iter().filter(|f| f.level == Level::Fail).count();
    if failed > 0 {
        return Err(Failure::new(format!("{failed} of {} checks failed", findings.len())).into());
    }
    Ok(())
}

async fn examine(config: &Config, runtime: &Handle) -> anyhow::Result<Vec<Finding>> {
    let transport: Arc<dyn Transport> = Arc::new(open::transport(config, runtime)?);
    let mut findings = configuration(config);
    let store = database::examine(config, &transport, &mut findings).await;
    let used = match &store {
        Some(store) => database::providers_in_use(store).await.unwrap_or_default(),
        None => Vec::new(),
    };
    findings.extend(providers::examine(config, &*transport, &used).await);
    if let Some(store) = store {
        store.close().await;
    }
    Ok(findings)
}

fn configuration(config: &Config) -> Vec<Finding> {
    let file = config.file.as_ref();
    let place = file.map_or_else(|| "no file".to_owned(), |f| f.value.display().to_string());
    let told = format!("{place}; redirect URI {}", config.callback_uri());
    let mut findings = vec![Finding::ok("configuration", told)];
    findings.extend(
        check::warnings(config)
            .into_iter()
            .map(|warning| Finding::warn("configuration", warning, "See `keyway config check`.")),
    );
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_what_was_found_and_what_to_do_below_one_another() {
        let finding = Finding::warn("clock", "3 s\nbehind", "Set it.");
        let blank = " ".repeat(21);
        let text = format!("warn  clock          3 s\n{blank}behind\n{blank}Set it.");
        assert_eq!(finding.text(), text);
        assert_eq!(finding.view()["status"], "warn");
    }
}
