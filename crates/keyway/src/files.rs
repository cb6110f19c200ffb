//! Files that appear whole or not at all, never in place of another, and for their owner only.

use crate::failure::Failure;
use anyhow::Context as _;
use keyway_core::entropy::random_bytes;
use keyway_vault::SystemEntropy;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// `path` with `suffix` at its end.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Where what is to become `path` is written first. Not named by the process's number alone, which in a container
/// is the same every time: what a killed process left behind would be in the way.
pub(crate) fn draft_of(path: &Path) -> PathBuf {
    let random = u32::from_le_bytes(random_bytes(&SystemEntropy));
    with_suffix(path, &format!(".draft-{random:08x}"))
}

/// Makes a file that is not there yet, for its owner only.
///
/// # Errors
/// If it is there, or cannot be made.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

/// Gives the finished `draft` the name `path`, durably, unless something has that name. Whether it did; the draft
/// is gone in both cases.
///
/// # Errors
/// If the file cannot be named so. The draft stays.
pub(crate) fn name_new(draft: &Path, path: &Path) -> io::Result<bool> {
    let linked = std::fs::hard_link(draft, path);
    let named = match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return forget(draft, false),
        // File systems without hard links have no way that cannot lose against somebody else.
        Err(_) if !path.exists() => return std::fs::rename(draft, path).and_then(|()| sync(path)),
        linked => linked.and_then(|()| sync(path)),
    };
    named.and_then(|named| forget(draft, named))
}

fn sync(path: &Path) -> io::Result<bool> {
    sync_directory(path).map(|()| true)
}

fn forget(draft: &Path, named: bool) -> io::Result<bool> {
    drop(std::fs::remove_file(draft));
    Ok(named)
}

/// Makes what was done to the directory of `path` durable.
///
/// # Errors
/// If the disk does not take it.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// A file that commands make is never written over another.
///
/// # Errors
/// If there is one of that name.
pub(crate) fn refuse_existing(file: &Path) -> anyhow::Result<()> {
    if file.exists() {
        return Err(taken(file).into());
    }
    Ok(())
}

/// Gives the finished `draft` the name of the file that a command was asked for.
///
/// # Errors
/// If something has that name by now, or the disk does not take it.
pub(crate) fn name_asked_for(draft: &Path, file: &Path) -> anyhow::Result<()> {
    match name_new(draft, file)? {
        true => Ok(()),
        false => Err(taken(file).into()),
    }
}

fn taken(file: &Path) -> Failure {
    Failure::bad_input(format!("{} is there already", file.display()))
        .next("Name another file: nothing is written over.")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_gets_a_free_name_and_never_somebody_elses() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for (text, is_first) in [("one", true), ("two", false)] {
            let draft = draft_of(&path);
            std::fs::write(&draft, text).unwrap();
            assert_eq!(name_new(&draft, &path).unwrap(), is_first);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        let left = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 1, "no draft is left behind");
    }
}
