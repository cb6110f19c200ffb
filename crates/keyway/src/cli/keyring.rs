//! `keyway keyring …`.

use super::{ListArgs, SettingFlags};
use clap::{Args, Subcommand};
use std::path::PathBuf;

const ROTATE_HELP: &str = "\
Examples:
  keyway keyring rotate             make a new term and seal everything anew with it
  keyway keyring rotate --resume    go on with a rotation that was interrupted

Servers go on meanwhile: they read what either term sealed. Stopped at any moment, the rotation is gone on
with by a running server, or by --resume. The old term is retired 35 minutes after it stopped sealing, when
the sign-ins that were under way are over, by a running server or by --resume.";

const REPLACE_HELP: &str = "\
Examples:
  keyway keyring replace-master
  keyway keyring replace-master --new-master-key-file /etc/keyway/master-2027.key

Wraps the keys of the database by another master key, in one transaction; no other row changes, and running
servers go on. The new key is made if its file is not there. Without --new-master-key-file it is:
  for a key file   <file>.next, which then takes the place of <file>; the old key stays beside it
  for a variable   KEYWAY_MASTER_KEY_NEXT
  for a command    the second line it prints

On several servers, put the new key in place on each of them first (<file>.next, KEYWAY_MASTER_KEY_NEXT):
a server that starts uses whichever of the two fits. Backups made before need the old key: keep it.";

/// `keyway keyring …`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyringCommand {
    /// Show the keys, their states, and how many values each seals
    Status(ListArgs),
    /// Make a new term, and seal everything anew with it
    #[command(after_help = ROTATE_HELP)]
    Rotate(RotateArgs),
    /// Wrap the keys by another master key
    #[command(after_help = REPLACE_HELP)]
    ReplaceMaster(ReplaceMasterArgs),
}

/// `keyway keyring rotate`.
#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    /// Go on with the rotation under way instead of beginning one
    #[arg(long)]
    pub(crate) resume: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings shared with other commands.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// `keyway keyring replace-master`.
#[derive(Args, Debug)]
pub(crate) struct ReplaceMasterArgs {
    /// File with the new master key; made if it is not there
    #[arg(long, value_name = "FILE")]
    pub(crate) new_master_key_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings shared with other commands.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}
