//! The database, its keys, its clock, and what is in trouble in it.

use super::Finding;
use crate::config::{Config, MasterKeySource};
use crate::failure::Failure;
use crate::open;
use crate::portable::import;
use anyhow::Context as _;
use keyway_core::provider::Provider;
use keyway_core::sealed::SealContext;
use keyway_core::time::{Clock, SystemClock};
use keyway_engine::unlock;
use keyway_outbound::Transport;
use keyway_store::{
    Cell, DatabaseUrl, PortableTable, SealedColumn, SealedRow, Store, StoreError, check_sqlite,
    newest_schema_version, portable_table,
};
use keyway_vault::{KeyState, SystemEntropy, Vault};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

/// How many sealed values of each column are opened.
const SAMPLE: i64 = 100;
/// How far the clocks of this machine and of the database may be apart, in milliseconds.
const CLOCKS_APART_MAX_MS: i64 = 2_000;

/// What to do about a damaged file.
const RESTORE: &str = "stop the server and restore a backup with `keyway restore FILE --replace`.";

/// Looks at all of it; the store, if it can be worked with.
pub(super) async fn examine(
    config: &Config,
    transport: &Arc<dyn Transport>,
    findings: &mut Vec<Finding>,
) -> Option<Store> {
    let store = match whole(config).await {
        Ok((store, found)) => {
            findings.push(found);
            store?
        }
        Err(error) => {
            findings.push(Finding::failed("database", &error));
            return None;
        }
    };
    findings.extend(master_key_file(config));
    match keys(config, &store, transport).await {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(Finding::failed("keys", &error)),
    }
    findings.push(failing("clock", clock(&store).await));
    findings.push(failing("credentials", credentials(&store).await));
    Some(store)
}

fn failing(what: &'static str, found: anyhow::Result<Finding>) -> Finding {
    found.unwrap_or_else(|error| Finding::failed(what, &error))
}

/// Opens the database as it is, without migrating it. No store if there is more to do before it can be used.
async fn whole(config: &Config) -> anyhow::Result<(Option<Store>, Finding)> {
    open::require_database_file(config)?;
    let url = &config.database.value;
    let cannot = || {
        let failure = Failure::new(format!("the database {url} cannot be used"));
        match url {
            DatabaseUrl::Sqlite(_) => failure.next(format!("If it is damaged: {RESTORE}")),
            DatabaseUrl::Postgres(_) => failure,
        }
    };
    let store = Store::open(url, Arc::new(SystemClock))
        .await
        .with_context(cannot)?;
    let version = store.schema_version().await.with_context(cannot)?;
    let newest = newest_schema_version();
    if version == 0 {
        let next =
            "Make an application, or start a server: whichever comes first makes the tables.";
        return Ok((
            None,
            Finding::warn("database", format!("{url} is empty"), next),
        ));
    }
    if version < newest {
        let found = format!("{url} is of schema {version}, this program brings it to {newest}");
        let next = "Back up: `keyway backup` does not migrate it. The next start, or the next other command, does; then ask the doctor again.";
        return Ok((None, Finding::warn("database", found, next)));
    }
    if import::under_way(&store).await?.is_some() {
        let failure = Failure::new(format!("an import into {url} is not finished"));
        return Err(failure.next("Run the same `keyway import` again.").into());
    }
    if let DatabaseUrl::Sqlite(path) = url {
        check_sqlite(path).with_context(|| {
            Failure::new(format!("{} is damaged", path.display()))
                .next(format!("Do this: {RESTORE}"))
        })?;
    }
    let found = format!("{url}, schema {version}");
    Ok((Some(store), Finding::ok("database", found)))
}

fn master_key_file(config: &Config) -> Option<Finding> {
    let MasterKeySource::File(path) = &config.master_key else {
        return None;
    };
    let mode = std::fs::metadata(&path.value).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        let found = format!(
            "{} has mode {mode:03o}: others may read it",
            path.value.display()
        );
        Finding::warn("master key", found, "chmod 600")
    })
}

async fn keys(
    config: &Config,
    store: &Store,
    transport: &Arc<dyn Transport>,
) -> anyhow::Result<Vec<Finding>> {
    let masters = open::master_keys(config, transport);
    if masters.read_all().await?.is_empty() {
        return Err(masters
            .missing(&format!("the database {}", config.database.value))
            .into());
    }
    let rows = store
        .read(|s| Box::pin(async move { s.keys().await }))
        .await?;
    let fingerprint = rows.first().map(|key| key.master_fingerprint.clone());
    let retiring = KeyState::Retiring.as_str();
    let is_rotating = rows.iter().any(|key| key.state == retiring);
    let vault = unlock::open_rows(rows, &masters, Arc::new(SystemEntropy)).await?;
    let (opened, unreadable) = sample(store, &vault).await?;
    let found = format!(
        "master key {}; {opened} sealed values opened",
        fingerprint.unwrap_or_default()
    );
    let mut findings = vec![match unreadable.first() {
        None => Finding::ok("keys", found),
        Some(first) => Finding::warn(
            "keys",
            format!(
                "{} of {opened} sealed values do not open, the first is {first}",
                unreadable.len()
            ),
            "They were damaged or moved. `keyway keyring status` tells whether their term is missing; bring them back from a backup.",
        ),
    }];
    if is_rotating {
        let found = "a term is retiring";
        findings.push(Finding::warn(
            "keys",
            found,
            "keyway keyring status tells how far the rotation is.",
        ));
    }
    Ok(findings)
}

/// How many values were looked at, and which do not open.
async fn sample(store: &Store, vault: &Vault) -> anyhow::Result<(usize, Vec<String>)> {
    let (mut looked, mut unreadable) = (0, Vec::new());
    for column in SealedColumn::ALL {
        let job = store.read(move |s| {
            Box::pin(async move {
                // No value begins like this: the first ones are found, whatever their term.
                let (first, none) = (SealedRow::default(), vec![0]);
                s.sealed_otherwise(column, &first, &none, SAMPLE).await
            })
        });
        for (row, sealed) in job.await? {
            looked += 1;
            let context = SealContext {
                purpose: column.as_str(),
                row: &row.id,
            };
            if vault.open(&context, &sealed).is_err() {
                unreadable.push(format!("{}/{}", column.as_str(), row.id));
            }
        }
    }
    Ok((looked, unreadable))
}

async fn clock(store: &Store) -> anyhow::Result<Finding> {
    let theirs = store
        .read(|s| Box::pin(async move { s.db_now().await }))
        .await?;
    let apart_ms = SystemClock.now().0 - theirs.0;
    let found = format!("{apart_ms} ms ahead of the database's");
    if apart_ms.abs() <= CLOCKS_APART_MAX_MS {
        return Ok(Finding::ok("clock", found));
    }
    let next = "Set both by the same time servers: tokens begin and end by this machine's clock, leases by the database's.";
    Ok(Finding::warn("clock", found, next))
}

/// The rows of a table that were not deleted.
async fn live_rows(
    store: &Store,
    table: &'static PortableTable,
) -> Result<Vec<Vec<Cell>>, StoreError> {
    let (mut all, mut last): (Vec<Vec<Cell>>, Option<Vec<Cell>>) = (Vec::new(), None);
    loop {
        let after = last.clone();
        let job = store.read(move |s| {
            Box::pin(async move { s.portable_rows(table, after.as_ref(), 500).await })
        });
        let rows = job.await?;
        let Some(row) = rows.last() else {
            return Ok(all);
        };
        last = Some(row.clone());
        let is_live = |row: &Vec<Cell>| table.cell(row, "deleted_at").is_none();
        all.extend(rows.into_iter().filter(is_live));
    }
}

/// Providers that some application has a connector for.
pub(super) async fn providers_in_use(store: &Store) -> Result<Vec<Provider>, StoreError> {
    let Some(table) = portable_table("connectors") else {
        return Ok(Vec::new());
    };
    let rows = live_rows(store, table).await?;
    let names = rows.iter().filter_map(|row| table.text(row, "provider"));
    let providers: BTreeSet<Provider> = names.filter_map(|name| name.parse().ok()).collect();
    Ok(providers.into_iter().collect())
}

async fn credentials(store: &Store) -> anyhow::Result<Finding> {
    let table = portable_table("credentials").context("there is no table of credentials")?;
    let rows = live_rows(store, table).await?;
    let is_failing = |row: &&Vec<Cell>| table.text(row, "health_status") == Some("failing");
    let failing: Vec<&Vec<Cell>> = rows.iter().filter(is_failing).collect();
    let Some(first) = failing.first() else {
        return Ok(Finding::ok(
            "credentials",
            format!("{}, none failing", rows.len()),
        ));
    };
    let text = |name| table.text(first, name).unwrap_or_default();
    let found = format!(
        "{} of {} fail at their provider, the first is {} ({}: {})",
        failing.len(),
        rows.len(),
        text("id"),
        text("provider"),
        text("health_error")
    );
    let next = "Its owner renews the client secret; GET /v3/connectors/{provider}/creds/{id}/health says more.";
    Ok(Finding::warn("credentials", found, next))
}
