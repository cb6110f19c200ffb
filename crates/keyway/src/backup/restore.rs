//! `keyway restore`: a backup in place of the SQLite database, after everything about it was checked.

use super::{copy, sqlite_path};
use crate::cli::RestoreArgs;
use crate::config::Config;
use crate::config::environment::Environment;
use crate::config::setting::Setting;
use crate::failure::Failure;
use crate::logging::{self, Program};
use crate::master_key::file::{make_private_directory, sync_directory, with_suffix};
use crate::open::{self, Opening};
use crate::output;
use crate::session::on_runtime;
use anyhow::Context as _;
use keyway_core::time::{Clock as _, SystemClock};
use keyway_store::{DatabaseUrl, Settled, settle_sqlite};
use serde_json::json;
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
    report(args, &config, aside.as_deref())
}

fn report(args: &RestoreArgs, config: &Config, aside: Option<&Path>) -> anyhow::Result<()> {
    let aside = aside.map(|path| path.display().to_string());
    if args.backup.json {
        let database = config.database.value.to_string();
        return Ok(output::json(
            &json!({"database": database, "put_aside": aside}),
        )?);
    }
    output::line(&format!(
        "{} is what {} holds. What happened since is not known to it: revoke again what was revoked.",
        config.database.value,
        args.backup.file.display()
    ))?;
    match aside {
        Some(path) => Ok(output::line(&format!(
            "The database that was there is {path} now."
        ))?),
        None => Ok(()),
    }
}

async fn restore(
    args: &RestoreArgs,
    config: &Config,
    runtime: &Handle,
) -> anyhow::Result<Option<PathBuf>> {
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
    // What an interrupted restore left behind.
    drop(std::fs::remove_file(&draft));
    let checked = check(args, config, runtime, &draft).await;
    let put = checked.and_then(|()| put(&draft, target, held));
    if put.is_err() {
        drop(std::fs::remove_file(&draft));
    }
    put
}

/// Keeps others from the database that is there, if one is.
fn hold(target: &Path, replace: bool) -> anyhow::Result<Option<Settled>> {
    if !target.exists() {
        return Ok(None);
    }
    if !replace {
        return Err(
            Failure::bad_input(format!("there is a database in {}", target.display()))
                .next("Say --replace to put it aside; it is not deleted.")
                .into(),
        );
    }
    let settled = settle_sqlite(target).with_context(|| {
        Failure::bad_input(format!("{} is in use", target.display()))
            .next("Stop the server first, and whatever else has the file open.")
    })?;
    Ok(Some(settled))
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

/// Puts the checked copy in place. There is a database under the name at every moment.
fn put(draft: &Path, target: &Path, held: Option<Settled>) -> anyhow::Result<Option<PathBuf>> {
    let at = SystemClock.now().as_secs();
    let aside = with_suffix(target, &format!(".before-restore-{at}"));
    if held.is_some() {
        std::fs::hard_link(target, &aside)
            .with_context(|| format!("{} cannot be put aside", target.display()))?;
    }
    std::fs::rename(draft, target)
        .and_then(|()| sync_directory(target))
        .with_context(|| format!("{} cannot be put in place", draft.display()))?;
    Ok(held.map(|_| aside))
}
