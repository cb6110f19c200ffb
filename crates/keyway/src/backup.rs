//! `keyway backup`: a copy of the SQLite database, of one moment, beside a running server.

pub(crate) mod restore;

use crate::cli::FileArgs;
use crate::config::Config;
use crate::config::environment::Environment;
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::session::with_database;
use anyhow::Context as _;
use keyway_store::{DatabaseUrl, StoreError, check_sqlite, copy_sqlite};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the size of a growing copy is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the command.
///
/// # Errors
/// In words for the operator.
pub(crate) fn run(args: &FileArgs, environment: &Environment) -> anyhow::Result<()> {
    with_database(&args.settings, environment, async |config, opened| {
        let path = sqlite_path(config)?;
        refuse_existing(&args.file)?;
        let copied = copy(path, &args.file).await;
        copied.with_context(|| cannot(&args.file))?;
        let keys = opened
            .store
            .read(|s| Box::pin(async move { s.keys().await }));
        let master_key = keys
            .await?
            .into_iter()
            .next()
            .map(|key| key.master_fingerprint);
        report(args, &master_key.unwrap_or_default())
    })
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

/// A copy is never written over a file.
pub(crate) fn refuse_existing(file: &Path) -> anyhow::Result<()> {
    if !file.exists() {
        return Ok(());
    }
    Err(
        Failure::bad_input(format!("{} is there already", file.display()))
            .next("Name another file: nothing is written over.")
            .into(),
    )
}

fn cannot(file: &Path) -> Failure {
    Failure::new(format!("the copy {} cannot be made", file.display()))
        .next("Look at the disk's space and at the rights on the directory. Nothing was changed.")
}

/// Copies and checks, with progress. What is not whole does not keep the name of the copy.
async fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let draft = draft_of(to);
    let copied = copy_watched(from, &draft).await;
    let named = copied.and_then(|()| Ok(std::fs::rename(&draft, to)?));
    if named.is_err() {
        drop(std::fs::remove_file(&draft));
    }
    named
}

fn draft_of(to: &Path) -> PathBuf {
    crate::master_key::file::with_suffix(to, &format!(".{}", std::process::id()))
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
