//! From a configuration to a working engine. Every command goes this way, so every command works on a
//! stopped server and beside a running one, on either database.

use crate::config::setting::Origin;
use crate::config::{Config, MasterKeySource, providers};
use crate::failure::Failure;
use crate::files::make_private_directory;
use crate::master_key::MasterKeyStore;
use crate::portable::import;
use anyhow::Context as _;
use keyway_core::entropy::Entropy;
use keyway_core::time::{Clock, SystemClock};
use keyway_engine::unlock::{self, UnlockError};
use keyway_engine::{Engine, Parts, Settings};
use keyway_outbound::{
    HttpTransport, MailClient, MailExchangers, NameServers, NetworkPolicy, NotAsked, Transport,
    Upstreams,
};
use keyway_store::{DatabaseUrl, Store, StoreError, newest_schema_version};
use keyway_vault::UnlockError::WrongMasterKey;
use keyway_vault::{SystemEntropy, Vault};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// What a command may do where there is no database yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Make it, with its directory and its master key.
    MayMake,
    /// Nothing: whoever only looks leaves nothing behind.
    MustExist,
}

/// A database and the keys to it.
pub(crate) struct Opened {
    /// The database, migrated.
    pub(crate) store: Store,
    /// Its keys, unlocked.
    pub(crate) vault: Vault,
    /// Where the master key is.
    pub(crate) master_keys: Arc<MasterKeyStore>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// Opens everything `config` names. Background work is on `runtime`, which must outlive the engine.
///
/// # Errors
/// As [`open_database`].
pub(crate) async fn open(
    config: &Config,
    runtime: &Handle,
    opening: Opening,
) -> anyhow::Result<Engine> {
    let opened = open_database(config, runtime, opening).await?;
    let roots = config.network.roots.clone();
    let mailboxes = MailClient::new(policy(config), runtime.clone(), roots)?;
    Ok(Engine::new(Parts {
        transport: opened.transport,
        mail_exchangers: mail_exchangers(config, runtime),
        mailboxes: Arc::new(mailboxes),
        catalogue: config.catalogue(),
        settings: settings(config),
        runtime: runtime.clone(),
        store: opened.store,
        vault: opened.vault,
        master_keys: opened.master_keys,
        clock: opened.clock,
        entropy: opened.entropy,
    }))
}

/// Opens the database and unlocks its keys.
///
/// # Errors
/// If the database cannot be reached, is of a newer version or half imported, or does not belong to the master
/// key.
pub(crate) async fn open_database(
    config: &Config,
    runtime: &Handle,
    opening: Opening,
) -> anyhow::Result<Opened> {
    let store = open_store(config, opening).await?;
    unlock_store(config, runtime, opening, store).await
}

/// Opens a database that is there as it is, and unlocks its keys.
///
/// # Errors
/// As [`open_database`], and if it is of an older version, whose tables are not those this program reads.
pub(crate) async fn open_unchanged(config: &Config, runtime: &Handle) -> anyhow::Result<Opened> {
    let (store, version) = open_as_it_is(config).await?;
    let newest = newest_schema_version();
    if version < newest {
        let what = format!(
            "{} is of schema {version}, and this program reads schema {newest}",
            config.database.value
        );
        return Err(Failure::new(what)
            .next("Use the version of keyway that runs on it. Or back up, and start this one: it migrates the database.")
            .into());
    }
    unlock_store(config, runtime, Opening::MustExist, store).await
}

async fn unlock_store(
    config: &Config,
    runtime: &Handle,
    opening: Opening,
    store: Store,
) -> anyhow::Result<Opened> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    refuse_half_imported(config, &store).await?;
    let transport: Arc<dyn Transport> = Arc::new(transport(config, runtime)?);
    let master_keys = Arc::new(master_keys(config, &transport));
    let vault = open_vault(config, (&store, &master_keys), &clock, &entropy, opening).await?;
    Ok(Opened {
        store,
        vault,
        master_keys,
        transport,
        clock,
        entropy,
    })
}

/// Fails on a database that an unfinished import left behind.
///
/// # Errors
/// If it is one, or does not answer.
pub(crate) async fn refuse_half_imported(config: &Config, store: &Store) -> anyhow::Result<()> {
    if import::under_way(store).await?.is_none() {
        return Ok(());
    }
    let what = format!("an import into {} is not finished", config.database.value);
    Err(Failure::new(what)
        .next("Run the same `keyway import` again: it goes on where it stopped. Or begin anew with an empty database.")
        .into())
}

/// The data directory is made only if something goes there.
fn make_data_directory(config: &Config) -> anyhow::Result<()> {
    let directory = &config.data_dir.value;
    let has_database = match &config.database.value {
        DatabaseUrl::Sqlite(path) => path.starts_with(directory),
        DatabaseUrl::Postgres(_) => false,
    };
    let has_key = match &config.master_key {
        MasterKeySource::File(path) => path.value.starts_with(directory),
        MasterKeySource::Transit(service) => service.ciphertext_file.starts_with(directory),
        MasterKeySource::Environment { .. } | MasterKeySource::Command(_) => false,
    };
    if has_database || has_key {
        make_private_directory(directory)?;
    }
    Ok(())
}

/// Fails where there is no database yet, saying how one is made.
///
/// # Errors
/// If the SQLite file does not exist.
pub(crate) fn require_database_file(config: &Config) -> anyhow::Result<()> {
    match &config.database.value {
        DatabaseUrl::Sqlite(path) if !path.exists() => Err(no_database(config).into()),
        _ => Ok(()),
    }
}

fn no_database(config: &Config) -> Failure {
    let origin = match config.database.origin {
        Origin::Default => "the default place".to_owned(),
        origin => format!("from {origin}"),
    };
    let what = format!("there is no database {} ({origin})", config.database.value);
    Failure::bad_input(what).next(
        "Say where it is with --data-dir, --database or --config. For a new one, make an application:\n\
         keyway app create --name Acme --redirect-uri http://localhost:3000/callback",
    )
}

/// Opens the database, and migrates it.
///
/// # Errors
/// If it cannot be reached, is not there and must be, or is of a newer version.
pub(crate) async fn open_store(config: &Config, opening: Opening) -> anyhow::Result<Store> {
    let store = match opening {
        Opening::MayMake => {
            make_data_directory(config)?;
            connect(config).await?
        }
        Opening::MustExist => open_as_it_is(config).await?.0,
    };
    store.migrate().await.with_context(|| unusable(config))?;
    if opening == Opening::MayMake {
        note_opening(&store)
            .await
            .with_context(|| unusable(config))?;
    }
    Ok(store)
}

/// Writes something that was not there before. A disk that is full or read-only is found now, where somebody looks,
/// and not by the first user: with nothing to migrate, nothing else would be written.
async fn note_opening(store: &Store) -> Result<(), StoreError> {
    let version = env!("CARGO_PKG_VERSION");
    let note =
        store.write(move |s| Box::pin(async move { s.put_server_note("opened", version).await }));
    note.await
}

/// Opens a database that is there, without migrating it, and says of which schema it is.
///
/// # Errors
/// If it cannot be reached, is not there, or is of a newer version.
pub(crate) async fn open_as_it_is(config: &Config) -> anyhow::Result<(Store, i64)> {
    require_database_file(config)?;
    let store = connect(config).await?;
    let version = store.schema_version().await;
    match version.with_context(|| unusable(config))? {
        0 => Err(no_database(config).into()),
        version => Ok((store, version)),
    }
}

/// How often a database that lets nobody in yet is asked, and how long after each try: some ten seconds in all.
const OPENING_TRIES: u32 = 40;
const OPENING_PAUSE: Duration = Duration::from_millis(250);

/// Opens a database that may be starting at this moment, or letting the connections of others go.
async fn connect(config: &Config) -> anyhow::Result<Store> {
    let mut tries = 1;
    loop {
        match Store::open(&config.database.value, Arc::new(SystemClock)).await {
            Err(error) if error.is_over_soon() && tries < OPENING_TRIES => {
                if tries == 1 {
                    tracing::warn!(%error, "the database lets nobody in yet: waiting for it");
                }
                tries += 1;
                tokio::time::sleep(OPENING_PAUSE).await;
            }
            opened => return opened.with_context(|| unusable(config)),
        }
    }
}

fn unusable(config: &Config) -> Failure {
    Failure::new(format!(
        "the database {} ({}) cannot be used",
        config.database.value, config.database.origin
    ))
}

/// The way to the master key of `config`.
pub(crate) fn master_keys(config: &Config, transport: &Arc<dyn Transport>) -> MasterKeyStore {
    MasterKeyStore::new(config.master_key.clone(), Arc::clone(transport))
}

async fn open_vault(
    config: &Config,
    (store, master_keys): (&Store, &MasterKeyStore),
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    opening: Opening,
) -> anyhow::Result<Vault> {
    let made = make_master_key(config, (store, master_keys), &**entropy, opening).await?;
    let opened = unlock::open_vault(store, master_keys, &**clock, entropy.clone()).await;
    match opened {
        Err(UnlockError::Keys(error @ WrongMasterKey { .. })) => {
            if let Some(made) = made {
                // Somebody else founded the keys with another one. Left behind, it would only mislead; after
                // any other failure somebody may have read it meanwhile and founded the keys with it.
                drop(std::fs::remove_file(made));
            }
            let failure = wrong_key(config, master_keys).await;
            Err(anyhow::Error::from(error).context(failure))
        }
        Err(error @ UnlockError::Keys(_)) => {
            let what = format!("the keys in {} are not whole", config.database.value);
            Err(anyhow::Error::from(error).context(
                Failure::new(what).next(
                    "The master key is the right one. Bring the database back from a backup.",
                ),
            ))
        }
        opened => Ok(opened?),
    }
}

async fn wrong_key(config: &Config, master_keys: &MasterKeyStore) -> Failure {
    let database = &config.database.value;
    let found = master_keys.read_all().await.unwrap_or_default();
    let places: Vec<String> = found.into_iter().map(|found| found.place).collect();
    let what = format!(
        "the master key in {} does not open the database {database}",
        places.join(" or ")
    );
    Failure::new(what).next(
        "This database was made with another master key. Say where that one is with --master-key-file,\n\
         KEYWAY_MASTER_KEY_FILE or KEYWAY_MASTER_KEY.",
    )
}

/// Sees to it that there is a master key: on an empty database one is made, where it can be. The file it was
/// made in, if it was.
async fn make_master_key(
    config: &Config,
    (store, master_keys): (&Store, &MasterKeyStore),
    entropy: &dyn Entropy,
    opening: Opening,
) -> anyhow::Result<Option<PathBuf>> {
    if !master_keys.read_all().await?.is_empty() {
        return Ok(None);
    }
    let is_empty = store
        .read(|s| Box::pin(async move { s.is_empty_database().await }))
        .await?;
    match master_keys.file() {
        Some(path) if is_empty && opening == Opening::MayMake => {
            let made = master_keys.make(path, entropy).await?;
            Ok(made.then(|| path.to_owned()))
        }
        // Another process may have made key and database since we looked for the file.
        _ if !master_keys.read_all().await?.is_empty() => Ok(None),
        _ if is_empty => {
            let database = format!("the database {}", config.database.value);
            Err(master_keys.missing_for_empty(&database).into())
        }
        _ => {
            let database = format!("the database {}", config.database.value);
            Err(master_keys.missing(&database).into())
        }
    }
}

/// Who is asked what a domain publishes about its mail. Without name servers detection knows well-known domains only,
/// and no mail server is found by SRV records.
fn mail_exchangers(config: &Config, runtime: &Handle) -> Arc<dyn MailExchangers> {
    if !config.network.look_up_mail_exchangers {
        return Arc::new(NotAsked);
    }
    match NameServers::of_system(runtime.clone()) {
        Ok(servers) => Arc::new(servers),
        Err(error) => {
            tracing::warn!(%error, "nobody is asked who takes a domain's mail and where it has its servers");
            Arc::new(NotAsked)
        }
    }
}

/// The way out that `config` permits.
///
/// # Errors
/// If TLS cannot be set up.
pub(crate) fn transport(config: &Config, runtime: &Handle) -> anyhow::Result<HttpTransport> {
    Ok(HttpTransport::new(
        policy(config),
        runtime.clone(),
        config.network.roots.clone(),
    )?)
}

/// The way out for calls on behalf of grants.
///
/// # Errors
/// If TLS cannot be set up.
pub(crate) fn upstreams(config: &Config) -> anyhow::Result<Upstreams> {
    Ok(Upstreams::new(
        policy(config),
        config.network.roots.clone(),
    )?)
}

fn policy(config: &Config) -> NetworkPolicy {
    let mut hosts = providers::hosts(&config.providers.tables);
    if let MasterKeySource::Transit(service) = &config.master_key {
        hosts.extend(service.address.host_str().map(str::to_owned));
    }
    NetworkPolicy::new(config.network.allow_private_addresses, hosts)
}

fn settings(config: &Config) -> Settings {
    let public_url = config.public_url.value.clone();
    Settings {
        issuer: public_url.as_str().trim_end_matches('/').to_owned(),
        public_url,
        shared_apps: config.shared_apps.clone(),
        probe_credentials: true,
        serve_through_outage: config.serve_through_outage,
    }
}
