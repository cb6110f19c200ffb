//! Files with secrets of the operator's: read whole, written whole or not at all, for their owner only.

use crate::failure::Failure;
use anyhow::Context as _;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The text in `path`; `None` means that there is no such file.
///
/// # Errors
/// If there is one and it cannot be read.
pub(crate) fn read_file(path: &Path) -> anyhow::Result<Option<Zeroizing<String>>> {
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

/// Keeps `text` in `path`, durably, unless something is there already. Whether the file is ours: it appears
/// whole or not at all, and never in place of another.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn keep_new(path: &Path, text: &str) -> anyhow::Result<bool> {
    write_new(path, text).with_context(|| {
        let what = format!("the master key cannot be kept in {}", path.display());
        Failure::new(what).next(
            "Name a place that can be written to with --data-dir or --master-key-file, or set KEYWAY_MASTER_KEY.",
        )
    })
}

fn write_new(path: &Path, text: &str) -> std::io::Result<bool> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let linked = write_draft(&draft, text).and_then(|()| std::fs::hard_link(&draft, path));
    drop(std::fs::remove_file(&draft));
    match linked {
        Ok(()) => sync_directory(path).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.exists() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a file that is not there yet, for its owner only.
///
/// # Errors
/// If it is there, or cannot be made.
pub(crate) fn create_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

fn write_draft(draft: &Path, text: &str) -> std::io::Result<()> {
    let mut file = create_private(draft)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Moves `next` to `path`, durably; what was in `path` stays beside it as `aside`.
///
/// # Errors
/// If a file cannot be moved. Whatever happens, no content is lost.
pub(crate) fn promote(next: &Path, path: &Path, aside: &Path) -> anyhow::Result<()> {
    let moved = || -> std::io::Result<()> {
        match std::fs::hard_link(path, aside) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            linked => linked?,
        }
        std::fs::rename(next, path)?;
        sync_directory(path)
    };
    moved().with_context(|| {
        let what = format!("{} cannot be moved to {}", next.display(), path.display());
        Failure::new(what).next("Move it yourself: it holds the key that counts now.")
    })
}

/// `path` with `suffix` at its end.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Makes what was done to the directory of `path` durable.
///
/// # Errors
/// If the disk does not take it.
pub(crate) fn sync_directory(path: &Path) -> std::io::Result<()> {
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
