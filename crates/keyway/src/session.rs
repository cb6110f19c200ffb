//! One command at work: a configuration, a runtime and an engine, for as long as the command takes.

use crate::cli::SettingFlags;
use crate::config::Config;
use crate::config::environment::Environment;
use crate::failure::Failure;
use crate::logging::{self, Program};
use crate::open::{self, Opened, Opening};
use anyhow::Context as _;
use keyway_core::application::Application;
use keyway_core::ids::{ApiKeyId, ApplicationId};
use keyway_core::time::UnixMillis;
use keyway_engine::{Caller, Engine};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How many applications a command looks through at a time.
pub(crate) const APPLICATIONS_PER_PAGE: i64 = 500;
/// How long work that nobody waits for may hold up the end of the process.
const LAST_WORK: Duration = Duration::from_secs(1);

/// A runtime with several threads: the engine's work outlives whatever asked for it.
///
/// # Errors
/// If the system gives no threads.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.enable_all().thread_name("keyway-work").build();
    runtime.context("the system gives this process no threads")
}

/// Runs `work` on a runtime that ends with it.
///
/// # Errors
/// Those of `work`.
pub(crate) fn on_runtime<T>(
    work: impl AsyncFnOnce(&Runtime) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let runtime = runtime()?;
    let done = runtime.block_on(work(&runtime));
    runtime.shutdown_timeout(LAST_WORK);
    done
}

/// Opens what the settings name, lets `work` use it, and closes it again. `opening` says whether a
/// database that is not there yet is made.
///
/// # Errors
/// Those of the configuration, of opening, and of `work`.
pub(crate) fn with_engine<T>(
    flags: &SettingFlags,
    environment: &Environment,
    opening: Opening,
    work: impl AsyncFnOnce(&Config, &Engine) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let config = Config::load_settings(flags, environment)?;
    logging::start(&config.log, Program::Command);
    on_runtime(async |runtime| {
        let engine = open::open(&config, runtime.handle(), opening).await?;
        let done = work(&config, &engine).await;
        engine.shutdown().await;
        done
    })
}

/// Opens the database that the settings name as it is, and its keys, lets `work` use them, and closes the
/// database.
///
/// # Errors
/// Those of the configuration, of opening, and of `work`.
pub(crate) fn with_database<T>(
    flags: &SettingFlags,
    environment: &Environment,
    work: impl AsyncFnOnce(&Config, &Opened) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let config = Config::load_settings(flags, environment)?;
    logging::start(&config.log, Program::Command);
    on_runtime(async |runtime| {
        let opened = open::open_unchanged(&config, runtime.handle()).await?;
        let done = work(&config, &opened).await;
        opened.store.close().await;
        done
    })
}

/// The application that `text` names, or the only one there is.
///
/// # Errors
/// If there is none, or several and none is named.
pub(crate) async fn application_id(
    engine: &Engine,
    text: Option<&str>,
) -> anyhow::Result<ApplicationId> {
    let list = "`keyway app list` shows the applications.";
    if let Some(text) = text {
        let id = text.parse().map_err(|_| {
            Failure::bad_input(format!("'{text}' is not an application's id")).next(list)
        })?;
        engine.application(id).await.map_err(|error| {
            anyhow::Error::from(error)
                .context(Failure::bad_input(format!("application {id}")).next(list))
        })?;
        return Ok(id);
    }
    let applications = engine.applications(2, 0).await?;
    match applications.as_slice() {
        [Application { id, .. }] => Ok(*id),
        [] => Err(Failure::bad_input("there is no application yet")
            .next("Make one: keyway app create --name Acme --redirect-uri http://localhost:3000/callback")
            .into()),
        _ => Err(Failure::bad_input("there are several applications: name one with --app ID")
            .next(list)
            .into()),
    }
}

/// The operator at the terminal, who needs no API key to look at an application's objects. For reading
/// only: the sequence of changes names keys, and this is none.
pub(crate) const fn operator(application_id: ApplicationId) -> Caller {
    Caller {
        application_id,
        key_id: ApiKeyId::from_u128(0),
    }
}

/// A time for people: `2026-11-23 09:30:00 UTC`.
pub(crate) fn timestamp(at: UnixMillis) -> String {
    let (days, second) = (
        at.as_secs().div_euclid(86_400),
        at.as_secs().rem_euclid(86_400),
    );
    let (year, month, day) = civil(days);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02} UTC",
        second % 60
    )
}

/// The date `days` after 1970-01-01 in the Gregorian calendar, counted in years that begin in March, so
/// that the leap day is the last of its year.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_for_people() {
        let shown = |secs| timestamp(UnixMillis::from_secs(secs));
        assert_eq!(shown(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(shown(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(shown(1_795_426_199), "2026-11-23 09:29:59 UTC");
        assert_eq!(shown(-1), "1969-12-31 23:59:59 UTC");
    }
}
