//! From a configuration to a working engine. Every command goes this way, so every command works on a
//! stopped server and beside a running one, on either database.

use crate::config::{Config, MasterKeySource, providers};
use crate::failure::Failure;
use crate::master_key::{self, Found};
use anyhow::Context as _;
use keyway_core::entropy::Entropy;
use keyway_core::time::{Clock, SystemClock};
use keyway_engine::unlock::{self, UnlockError};
use keyway_engine::{Engine, Parts, Settings};
use keyway_outbound::{HttpTransport, NetworkPolicy};
use keyway_store::{DatabaseUrl, Store};
use keyway_vault::{SystemEntropy, Vault};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Opens everything `config` names. Background work is on `runtime`, which must outlive the engine.
///
/// # Errors
/// If the database cannot be reached, is of a newer version, or does not belong to the master key.
pub(crate) async fn open(config: &Config, runtime: &Handle) -> anyhow::Result<Engine> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    make_data_directory(config)?;
    let store = open_store(config, clock.clone()).await?;
    let vault = open_vault(config, &store, &clock, &entropy).await?;
    Ok(Engine::new(Parts {
        transport: Arc::new(transport(config, runtime)?),
        catalogue: config.catalogue(),
        settings: settings(config),
        runtime: runtime.clone(),
        store,
        vault,
        clock,
        entropy,
    }))
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
        MasterKeySource::Environment(_) => false,
    };
    if has_database || has_key {
        master_key::make_private_directory(directory)?;
    }
    Ok(())
}

async fn open_store(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Store> {
    let url = &config.database.value;
    let unusable = || {
        let what = format!(
            "the database {url} ({}) cannot be used",
            config.database.origin
        );
        Failure::new(what)
    };
    let store = Store::open(url, clock).await.with_context(unusable)?;
    store.migrate().await.with_context(unusable)?;
    Ok(store)
}

async fn open_vault(
    config: &Config,
    store: &Store,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> anyhow::Result<Vault> {
    let found = find_master_key(config, store, &**entropy).await?;
    let opened = unlock::open_vault(store, &found.key, &**clock, entropy.clone()).await;
    if let (Err(_), Some(made)) = (&opened, &found.made) {
        // It belongs to no database; left behind, it would only mislead.
        drop(std::fs::remove_file(made));
    }
    opened.map_err(|error| match error {
        UnlockError::Keys(_) => anyhow::Error::from(error).context(wrong_key(config, &found)),
        other => other.into(),
    })
}

fn wrong_key(config: &Config, found: &Found) -> Failure {
    let database = &config.database.value;
    let what = format!(
        "the master key in {} does not open the database {database}",
        found.place
    );
    Failure::new(what).next(
        "This database was made with another master key. Say where that one is with --master-key-file,\n\
         KEYWAY_MASTER_KEY_FILE or KEYWAY_MASTER_KEY.",
    )
}

async fn find_master_key(
    config: &Config,
    store: &Store,
    entropy: &dyn Entropy,
) -> anyhow::Result<Found> {
    if let Some(found) = master_key::read(&config.master_key)? {
        return Ok(found);
    }
    let is_empty = store
        .read(|s| Box::pin(async move { s.is_empty_database().await }))
        .await?;
    match &config.master_key {
        MasterKeySource::File(path) if is_empty => master_key::make(path, entropy),
        // Another process may have made key and database since we looked for the file.
        source => master_key::read(source)?
            .ok_or_else(|| master_key::missing(source, &config.database.value.to_string()).into()),
    }
}

fn transport(config: &Config, runtime: &Handle) -> anyhow::Result<HttpTransport> {
    let hosts = providers::hosts(&config.providers);
    let policy = NetworkPolicy::new(config.network.allow_private_addresses, hosts);
    Ok(HttpTransport::new(policy, runtime.clone())?)
}

fn settings(config: &Config) -> Settings {
    let public_url = config.public_url.value.clone();
    Settings {
        issuer: public_url.as_str().trim_end_matches('/').to_owned(),
        public_url,
        shared_apps: config.shared_apps.clone(),
        probe_credentials: true,
    }
}
