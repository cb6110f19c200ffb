//! Passwords of grants, sealed.

use crate::arg::args;
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::account_secret::AccountSecret;
use keyway_core::ids::{ApplicationId, GrantId};
use keyway_core::time::UnixMillis;
use serde_json::{Map, Value};

statements! { "account_secrets";
    INSERT = "INSERT INTO account_secrets
        (application_id, id, grant_id, provider, sealed, created_at, updated_at, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    OF_GRANT = "SELECT application_id, id, grant_id, provider, sealed, created_at, updated_at, version
        FROM account_secrets WHERE application_id = $1 AND grant_id = $2";
    DELETE_OF_GRANT = "DELETE FROM account_secrets WHERE application_id = $1 AND grant_id = $2";
    DUE = "SELECT r.application_id AS application_id, r.grant_id AS grant_id, g.settings AS settings
        FROM refresh_states r JOIN account_secrets a
            ON a.application_id = r.application_id AND a.grant_id = r.grant_id
        JOIN grants g ON g.application_id = r.application_id AND g.id = r.grant_id
        WHERE r.due_at <= $1 AND (r.lease_until IS NULL OR r.lease_until < $1)
        ORDER BY r.due_at LIMIT $2";
}

fn account_secret(row: &mut Row) -> Result<AccountSecret, StoreError> {
    Ok(AccountSecret {
        application_id: row.parsed("application_id")?,
        id: row.own_id("id")?,
        grant_id: row.parsed("grant_id")?,
        provider: row.parsed("provider")?,
        sealed: row.sealed("sealed")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        version: row.int("version")?,
    })
}

/// A grant whose next login is due.
#[derive(Clone, Debug, PartialEq)]
pub struct DueLogin {
    /// Its application.
    pub application_id: ApplicationId,
    /// The grant.
    pub grant_id: GrantId,
    /// The grant's settings, which name its server.
    pub settings: Map<String, Value>,
}

fn due(row: &mut Row) -> Result<DueLogin, StoreError> {
    Ok(DueLogin {
        application_id: row.parsed("application_id")?,
        grant_id: row.parsed("grant_id")?,
        settings: row.json("settings")?,
    })
}

/// Passwords of grants.
impl Session<'_> {
    /// Stores the passwords of a grant that has none.
    ///
    /// # Errors
    /// If it has some, or the database fails.
    pub async fn insert_account_secret(&mut self, new: &AccountSecret) -> Result<(), StoreError> {
        let values = args![
            new.application_id,
            new.id,
            new.grant_id,
            new.provider,
            new.sealed,
            new.created_at,
            new.updated_at,
            new.version,
        ];
        self.insert(&INSERT, values).await
    }

    /// The passwords of a grant.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn account_secret(
        &mut self,
        application_id: ApplicationId,
        grant_id: GrantId,
    ) -> Result<Option<AccountSecret>, StoreError> {
        self.one(&OF_GRANT, args![application_id, grant_id], account_secret)
            .await
    }

    /// Removes the passwords of a grant. `false` if it has none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_account_secret(
        &mut self,
        application_id: ApplicationId,
        grant_id: GrantId,
    ) -> Result<bool, StoreError> {
        self.wrote(&DELETE_OF_GRANT, args![application_id, grant_id])
            .await
    }

    /// Grants of all applications whose next login is due at `now` and not under way, longest due first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn due_logins(
        &mut self,
        now: UnixMillis,
        limit: i64,
    ) -> Result<Vec<DueLogin>, StoreError> {
        self.many(&DUE, args![now, limit], due).await
    }
}
