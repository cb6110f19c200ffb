//! Opening the vault over a database's keys, or founding them on an empty one.

use keyway_core::entropy::Entropy;
use keyway_core::issued::KeyRow;
use keyway_core::time::Clock;
use keyway_core::time::UnixMillis;
use keyway_store::{BoxFuture, Cell, Store, StoreError, portable_table};
pub use keyway_vault::MasterKey;
use keyway_vault::{KeyPurpose, KeyState, StoredKey, Vault};
use std::sync::Arc;
use std::time::Duration;

/// Where the master key is kept: asked at start, and again when keys were made that this process does not
/// hold, so that the master key need not stay in memory and may be replaced under a running server.
pub trait MasterKeys: Send + Sync {
    /// The master keys there are: the one in use and, while it is being replaced, its successor.
    fn read(&self) -> BoxFuture<'_, Result<Vec<MasterKey>, MasterKeysError>>;

    /// How long reading them may take where it goes well: a new term is announced for as long before it seals.
    fn takes_up_to(&self) -> Duration {
        Duration::ZERO
    }
}

/// No master key can be had. The words are for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no master key can be had: {0}")]
pub struct MasterKeysError(pub String);

/// The vault cannot be opened. The words are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// The keys do not open with this master key, or are damaged.
    #[error(transparent)]
    Keys(#[from] keyway_vault::UnlockError),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no master key to unlock them with.
    #[error(transparent)]
    Masters(#[from] MasterKeysError),
    /// A key's row holds words this version does not know.
    #[error("key {term} of the database is of a kind this version does not know; use a newer one")]
    UnknownWord {
        /// The key's number.
        term: i64,
    },
}

impl From<UnlockError> for crate::error::Error {
    fn from(error: UnlockError) -> Self {
        match error {
            UnlockError::Store(outage) => outage.into(),
            other => Self::internal(other),
        }
    }
}

pub(crate) fn to_row(key: &StoredKey) -> KeyRow {
    KeyRow {
        term: key.id,
        purpose: key.purpose.as_str().to_owned(),
        wrapped: key.wrapped.clone(),
        state: key.state.as_str().to_owned(),
        master_fingerprint: key.master_fingerprint.clone(),
        created_at: key.created_at,
        state_since: key.state_since,
    }
}

fn from_row(row: KeyRow) -> Result<StoredKey, UnlockError> {
    let unknown = || UnlockError::UnknownWord { term: row.term };
    Ok(StoredKey {
        id: row.term,
        purpose: KeyPurpose::parse(&row.purpose).ok_or_else(unknown)?,
        state: KeyState::parse(&row.state).ok_or_else(unknown)?,
        wrapped: row.wrapped,
        created_at: row.created_at,
        state_since: row.state_since,
        master_fingerprint: row.master_fingerprint,
    })
}

/// The master key that wrapped `keys`; for keys yet to be made, the one in use.
pub(crate) async fn choose(
    masters: &dyn MasterKeys,
    keys: &[StoredKey],
) -> Result<MasterKey, UnlockError> {
    let mut found = masters.read().await?;
    let wrapped_by = |master: &MasterKey| {
        let fingerprint = master.fingerprint();
        keys.iter().any(|key| key.master_fingerprint == fingerprint)
    };
    let given = found
        .first()
        .ok_or_else(|| MasterKeysError("there is none".to_owned()))?
        .fingerprint();
    match (found.iter().position(wrapped_by), keys.first()) {
        (Some(at), _) => Ok(found.swap_remove(at)),
        (None, None) => Ok(found.swap_remove(0)),
        (None, Some(key)) => Err(keyway_vault::UnlockError::WrongMasterKey {
            expected: key.master_fingerprint.clone(),
            given,
        }
        .into()),
    }
}

/// Opens the vault with one of `masters`; on a database without keys, founds them.
///
/// # Errors
/// If the master key is not this database's, a key is damaged, or the database does not answer.
pub async fn open_vault(
    store: &Store,
    masters: &dyn MasterKeys,
    clock: &dyn Clock,
    entropy: Arc<dyn Entropy>,
) -> Result<Vault, UnlockError> {
    let mut keys = read_keys(store).await?;
    let mut master = choose(masters, &keys).await?;
    if keys.is_empty() {
        let (_, founded) = Vault::found(&master, Arc::clone(&entropy), clock)?;
        store_first(store, &founded).await?;
        // Another process may have founded them at the same moment: what is stored counts.
        keys = read_keys(store).await?;
        master = choose(masters, &keys).await?;
    }
    Ok(Vault::unlock(&master, entropy, &keys)?)
}

/// The keys of the database, as they rest there.
pub(crate) async fn read_keys(store: &Store) -> Result<Vec<StoredKey>, UnlockError> {
    let rows = store
        .read(|s| Box::pin(async move { s.keys().await }))
        .await?;
    rows.into_iter().map(from_row).collect()
}

/// Opens the vault over keys that are in no database yet.
///
/// # Errors
/// As [`open_vault`]; no keys are founded.
pub async fn open_rows(
    rows: Vec<KeyRow>,
    masters: &dyn MasterKeys,
    entropy: Arc<dyn Entropy>,
) -> Result<Vault, UnlockError> {
    let keys = rows.into_iter().map(from_row);
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let master = choose(masters, &keys).await?;
    Ok(Vault::unlock(&master, entropy, &keys)?)
}

/// The key that a carried row of `vault_keys` is, if it is one.
#[must_use]
pub fn key_of_cells(row: &[Cell]) -> Option<KeyRow> {
    let table = portable_table("vault_keys")?;
    let text = |name| table.text(row, name).map(str::to_owned);
    let Some(Cell::Bytes(wrapped)) = table.cell(row, "wrapped") else {
        return None;
    };
    let created_at = UnixMillis(table.int(row, "created_at")?);
    Some(KeyRow {
        term: table.int(row, "term")?,
        purpose: text("purpose")?,
        wrapped: wrapped.clone(),
        state: text("state")?,
        master_fingerprint: text("master_fingerprint")?,
        created_at,
        state_since: table.int(row, "state_since").map_or(created_at, UnixMillis),
    })
}

async fn store_first(store: &Store, keys: &[StoredKey]) -> Result<(), StoreError> {
    let rows: Vec<KeyRow> = keys.iter().map(to_row).collect();
    let stored = store
        .write(move |s| {
            Box::pin(async move {
                if s.keys().await?.is_empty() {
                    for row in &rows {
                        s.insert_key(row).await?;
                    }
                }
                Ok::<_, StoreError>(())
            })
        })
        .await;
    match stored {
        // Two processes founding at once on PostgreSQL: the other one's keys stand.
        Err(StoreError::Conflict(_)) => Ok(()),
        other => other,
    }
}
