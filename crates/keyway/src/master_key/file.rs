//! Files with secrets of the operator's: read whole, written whole or not at all, for their owner only.

use crate::failure::Failure;
use crate::files::{create_private, draft_of, name_new, sync_directory};
use anyhow::Context as _;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use zeroize::Zeroizing;

/// The text in `path`, which holds `what`; `None` means that there is no such file.
///
/// # Errors
/// If there is one and it cannot be read.
pub(crate) fn read_secret(path: &Path, what: &str) -> anyhow::Result<Option<Zeroizing<String>>> {
    let unreadable = || {
        let what = format!("{what} in {} cannot be read", path.display());
        Failure::new(what).next("Let the user that runs keyway read it, and nobody else.")
    };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            warn_of_other_readers(path, what);
            Ok(Some(Zeroizing::new(text)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(unreadable),
    }
}

/// A warning only: secrets mounted by a container platform are often readable by their group.
fn warn_of_other_readers(path: &Path, what: &str) {
    let mode = std::fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = format_args!("{:03o}", mode & 0o777),
            "others than the file's owner may read {what}; `chmod 600` ends that"
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

fn write_new(path: &Path, text: &str) -> io::Result<bool> {
    let draft = draft_of(path);
    let named = write_draft(&draft, text).and_then(|()| name_new(&draft, path));
    if named.is_err() {
        drop(std::fs::remove_file(&draft));
    }
    named
}

fn write_draft(draft: &Path, text: &str) -> io::Result<()> {
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
    let moved = || -> io::Result<()> {
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
