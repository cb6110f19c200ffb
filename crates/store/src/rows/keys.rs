//! The vault's keys.

use crate::arg::args;
use crate::error::StoreError;
use crate::postgres;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use crate::store::Backend;
use keyway_core::issued::KeyRow;

statements! { "vault_keys";
    INSERT = "INSERT INTO vault_keys
        (term, purpose, wrapped, state, master_fingerprint, created_at, state_since)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    LIST = "SELECT term, purpose, wrapped, state, master_fingerprint, created_at,
            coalesce(state_since, created_at) AS state_since
        FROM vault_keys ORDER BY purpose, term";
    RESTATE = "UPDATE vault_keys SET state = $4, state_since = $5
        WHERE purpose = $1 AND term = $2 AND state = $3";
    REWRAP = "UPDATE vault_keys SET wrapped = $4, master_fingerprint = $5
        WHERE purpose = $1 AND term = $2 AND master_fingerprint = $3";
    FINGERPRINT = "SELECT master_fingerprint FROM vault_keys ORDER BY purpose, term LIMIT 1";
    ANY = "SELECT term FROM vault_keys LIMIT 1";
}

fn key(row: &mut Row) -> Result<KeyRow, StoreError> {
    Ok(KeyRow {
        term: row.int("term")?,
        purpose: row.text("purpose")?,
        wrapped: row.bytes("wrapped")?,
        state: row.text("state")?,
        master_fingerprint: row.text("master_fingerprint")?,
        created_at: row.time("created_at")?,
        state_since: row.time("state_since")?,
    })
}

/// The vault's keys.
impl Session<'_> {
    /// Stores a new key.
    ///
    /// # Errors
    /// If there is one of that purpose and term, or the database fails.
    pub async fn insert_key(&mut self, new: &KeyRow) -> Result<(), StoreError> {
        let values = args![
            new.term,
            new.purpose,
            new.wrapped,
            new.state,
            new.master_fingerprint,
            new.created_at,
            new.state_since,
        ];
        self.insert(&INSERT, values).await
    }

    /// All keys, by purpose and term.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn keys(&mut self) -> Result<Vec<KeyRow>, StoreError> {
        self.many(&LIST, &[], key).await
    }

    /// Which master key wraps the keys, on a database of any version.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn master_fingerprint(&mut self) -> Result<Option<String>, StoreError> {
        let read = |row: &mut Row| row.text("master_fingerprint");
        self.one(&FINGERPRINT, &[], read).await
    }

    /// Keeps other transactions that hold the keys waiting until this one ends: what is read afterwards is what
    /// they left. SQLite's single writer needs no such thing.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn hold_keys(&mut self) -> Result<(), StoreError> {
        if self.backend() == Backend::Postgres {
            self.fetch(&postgres::HOLD_KEYS, &[]).await?;
        }
        Ok(())
    }

    /// Puts a key that is in state `from` into the one `key` says; `false` if it is in another by now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn restate_key(&mut self, key: &KeyRow, from: &str) -> Result<bool, StoreError> {
        let args = args![key.purpose, key.term, from, key.state, key.state_since];
        self.wrote(&RESTATE, args).await
    }

    /// Puts the wrapping of `key` in place of one made by the master key `from`; `false` if another
    /// wrapped it by now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn rewrap_key(&mut self, key: &KeyRow, from: &str) -> Result<bool, StoreError> {
        let args = args![
            key.purpose,
            key.term,
            from,
            key.wrapped,
            key.master_fingerprint
        ];
        self.wrote(&REWRAP, args).await
    }

    /// Whether nothing has been stored yet: no key and no application.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn is_empty_database(&mut self) -> Result<bool, StoreError> {
        let has_keys = !self.fetch(&ANY, &[]).await?.is_empty();
        Ok(!has_keys && !self.has_applications().await?)
    }
}
