//! Keys that sign id_tokens.

use crate::arg::args;
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::issued::SigningKeyRow;

statements! { "signing_keys";
    INSERT = "INSERT INTO signing_keys (kid, sealed, public_jwk, created_at)
        VALUES ($1, $2, $3, $4)";
    LIST = "SELECT kid, sealed, public_jwk, created_at FROM signing_keys
        ORDER BY created_at DESC, kid DESC";
    DELETE = "DELETE FROM signing_keys WHERE kid = $1";
}

fn signing_key(row: &mut Row) -> Result<SigningKeyRow, StoreError> {
    Ok(SigningKeyRow {
        kid: row.text("kid")?,
        sealed: row.sealed("sealed")?,
        public_jwk: row.text("public_jwk")?,
        created_at: row.time("created_at")?,
    })
}

/// Signing keys.
impl Session<'_> {
    /// Stores a new key.
    ///
    /// # Errors
    /// If the key is there, or the database fails.
    pub async fn insert_signing_key(&mut self, new: &SigningKeyRow) -> Result<(), StoreError> {
        let values = args![new.kid, new.sealed, new.public_jwk, new.created_at];
        self.insert(&INSERT, values).await
    }

    /// All keys, the newest, which signs, first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn signing_keys(&mut self) -> Result<Vec<SigningKeyRow>, StoreError> {
        self.many(&LIST, &[], signing_key).await
    }

    /// Removes a key. `false` if there is none such.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_signing_key(&mut self, kid: &str) -> Result<bool, StoreError> {
        self.wrote(&DELETE, args![kid]).await
    }
}
