//! API keys.

use crate::arg::args;
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::application::ApiKey;
use keyway_core::ids::{ApiKeyId, ApplicationId};
use keyway_core::sealed::Digest;
use keyway_core::time::UnixMillis;

statements! { "api_keys";
    INSERT = "INSERT INTO api_keys
        (id, application_id, name, digest, hint, created_at, expires_at, revoked_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    BY_DIGEST = "SELECT k.id, k.application_id, k.name, k.digest, k.hint, k.created_at, k.expires_at,
        k.revoked_at, a.blocked
        FROM api_keys k JOIN applications a ON a.id = k.application_id WHERE k.digest = $1";
    LIST = "SELECT id, application_id, name, digest, hint, created_at, expires_at, revoked_at
        FROM api_keys WHERE application_id = $1 ORDER BY created_at, id";
    REVOKE = "UPDATE api_keys SET revoked_at = $3
        WHERE application_id = $1 AND id = $2 AND revoked_at IS NULL";
}

fn api_key(row: &mut Row) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: row.own_id("id")?,
        application_id: row.parsed("application_id")?,
        name: row.text("name")?,
        digest: row.digest("digest")?,
        hint: row.text("hint")?,
        created_at: row.time("created_at")?,
        expires_at: row.opt_time("expires_at")?,
        revoked_at: row.opt_time("revoked_at")?,
    })
}

/// API keys.
impl Session<'_> {
    /// Stores a new key.
    ///
    /// # Errors
    /// If the digest is taken, or the database fails.
    pub async fn insert_api_key(&mut self, new: &ApiKey) -> Result<(), StoreError> {
        let values = args![
            new.id,
            new.application_id,
            new.name,
            new.digest,
            new.hint,
            new.created_at,
            new.expires_at,
            new.revoked_at,
        ];
        self.insert(&INSERT, values).await
    }

    /// The key of that digest, live or not, and whether its application is blocked.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn api_key_by_digest(
        &mut self,
        digest: &Digest,
    ) -> Result<Option<(ApiKey, bool)>, StoreError> {
        let read = |row: &mut Row| Ok((api_key(row)?, row.flag("blocked")?));
        self.one(&BY_DIGEST, args![digest], read).await
    }

    /// The application's keys, oldest first, revoked ones too.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn api_keys(
        &mut self,
        application_id: ApplicationId,
    ) -> Result<Vec<ApiKey>, StoreError> {
        self.many(&LIST, args![application_id], api_key).await
    }

    /// Revokes a key. `false` if there is none such, or it is revoked already.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn revoke_api_key(
        &mut self,
        application_id: ApplicationId,
        id: ApiKeyId,
        at: UnixMillis,
    ) -> Result<bool, StoreError> {
        self.wrote(&REVOKE, args![application_id, id, at]).await
    }
}
