//! The master key: read from where the operator keeps it, or made on an empty database.

use crate::config::MasterKeySource;
use crate::config::setting::{Origin, Setting};
use crate::failure::Failure;
use anyhow::Context as _;
use keyway_core::entropy::Entropy;
use keyway_vault::MasterKey;
use secrecy::ExposeSecret as _;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A master key and whether this command has just made it.
#[derive(Debug)]
pub(crate) struct Found {
    /// The key.
    pub(crate) key: MasterKey,
    /// Where it is, in words.
    pub(crate) place: String,
    /// The file that was made for it, if it is new.
    pub(crate) made: Option<PathBuf>,
}

/// The key, if there is one. `None` means that its file does not exist.
///
/// # Errors
/// If the file cannot be read, or what is there is no master key.
pub(crate) fn read(source: &MasterKeySource) -> anyhow::Result<Option<Found>> {
    let (text, place) = match source {
        MasterKeySource::Environment(text) => {
            let text = Zeroizing::new(text.expose_secret().to_owned());
            (text, "KEYWAY_MASTER_KEY".to_owned())
        }
        MasterKeySource::File(path) => match read_file(&path.value)? {
            Some(text) => (text, path.value.display().to_string()),
            None => return Ok(None),
        },
    };
    let key = MasterKey::parse_base64(&text).with_context(|| {
        Failure::bad_input(format!("there is no master key in {place}"))
            .next("Put the right key back. `head -c 32 /dev/urandom | base64` makes one for a new database.")
    })?;
    let made = None;
    Ok(Some(Found { key, place, made }))
}

fn read_file(path: &Path) -> anyhow::Result<Option<Zeroizing<String>>> {
    let unreadable = || {
        let what = format!("the master key file {} cannot be read", path.display());
        Failure::new(what).next("Let the user that runs keyway read it, and nobody else.")
    };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            warn_of_other_readers(path);
            Ok(Some(Zeroizing::new(text)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(unreadable),
    }
}

/// A warning only: secrets mounted by a container platform are often readable by their group.
fn warn_of_other_readers(path: &Path) {
    let mode = std::fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = format_args!("{:03o}", mode & 0o777),
            "others than its owner may read the master key; `chmod 600` ends that"
        );
    }
}

/// Makes a key for an empty database and keeps it in `path`. If another process makes one at the same
/// moment, one of the two keys is everybody's.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn make(path: &Setting<PathBuf>, entropy: &dyn Entropy) -> anyhow::Result<Found> {
    let path = &path.value;
    let key = MasterKey::generate(entropy);
    let is_ours = write_new(path, &key).with_context(|| {
        let what = format!("the master key cannot be kept in {}", path.display());
        Failure::new(what).next(
            "Name a place that can be written to with --data-dir or --master-key-file, or set KEYWAY_MASTER_KEY.",
        )
    })?;
    if !is_ours {
        let source = MasterKeySource::File(Setting::default_value(path.clone()));
        return read(&source)?.context("the master key file went away while it was read");
    }
    tracing::info!(path = %path.display(), "made a master key for this new database: back it up");
    Ok(Found {
        key,
        place: path.display().to_string(),
        made: Some(path.clone()),
    })
}

/// Whether the file is ours: it appears whole or not at all, and never in place of another.
fn write_new(path: &Path, key: &MasterKey) -> std::io::Result<bool> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let linked = write_draft(&draft, key).and_then(|()| std::fs::hard_link(&draft, path));
    drop(std::fs::remove_file(&draft));
    match linked {
        Ok(()) => sync_directory(path).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.exists() => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_draft(draft: &Path, key: &MasterKey) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    file.write_all(key.to_base64().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Makes a directory, and those above it, that only its owner may enter.
///
/// # Errors
/// If it cannot be made, or something else has its name.
pub(crate) fn make_private_directory(path: &Path) -> anyhow::Result<()> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.with_context(|| {
        let what = format!("the data directory {} cannot be made", path.display());
        Failure::new(what).next("Name another with --data-dir or KEYWAY_DATA_DIR.")
    })
}

/// Why a database that has keys in it cannot be opened without a master key.
pub(crate) fn missing(source: &MasterKeySource, database: &str) -> Failure {
    let (place, why) = match source {
        MasterKeySource::Environment(_) => ("KEYWAY_MASTER_KEY".to_owned(), String::new()),
        MasterKeySource::File(path) => {
            let why = match path.origin {
                Origin::Default => " (the default place)".to_owned(),
                origin => format!(" (from {origin})"),
            };
            (path.value.display().to_string(), why)
        }
    };
    let what = format!(
        "the database {database} was made with a master key, and {place}{why} does not exist"
    );
    Failure::new(what).next(
        "Bring that file back from your backup, or say where the key is with --master-key-file,\n\
         KEYWAY_MASTER_KEY_FILE or KEYWAY_MASTER_KEY. Nobody can read this database's secrets without it.\n\
         To begin anew, name an empty database.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::entropy::SeededEntropy;

    fn file(path: PathBuf) -> MasterKeySource {
        MasterKeySource::File(Setting::default_value(path))
    }

    #[test]
    fn a_new_key_is_readable_by_its_owner_only_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/master.key");
        make_private_directory(path.parent().unwrap()).unwrap();
        let source = file(path.clone());
        assert!(read(&source).unwrap().is_none());
        let setting = Setting::default_value(path.clone());
        let made = make(&setting, &SeededEntropy::new(1)).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let found = read(&source).unwrap().unwrap();
        assert_eq!(found.key.fingerprint(), made.key.fingerprint());
        let entries = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(entries, 1, "no draft is left behind");
    }

    #[test]
    fn of_two_that_make_a_key_at_once_both_end_with_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let setting = Setting::default_value(directory.path().join("master.key"));
        let first = make(&setting, &SeededEntropy::new(1)).unwrap();
        let second = make(&setting, &SeededEntropy::new(2)).unwrap();
        assert_eq!(first.key.fingerprint(), second.key.fingerprint());
        assert!(second.made.is_none());
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        std::fs::write(&path, "hunter2!").unwrap();
        let error = read(&file(path)).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn a_missing_key_is_explained() {
        let source = file("/d/master.key".into());
        let failure = missing(&source, "sqlite:///d/keyway.db").to_string();
        assert!(
            failure.contains("/d/master.key (the default place) does not exist"),
            "{failure}"
        );
    }
}
