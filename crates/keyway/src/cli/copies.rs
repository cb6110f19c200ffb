//! `keyway doctor`, `backup`, `restore`, `export` and `import`.

use super::SettingFlags;
use clap::Args;
use std::path::PathBuf;

pub(super) const DOCTOR_HELP: &str = "\
Examples:
  keyway doctor
  keyway doctor --config keyway.toml --json

Changes nothing, and may be asked beside a running server. Calls the token endpoint of each provider that is
in use. On a large SQLite database the search for damage takes a while. Status 1 if something keeps a server
from working; warnings do not.";

pub(super) const BACKUP_HELP: &str = "\
Examples:
  keyway backup /backups/keyway-monday.db

The copy is of one moment, checked, and readable by its owner alone; a server may be at work meanwhile. It is
as secret as the database: addresses and names are in the clear, secrets sealed. The master key is not in it:
keep that elsewhere. On PostgreSQL use pg_dump or what your platform does; `keyway export` works on both.";

pub(super) const RESTORE_HELP: &str = "\
Examples:
  keyway restore /backups/keyway-monday.db
  keyway restore /backups/keyway-monday.db --replace    put the database that is there aside

Checks that the backup is whole, that this program can read it, and that the master key opens it, before
anything is touched. The server must be stopped. What happened after the backup is not known afterwards:
refresh tokens that rotated since are dead, keys that were revoked since work again.";

pub(super) const EXPORT_HELP: &str = "\
Examples:
  keyway export keyway.export
  keyway export keyway.export --database postgres://keyway@db/keyway

The file is of one moment, and cannot be changed without `import` noticing. Secrets stay sealed: whoever reads
it needs the same master key. Stop the servers first, or what they do meanwhile is not in it.";

pub(super) const IMPORT_HELP: &str = "\
Examples:
  keyway import keyway.export --database postgres://keyway@db/keyway

The database must be empty, and the master key the one of the exported database. The file is checked whole
before anything is written. Interrupted, the same command goes on where it stopped; until it is done, no server
starts on the database.";

/// `keyway doctor`.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings shared with other commands.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// A copy of a database: `keyway backup`, `export` and `import`.
#[derive(Args, Debug)]
pub(crate) struct FileArgs {
    /// The file; one that is written must not be there yet
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings shared with other commands.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// `keyway restore`.
#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// Put the database that is there aside
    #[arg(long)]
    pub(crate) replace: bool,
    /// The backup.
    #[command(flatten)]
    pub(crate) backup: FileArgs,
}
