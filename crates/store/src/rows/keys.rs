//! The vault's keys.

use crate::arg::args;
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::issued::KeyRow;

statements! { "vault_keys";
    INSERT = "INSERT INTO vault_keys (term, purpose, wrapped, state, master_fingerprint, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)";
    LIST = "SELECT term, purpose, wrapped, state, master_fingerprint, created_at FROM vault_keys
        ORDER BY purpose, term";
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

    /// Whether nothing has been stored yet: no key and no application.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn is_empty_database(&mut self) -> Result<bool, StoreError> {
        let has_keys = !self.fetch(&ANY, &[]).await?.is_empty();
        Ok(!has_keys && !self.has_applications().await?)
    }
}
