//! `keyway backup`: a copy of the SQLite database, of one moment, beside a running server.

pub(crate) mod restore;

use crate::cli::FileArgs;
use crate::config::Config;
use crate::config::environment::Environment;
use crate::failure::Failure;
use crate::files::{draft_of, name_asked_for, refuse_existing};
use crate::logging::{self, Program};
use crate::open;
use crate::output;
use crate::progress::Progress;
use crate::session::on_runtime;
use anyhow::Context as _;
use keyway_store::{DatabaseUrl, StoreError, check_sqlite, copy_sqlite, newest_schema_version};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// How often the size of a growing copy is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the command.
///
/// # Errors
/// In words for the operator.
pub(crate) fn run(args: &FileArgs, environment: &Environment) -> anyhow::Result<()> {
    let config = Config::load_settings(&args.settings, environment)?;
    logging::start(&config.log, Program::Command);
    let master_key = on_runtime(async |_| back_up(&config, &args.file).await)?;
    report(args, &master_key)
}

/// Copies the database as it is: neither a migration nor a master key comes into it. Says which master key the
/// copy needs.
async fn back_up(config: &Config, file: &Path) -> anyhow::Result<String> {
    let path = sqlite_path(config)?;
    refuse_existing(file)?;
    let (store, version) = open::open_as_it_is(config).await?;
    if version == newest_schema_version() {
        open::refuse_half_imported(config, &store).await?;
    }
    let copied = copy(path, file).await;
    copied.with_context(|| cannot(file))?;
    let master_key = store.read(|s| Box::pin(async move { s.master_fingerprint().await }));
    let master_key = master_key.await?;
    store.close().await;
    Ok(master_key.unwrap_or_default())
}

fn report(args: &FileArgs, master_key: &str) -> anyhow::Result<()> {
    let bytes = size(&args.file);
    if args.json {
        let file = args.file.display().to_string();
        return Ok(output::json(
            &json!({"file": file, "bytes": bytes, "master_key": master_key}),
        )?);
    }
    Ok(output::line(&format!(
        "{} holds the database, {bytes} bytes. Only the master key {master_key} opens it: keep that elsewhere.",
        args.file.display()
    ))?)
}

/// Where the SQLite database is.
fn sqlite_path(config: &Config) -> anyhow::Result<&Path> {
    match &config.database.value {
        DatabaseUrl::Sqlite(path) => Ok(path),
        DatabaseUrl::Postgres(_) => {
            Err(Failure::bad_input("backups of PostgreSQL are made with PostgreSQL's own means")
                .next("Use pg_dump, or what your platform does. `keyway export` writes a file that either kind of database can import.")
                .into())
        }
    }
}

fn cannot(file: &Path) -> Failure {
    Failure::new(format!("the copy {} cannot be made", file.display()))
        .next("Look at the disk's space and at the rights on the directory. Nothing was changed.")
}

/// Copies and checks, with progress. What is not whole does not keep the name of the copy.
async fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let draft = draft_of(to);
    let copied = copy_watched(from, &draft).await;
    let named = copied.and_then(|()| name_asked_for(&draft, to));
    if named.is_err() {
        drop(std::fs::remove_file(&draft));
    }
    named
}

async fn copy_watched(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mut progress = Progress::new("copying bytes", size(from));
    let (source, target) = (from.to_owned(), to.to_owned());
    let mut copying = tokio::task::spawn_blocking(move || {
        copy_sqlite(&source, &target)?;
        check_sqlite(&target)?;
        Ok::<_, StoreError>(())
    });
    loop {
        match tokio::time::timeout(LOOK, &mut copying).await {
            Ok(done) => {
                done??;
                progress.finish(&format!("{} bytes copied and checked", size(to)));
                return Ok(());
            }
            Err(_) => progress.at(size(to)),
        }
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}
