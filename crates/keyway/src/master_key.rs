//! The master key: had from where the operator keeps it, or made on an empty database.

mod command;
pub(crate) mod file;
mod transit;

use crate::config::setting::{Origin, Setting};
use crate::config::{MasterKeySource, Transit};
use crate::failure::Failure;
use crate::files::with_suffix;
use anyhow::Context as _;
use keyway_core::entropy::Entropy;
use keyway_engine::unlock::{MasterKeys, MasterKeysError};
use keyway_outbound::{DEFAULT_DEADLINE, Transport};
use keyway_store::BoxFuture;
use keyway_vault::MasterKey;
use secrecy::{ExposeSecret as _, SecretString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// What the files hold, in messages.
const MASTER_KEY: &str = "the master key";

/// A master key and where it is.
#[derive(Debug)]
pub(crate) struct Found {
    /// The key.
    pub(crate) key: MasterKey,
    /// Where it is, in words.
    pub(crate) place: String,
    /// The file it is in, if it is in one of its own.
    pub(crate) file: Option<PathBuf>,
}

/// The way to the master key.
pub(crate) struct MasterKeyStore {
    source: MasterKeySource,
    transport: Arc<dyn Transport>,
}

impl MasterKeyStore {
    /// The way to `source`, of which a key service is asked through `transport`.
    pub(crate) fn new(source: MasterKeySource, transport: Arc<dyn Transport>) -> Self {
        Self { source, transport }
    }

    /// The keys there are: the one in use first, then its successor. None means that the file does not exist, or
    /// that the command prints nothing.
    ///
    /// # Errors
    /// If a key cannot be had, or what is there is no master key.
    pub(crate) async fn read_all(&self) -> anyhow::Result<Vec<Found>> {
        match &self.source {
            MasterKeySource::Environment { key, next } => in_environment(key, next.as_ref()),
            MasterKeySource::File(path) => in_files(&path.value),
            MasterKeySource::Command(command) => {
                let printed = command::run(&command.value).await?;
                let lines = printed.lines().filter(|line| !line.trim().is_empty());
                let place = || format!("what `{}` prints", command.value);
                lines.map(|line| parse(line, place(), None)).collect()
            }
            MasterKeySource::Transit(service) => self.in_transit(service).await,
        }
    }

    /// The key in `path`, in the form that this source keeps keys in, if there is such a file.
    ///
    /// # Errors
    /// As [`MasterKeyStore::read_all`].
    pub(crate) async fn read_file(&self, path: &Path) -> anyhow::Result<Option<Found>> {
        match &self.source {
            MasterKeySource::Transit(service) => self.decrypted(service, path).await,
            _ => in_file(path),
        }
    }

    async fn decrypted(&self, service: &Transit, path: &Path) -> anyhow::Result<Option<Found>> {
        let Some(ciphertext) = file::read_secret(path, MASTER_KEY)? else {
            return Ok(None);
        };
        let text = transit::decrypt(&*self.transport, service, ciphertext.trim()).await?;
        let place = format!("{} ({})", path.display(), service.address);
        parse(&text, place, Some(path.to_owned())).map(Some)
    }

    async fn in_transit(&self, service: &Transit) -> anyhow::Result<Vec<Found>> {
        let mut found = Vec::new();
        for path in with_next(&service.ciphertext_file) {
            found.extend(self.decrypted(service, &path).await?);
        }
        Ok(found)
    }

    /// The file that holds the key in use, where keys are kept in files.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.source {
            MasterKeySource::File(path) => Some(&path.value),
            MasterKeySource::Transit(service) => Some(&service.ciphertext_file),
            MasterKeySource::Environment { .. } | MasterKeySource::Command(_) => None,
        }
    }

    /// Makes a key and keeps it, durably, in `path`. If another process makes one at the same moment, one of
    /// the two keys is everybody's. Whether it was made here.
    ///
    /// # Errors
    /// If the file cannot be written, or the key service does not encrypt the key.
    pub(crate) async fn make(&self, path: &Path, entropy: &dyn Entropy) -> anyhow::Result<bool> {
        let text = MasterKey::generate(entropy).to_base64();
        let kept = match &self.source {
            MasterKeySource::Transit(service) => {
                let ciphertext = transit::encrypt(&*self.transport, service, &text).await?;
                file::keep_new(path, &ciphertext)?
            }
            _ => file::keep_new(path, &text)?,
        };
        if kept {
            tracing::info!(path = %path.display(), "made a master key: back it up");
        }
        Ok(kept)
    }

    /// Why `what`, which has keys in it, cannot be opened without a master key.
    pub(crate) fn missing(&self, what: &str) -> Failure {
        let missing = format!("{what} was made with a master key, and {}", self.absence());
        match &self.source {
            MasterKeySource::File(_) | MasterKeySource::Transit(_) => Failure::new(missing).next(
                "Bring that file back from your backup, or say where the key is with --master-key-file,\n\
                 KEYWAY_MASTER_KEY_FILE or KEYWAY_MASTER_KEY. Nobody can read the secrets without it.\n\
                 To begin anew, name an empty database.",
            ),
            MasterKeySource::Command(_) | MasterKeySource::Environment { .. } => {
                Failure::new(missing).next(
                    "Put the key back where that finds it. Nobody can read the secrets without it.\n\
                     To begin anew, name an empty database.",
                )
            }
        }
    }

    /// Why `database`, in which nothing is yet, cannot be begun without a master key.
    pub(crate) fn missing_for_empty(&self, database: &str) -> Failure {
        let what = format!("{database} is empty, and {}", self.absence());
        match &self.source {
            MasterKeySource::File(_) | MasterKeySource::Transit(_) => Failure::bad_input(what).next(
                "Make an application, and the key is made as well:\n\
                 keyway app create --name Acme --redirect-uri http://localhost:3000/callback",
            ),
            MasterKeySource::Command(_) | MasterKeySource::Environment { .. } => {
                Failure::bad_input(what).next(
                    "Put a key where that finds it: `head -c 32 /dev/urandom | base64` makes one. Keep a copy apart.",
                )
            }
        }
    }

    /// That there is no key, in words.
    fn absence(&self) -> String {
        match &self.source {
            MasterKeySource::Environment { .. } => "KEYWAY_MASTER_KEY is not set".to_owned(),
            MasterKeySource::Command(command) => format!("`{}` prints none", command.value),
            MasterKeySource::Transit(service) => {
                format!("{} does not exist", service.ciphertext_file.display())
            }
            MasterKeySource::File(path) => {
                format!("{}{} does not exist", path.value.display(), because(path))
            }
        }
    }
}

impl MasterKeys for MasterKeyStore {
    fn read(&self) -> BoxFuture<'_, Result<Vec<MasterKey>, MasterKeysError>> {
        Box::pin(async {
            let found = self.read_all().await;
            let found = found.map_err(|error| MasterKeysError(format!("{error:#}")))?;
            Ok(found.into_iter().map(|found| found.key).collect())
        })
    }

    fn takes_up_to(&self) -> Duration {
        match &self.source {
            MasterKeySource::Command(_) => command::DEADLINE,
            MasterKeySource::Transit(_) => DEFAULT_DEADLINE,
            MasterKeySource::Environment { .. } | MasterKeySource::File(_) => Duration::ZERO,
        }
    }
}

fn because(path: &Setting<PathBuf>) -> String {
    match path.origin {
        Origin::Default => " (the default place)".to_owned(),
        origin => format!(" (from {origin})"),
    }
}

fn in_environment(key: &SecretString, next: Option<&SecretString>) -> anyhow::Result<Vec<Found>> {
    let names = ["KEYWAY_MASTER_KEY", "KEYWAY_MASTER_KEY_NEXT"];
    let keys = std::iter::once(key).chain(next).zip(names);
    keys.map(|(key, name)| parse(key.expose_secret(), name.to_owned(), None))
        .collect()
}

/// A file, and the one its successor waits in.
fn with_next(path: &Path) -> [PathBuf; 2] {
    [path.to_owned(), next_of(path)]
}

/// Where the successor of the key in `path` waits while it replaces it.
pub(crate) fn next_of(path: &Path) -> PathBuf {
    with_suffix(path, ".next")
}

fn in_files(path: &Path) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    for path in with_next(path) {
        found.extend(in_file(&path)?);
    }
    Ok(found)
}

/// The key in a file, if there is such a file.
///
/// # Errors
/// If it cannot be read, or holds no master key.
pub(crate) fn in_file(path: &Path) -> anyhow::Result<Option<Found>> {
    let text = file::read_secret(path, MASTER_KEY)?;
    text.map(|text| parse(&text, path.display().to_string(), Some(path.to_owned())))
        .transpose()
}

fn parse(text: &str, place: String, file: Option<PathBuf>) -> anyhow::Result<Found> {
    let text = Zeroizing::new(text.to_owned());
    let key = MasterKey::parse_base64(&text).with_context(|| {
        Failure::bad_input(format!("there is no master key in {place}"))
            .next("Put the right key back. `head -c 32 /dev/urandom | base64` makes one for a new database.")
    })?;
    Ok(Found { key, place, file })
}

#[cfg(test)]
mod tests;
