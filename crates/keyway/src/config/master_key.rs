//! Where the master key is: a variable, a file, a command that prints it, or a file that a key service opens.

use super::environment::Environment;
use super::file::{FileConfig, TransitTable};
use super::setting::{Origin, Setting};
use super::{Sources, path_of};
use crate::cli::SettingFlags;
use crate::failure::Failure;
use secrecy::SecretString;
use std::path::{Path, PathBuf};
use url::{Host, Url};

const COMMAND_VARIABLE: &str = "KEYWAY_MASTER_KEY_COMMAND";
const DEFAULT_MOUNT: &str = "transit";

/// Where the master key is.
#[derive(Clone, Debug)]
pub(crate) enum MasterKeySource {
    /// In `KEYWAY_MASTER_KEY` itself, and its successor, if there is one, in `KEYWAY_MASTER_KEY_NEXT`.
    Environment {
        /// The key in use.
        key: SecretString,
        /// The key that is to replace it.
        next: Option<SecretString>,
    },
    /// In a file, and its successor in the file of that name with `.next`.
    File(Setting<PathBuf>),
    /// In what this command of the shell prints: one key a line, the one in use first.
    Command(Setting<String>),
    /// In a file, encrypted by a transit engine.
    Transit(Transit),
}

/// A key of the transit engine of HashiCorp Vault or OpenBao, and the file it decrypts.
#[derive(Clone, Debug)]
pub(crate) struct Transit {
    /// Where the service is, such as `https://vault.example.com:8200`.
    pub(crate) address: Url,
    /// The path the engine is mounted on.
    pub(crate) mount: String,
    /// The key's name.
    pub(crate) key: String,
    /// The file that holds the token to authenticate with; read anew each time.
    pub(crate) token_file: PathBuf,
    /// The service's namespace, if it has such.
    pub(crate) namespace: Option<String>,
    /// The file that holds the encrypted master key.
    pub(crate) ciphertext_file: PathBuf,
}

/// What the flags, the environment and the file say, the stronger first.
///
/// # Errors
/// If two sources of the same strength are named, or one that cannot be.
pub(super) fn resolve(
    flags: &SettingFlags,
    environment: &Environment,
    file: &FileConfig,
    (data_dir, base): (&Path, &Path),
) -> anyhow::Result<MasterKeySource> {
    let path = Sources {
        flag: ("--master-key-file", flags.master_key_file.as_ref()),
        variable: "KEYWAY_MASTER_KEY_FILE",
        file: None,
    };
    let path = path.strongest(environment)?;
    if let Some(path) = path
        .as_ref()
        .filter(|p| matches!(p.origin, Origin::Flag(_)))
    {
        return Ok(MasterKeySource::File(path_of(path, base)));
    }
    if let Some(source) = in_environment(environment, path.as_ref(), base)? {
        return Ok(source);
    }
    if let Some(source) = in_file(file, (data_dir, base))? {
        return Ok(source);
    }
    let default = data_dir.join("master.key");
    Ok(MasterKeySource::File(Setting::default_value(default)))
}

fn in_environment(
    environment: &Environment,
    path: Option<&Setting<String>>,
    base: &Path,
) -> anyhow::Result<Option<MasterKeySource>> {
    let secret = |name| environment.get(name).map(SecretString::from);
    let named = [
        path.map(|path| MasterKeySource::File(path_of(path, base))),
        environment.get(COMMAND_VARIABLE).map(|command| {
            let origin = Origin::Environment(COMMAND_VARIABLE);
            MasterKeySource::Command(Setting::new(command.to_owned(), origin))
        }),
        secret("KEYWAY_MASTER_KEY").map(|key| MasterKeySource::Environment {
            key,
            next: secret("KEYWAY_MASTER_KEY_NEXT"),
        }),
    ];
    let names = [
        "KEYWAY_MASTER_KEY_FILE",
        COMMAND_VARIABLE,
        "KEYWAY_MASTER_KEY",
    ];
    only_one(named, names)
}

fn in_file(
    file: &FileConfig,
    (data_dir, base): (&Path, &Path),
) -> anyhow::Result<Option<MasterKeySource>> {
    let storage = &file.storage;
    let path = storage.master_key_file.as_ref();
    let named = [
        path.map(|path| MasterKeySource::File(Setting::from_file(base.join(path)))),
        storage
            .master_key_command
            .clone()
            .map(|command| MasterKeySource::Command(Setting::from_file(command))),
        transit(&file.transit, (data_dir, base))?.map(MasterKeySource::Transit),
    ];
    let names = [
        "storage.master_key_file",
        "storage.master_key_command",
        "[transit]",
    ];
    only_one(named, names)
}

fn only_one(
    named: [Option<MasterKeySource>; 3],
    names: [&str; 3],
) -> anyhow::Result<Option<MasterKeySource>> {
    let both: Vec<&str> = names
        .into_iter()
        .zip(&named)
        .filter_map(|(name, source)| source.as_ref().map(|_| name))
        .collect();
    if let [one, other, ..] = both.as_slice() {
        return Err(
            Failure::bad_input(format!("{one} and {other} are both set"))
                .next("Unset one of them: there is one master key.")
                .into(),
        );
    }
    Ok(named.into_iter().flatten().next())
}

/// Where the service is. The address is shown in messages, so nothing secret may be in it; and a master key
/// crosses no network in the clear.
fn transit_address(text: &str) -> anyhow::Result<Url> {
    let refused = |why: &str, next: &str| Failure::bad_input(why.to_owned()).next(next.to_owned());
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or_else(|| {
        let next = "Write it like https://vault.example.com:8200.";
        refused("transit.address is not an http or https URL", next)
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        let next = "Leave out what is before the @: the token in transit.token_file says who asks.";
        return Err(refused("transit.address holds a user name or a password", next).into());
    }
    if url.scheme() == "http" && !is_this_machine(&url) {
        let next =
            "Write https://. Plain http is for a service, or its proxy, on this machine alone.";
        let why = "transit.address is plain http to another machine: the master key would cross the network in the clear";
        return Err(refused(why, next).into());
    }
    Ok(url)
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn transit(
    table: &TransitTable,
    (data_dir, base): (&Path, &Path),
) -> anyhow::Result<Option<Transit>> {
    if table.is_empty() {
        return Ok(None);
    }
    let missing = |name: &str| {
        Failure::bad_input(format!("transit.{name} is missing"))
            .next("[transit] needs address, key and token_file.")
    };
    let address = table.address.as_deref().ok_or_else(|| missing("address"))?;
    let ciphertext = table.ciphertext_file.as_ref();
    Ok(Some(Transit {
        address: transit_address(address)?,
        mount: table
            .mount
            .clone()
            .unwrap_or_else(|| DEFAULT_MOUNT.to_owned()),
        key: table.key.clone().ok_or_else(|| missing("key"))?,
        token_file: base.join(
            table
                .token_file
                .as_ref()
                .ok_or_else(|| missing("token_file"))?,
        ),
        namespace: table.namespace.clone(),
        ciphertext_file: ciphertext.map_or_else(
            || data_dir.join("master.key.transit"),
            |path| base.join(path),
        ),
    }))
}
