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

macro_rules! columns {
    () => {
        "k.id, k.application_id, k.name, k.digest, k.hint, k.created_at, \
         coalesce(k.updated_at, k.created_at), k.expires_at, k.revoked_at"
    };
}

statements! { "api_keys";
    INSERT = "INSERT INTO api_keys
        (id, application_id, name, digest, hint, created_at, updated_at, expires_at, revoked_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    BY_DIGEST = concat!("SELECT ", columns!(), ", a.blocked
        FROM api_keys k JOIN applications a ON a.id = k.application_id WHERE k.digest = $1");
    BY_ID = concat!("SELECT ", columns!(), " FROM api_keys k
        WHERE k.application_id = $1 AND k.id = $2");
    LIST = concat!("SELECT ", columns!(), " FROM api_keys k
        WHERE k.application_id = $1 ORDER BY k.created_at, k.id");
    LIVE = "SELECT count(*) FROM api_keys WHERE application_id = $1 AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > $2)";
    EXPIRE = "UPDATE api_keys SET expires_at = $3, updated_at = $4
        WHERE application_id = $1 AND id = $2 AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > $3)";
    REVOKE = "UPDATE api_keys SET revoked_at = $3, updated_at = $3
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
        updated_at: row.time("updated_at")?,
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
            new.updated_at,
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

    /// One key of the application, revoked or not.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn api_key(
        &mut self,
        application_id: ApplicationId,
        id: ApiKeyId,
    ) -> Result<Option<ApiKey>, StoreError> {
        self.one(&BY_ID, args![application_id, id], api_key).await
    }

    /// How many of the application's keys open something at `now`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn live_api_keys(
        &mut self,
        application_id: ApplicationId,
        now: UnixMillis,
    ) -> Result<i64, StoreError> {
        self.number(&LIVE, args![application_id, now]).await
    }

    /// Lets a key end at `expires_at`. `false` if there is none such, it is revoked, or it ends as early
    /// already.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn expire_api_key(
        &mut self,
        application_id: ApplicationId,
        id: ApiKeyId,
        expires_at: UnixMillis,
        at: UnixMillis,
    ) -> Result<bool, StoreError> {
        let values = args![application_id, id, expires_at, at];
        self.wrote(&EXPIRE, values).await
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
