//! `keyway restore`: a backup in place of the SQLite database, after everything about it was checked.

use super::{copy, sqlite_path};
use crate::cli::RestoreArgs;
use crate::config::Config;
use crate::config::environment::Environment;
use crate::config::setting::Setting;
use crate::failure::Failure;
use crate::files::{make_private_directory, sync_directory, with_suffix};
use crate::logging::{self, Program};
use crate::open::{self, Opening};
use crate::output;
use crate::session::on_runtime;
use anyhow::Context as _;
use keyway_core::time::{Clock as _, SystemClock};
use keyway_store::{DatabaseUrl, Settled, settle_sqlite};
use serde_json::json;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tokio::runtime::Handle;

/// Runs the command.
///
/// # Errors
/// In words for the operator.
pub(crate) fn run(args: &RestoreArgs, environment: &Environment) -> anyhow::Result<()> {
    let config = Config::load_settings(&args.backup.settings, environment)?;
    logging::start(&config.log, Program::Command);
    let aside = on_runtime(async |runtime| restore(args, &config, runtime.handle()).await)?;
    report(args, &config, &aside)
}

fn report(args: &RestoreArgs, config: &Config, aside: &Aside) -> anyhow::Result<()> {
    if args.backup.json {
        let database = config.database.value.to_string();
        let shown = json!({"database": database, "put_aside": aside.database, "logs_put_aside": aside.logs});
        return Ok(output::json(&shown)?);
    }
    output::line(&format!(
        "{} is what {} holds. What happened since is not known to it: revoke again what was revoked.",
        config.database.value,
        args.backup.file.display()
    ))?;
    if let Some(path) = &aside.database {
        let path = path.display();
        output::line(&format!("The database that was there is {path} now."))?;
    }
    let whose = match aside.database {
        Some(_) => "Its log",
        None => "A log that lay there without its database",
    };
    for log in &aside.logs {
        output::line(&format!("{whose} is {} now.", log.display()))?;
    }
    Ok(())
}

async fn restore(args: &RestoreArgs, config: &Config, runtime: &Handle) -> anyhow::Result<Aside> {
    let target = sqlite_path(config)?;
    if !args.backup.file.exists() {
        return Err(
            Failure::bad_input(format!("there is no {}", args.backup.file.display())).into(),
        );
    }
    let held = hold(target, args.replace)?;
    if let Some(directory) = target.parent().filter(|path| !path.as_os_str().is_empty()) {
        make_private_directory(directory)?;
    }
    let draft = with_suffix(target, ".restoring");
    // What an interrupted restore left behind. A log of its draft would be taken for the new one's.
    remove_with_logs(&draft);
    let checked = check(args, config, runtime, &draft).await;
    let put = checked.and_then(|()| put(&draft, target, &held));
    if put.is_err() {
        remove_with_logs(&draft);
    }
    put
}

/// The files in which SQLite keeps, beside a database, what is to go into it at the next opening.
fn logs_of(database: &Path) -> [PathBuf; 3] {
    ["-wal", "-shm", "-journal"].map(|suffix| with_suffix(database, suffix))
}

fn remove_logs(database: &Path) {
    for log in logs_of(database) {
        drop(std::fs::remove_file(log));
    }
}

fn remove_with_logs(database: &Path) {
    remove_logs(database);
    drop(std::fs::remove_file(database));
}

/// What there is under the name of the database.
enum Held {
    /// Nothing.
    Nothing,
    /// A database, kept from others until this is dropped.
    Settled { _lock: Settled },
    /// Something that does not open as a database any more.
    Damaged,
}

/// Keeps others from the database that is there, if one is.
fn hold(target: &Path, replace: bool) -> anyhow::Result<Held> {
    if !target.exists() {
        return Ok(Held::Nothing);
    }
    if !replace {
        return Err(
            Failure::bad_input(format!("there is a database in {}", target.display()))
                .next("Say --replace to put it aside; it is not deleted.")
                .into(),
        );
    }
    match settle_sqlite(target) {
        Ok(lock) => Ok(Held::Settled { _lock: lock }),
        Err(error) if error.is_retryable() => Err(anyhow::Error::from(error).context(
            Failure::bad_input(format!("{} is in use", target.display()))
                .next("Stop the server first, and whatever else has the file open."),
        )),
        Err(error) => {
            let target = target.display();
            output::notice(&format!(
                "{target} does not open ({error}): it is put aside as it is."
            ));
            Ok(Held::Damaged)
        }
    }
}

/// Copies the backup, and opens the copy as a server would: it must be whole, of a version this program knows,
/// and belong to the master key.
async fn check(
    args: &RestoreArgs,
    config: &Config,
    runtime: &Handle,
    draft: &Path,
) -> anyhow::Result<()> {
    let file = args.backup.file.display();
    let copied = copy(&args.backup.file, draft).await;
    copied.with_context(|| {
        Failure::new(format!("{file} cannot be used as a backup"))
            .next("It has to be a whole SQLite file made by `keyway backup`. Nothing was changed.")
    })?;
    let mut of_draft = config.clone();
    let url = DatabaseUrl::Sqlite(draft.to_owned());
    of_draft.database = Setting::new(url, config.database.origin);
    let opened = open::open_database(&of_draft, runtime, Opening::MustExist).await?;
    opened.store.close().await;
    drop(opened);
    settle_sqlite(draft)?;
    Ok(())
}

/// What was there before.
#[derive(Default)]
struct Aside {
    /// Where the database is now.
    database: Option<PathBuf>,
    /// Where logs beside it are now, if there were such.
    logs: Vec<PathBuf>,
}

/// Puts the checked copy in place. If there was a database, one is under the name at every moment.
fn put(draft: &Path, target: &Path, held: &Held) -> anyhow::Result<Aside> {
    let beside = free_beside(target);
    let mut aside = Aside::default();
    if !matches!(held, Held::Nothing) {
        std::fs::hard_link(target, &beside)
            .with_context(|| format!("{} cannot be put aside", target.display()))?;
        aside.database = Some(beside.clone());
    }
    match held {
        // What is left of them is empty: all of it is in the one file.
        Held::Settled { .. } => remove_logs(target),
        Held::Nothing | Held::Damaged => aside.logs = put_logs_aside(target, &beside)?,
    }
    // Durable before the new database appears: it must never be seen beside another's logs.
    sync_directory(target).context("what was put aside cannot be made durable")?;
    std::fs::rename(draft, target)
        .and_then(|()| sync_directory(target))
        .with_context(|| format!("{} cannot be put in place", draft.display()))?;
    Ok(aside)
}

/// A name for what is put aside, which neither a database has nor a log of one.
fn free_beside(target: &Path) -> PathBuf {
    let now = SystemClock.now().as_secs();
    let mut names = (now..).map(|at| with_suffix(target, &format!(".before-restore-{at}")));
    let is_free = |name: &PathBuf| {
        let logs = logs_of(name);
        !name.exists() && !logs.iter().any(|log| log.exists())
    };
    names.find(is_free).unwrap_or_else(|| target.to_owned())
}

/// Whatever logs are there belong to another database than the one to come, which would take them for its own.
/// Beside the database that is put aside they have the names under which SQLite finds them.
fn put_logs_aside(target: &Path, beside: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut put = Vec::new();
    for (log, aside) in logs_of(target).into_iter().zip(logs_of(beside)) {
        match std::fs::rename(&log, &aside) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            moved => moved.with_context(|| format!("{} cannot be put aside", log.display()))?,
        }
        put.push(aside);
    }
    Ok(put)
}
