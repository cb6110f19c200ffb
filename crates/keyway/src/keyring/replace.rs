//! `keyway keyring replace-master`.

use crate::cli::ReplaceMasterArgs;
use crate::config::Config;
use crate::config::environment::Environment;
use crate::failure::Failure;
use crate::files::with_suffix;
use crate::master_key::{self, Found, MasterKeyStore, file};
use crate::open::{self, Opening};
use crate::output;
use crate::session::with_engine;
use anyhow::Context as _;
use keyway_engine::Engine;
use keyway_vault::SystemEntropy;
use serde_json::json;
use std::path::{Path, PathBuf};

/// What was done.
struct Replaced {
    old: String,
    new: String,
    /// Where the new key is now.
    place: String,
    /// Where the old key is kept, if a file of ours holds it.
    kept: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// In words for the operator.
pub(super) fn run(args: &ReplaceMasterArgs, environment: &Environment) -> anyhow::Result<()> {
    let opening = Opening::MustExist;
    with_engine(
        &args.settings,
        environment,
        opening,
        async |config, engine| {
            let masters = open::master_keys(config, engine.transport());
            let done = replace(
                config,
                engine,
                &masters,
                args.new_master_key_file.as_deref(),
            )
            .await?;
            report(&done, args.json)
        },
    )
}

fn report(done: &Replaced, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return Ok(output::json(&json!({
            "old_master_key": done.old,
            "new_master_key": done.new,
            "new_master_key_in": done.place,
            "old_master_key_in": done.kept.as_ref().map(|path| path.display().to_string()),
        }))?);
    }
    output::line(&format!(
        "The master key is {} now, in {}. Back it up.\nRunning servers go on; one that starts needs this key.",
        done.new, done.place
    ))?;
    let kept = match &done.kept {
        Some(path) => format!("It is kept in {}.", path.display()),
        None => "Keep it.".to_owned(),
    };
    Ok(output::line(&format!(
        "Backups made before need the old key, {}. {kept}",
        done.old
    ))?)
}

async fn replace(
    config: &Config,
    engine: &Engine,
    masters: &MasterKeyStore,
    new_file: Option<&Path>,
) -> anyhow::Result<Replaced> {
    let in_use = engine.master_fingerprint().await?;
    if let Some(done) = finish_interrupted(masters, &in_use).await? {
        return Ok(done);
    }
    let found = masters.read_all().await?;
    let is_in_use = |found: &&Found| found.key.fingerprint() == in_use;
    let old = found.iter().find(is_in_use).context("no master key fits")?;
    let new = new_key(config, masters, new_file, &in_use).await?;
    engine.replace_master(&old.key, &new.key).await?;
    let mut done = Replaced {
        old: in_use,
        new: new.key.fingerprint(),
        place: new.place,
        kept: old.file.clone(),
    };
    if let (None, Some(path)) = (new_file, masters.file()) {
        promote(path, &mut done)?;
    }
    Ok(done)
}

/// The new key waits beside the old one, and counts already: the command was ended between the two steps.
async fn finish_interrupted(
    masters: &MasterKeyStore,
    in_use: &str,
) -> anyhow::Result<Option<Replaced>> {
    let Some(path) = masters.file() else {
        return Ok(None);
    };
    let next = masters.read_file(&master_key::next_of(path)).await?;
    let old = masters.read_file(path).await?;
    let (Some(next), Some(old)) = (next, old) else {
        return Ok(None);
    };
    if next.key.fingerprint() != in_use {
        return Ok(None);
    }
    let mut done = Replaced {
        old: old.key.fingerprint(),
        new: in_use.to_owned(),
        place: next.place,
        kept: None,
    };
    promote(path, &mut done)?;
    Ok(Some(done))
}

/// Moves the new key to where the old one was, which stays beside it.
fn promote(path: &Path, done: &mut Replaced) -> anyhow::Result<()> {
    let aside = with_suffix(path, &format!(".{}", done.old));
    file::promote(&master_key::next_of(path), path, &aside)?;
    done.place = path.display().to_string();
    done.kept = Some(aside);
    Ok(())
}

/// The key that is to be used from now on: the one in `new_file`, or the successor that the settings name.
/// Where it goes to a file that is not there, it is made.
async fn new_key(
    config: &Config,
    masters: &MasterKeyStore,
    new_file: Option<&Path>,
    in_use: &str,
) -> anyhow::Result<Found> {
    let path = match (new_file, masters.file()) {
        (Some(path), _) => Some(path.to_owned()),
        (None, Some(path)) => Some(master_key::next_of(path)),
        (None, None) => None,
    };
    let Some(path) = path else {
        return successor(masters, in_use).await;
    };
    masters.make(&path, &SystemEntropy).await?;
    let found = masters.read_file(&path).await?;
    let found = found.with_context(|| format!("{} went away", path.display()))?;
    if found.key.fingerprint() == in_use {
        let what = format!("{} holds the key that is in use", path.display());
        let next = format!(
            "Name a file with another key, or one that is not there yet, for {}.",
            config.database.value
        );
        return Err(Failure::bad_input(what).next(next).into());
    }
    Ok(found)
}

async fn successor(masters: &MasterKeyStore, in_use: &str) -> anyhow::Result<Found> {
    let mut others = masters.read_all().await?;
    others.retain(|found| found.key.fingerprint() != in_use);
    others.pop().ok_or_else(|| {
        Failure::bad_input("there is no new master key")
            .next(
                "Set KEYWAY_MASTER_KEY_NEXT, or let the command print it as its second line, or name a file with\n\
                 --new-master-key-file. `head -c 32 /dev/urandom | base64` makes a key.",
            )
            .into()
    })
}
