//! Service accounts. The operator's own: only which applications they may act on is tenants' data.

use crate::arg::{args, json};
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::ids::{ApplicationId, ServiceAccountId};
use keyway_core::service_account::ServiceAccount;
use keyway_core::time::UnixMillis;

macro_rules! columns {
    () => {
        "id, name, public_key, permissions, created_at, revoked_at"
    };
}

statements! { "service_accounts";
    INSERT = concat!("INSERT INTO service_accounts (", columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6)");
    INSERT_APPLICATION = "INSERT INTO service_account_applications
        (application_id, service_account_id) VALUES ($1, $2)";
    BY_ID = concat!("SELECT ", columns!(), " FROM service_accounts WHERE id = $1");
    LIST = concat!("SELECT ", columns!(), " FROM service_accounts ORDER BY created_at, id");
    REVOKE = "UPDATE service_accounts SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
    APPLICATIONS = "SELECT application_id FROM service_account_applications
        WHERE service_account_id = $1 ORDER BY application_id";
    MAY_ACT_ON = "SELECT count(*) FROM service_account_applications
        WHERE application_id = $1 AND service_account_id = $2";
    USE_NONCE = "INSERT INTO service_account_nonces (service_account_id, nonce, expires_at)
        VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    NONCE_USED = "SELECT count(*) FROM service_account_nonces
        WHERE service_account_id = $1 AND nonce = $2";
}

fn service_account(row: &mut Row) -> Result<ServiceAccount, StoreError> {
    Ok(ServiceAccount {
        id: row.own_id("id")?,
        name: row.text("name")?,
        public_key: row.bytes("public_key")?,
        permissions: row.json("permissions")?,
        created_at: row.time("created_at")?,
        revoked_at: row.opt_time("revoked_at")?,
    })
}

/// Service accounts.
impl Session<'_> {
    /// Stores a new service account that may act on `applications`.
    ///
    /// # Errors
    /// If an application comes twice, or the database fails.
    pub async fn insert_service_account(
        &mut self,
        new: &ServiceAccount,
        applications: &[ApplicationId],
    ) -> Result<(), StoreError> {
        let permissions = json(&new.permissions)?;
        let values = args![
            new.id,
            new.name,
            new.public_key,
            permissions,
            new.created_at,
            new.revoked_at,
        ];
        self.insert(&INSERT, values).await?;
        for application_id in applications {
            self.insert(&INSERT_APPLICATION, args![application_id, new.id])
                .await?;
        }
        Ok(())
    }

    /// The service account of that id, revoked or not.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn service_account(
        &mut self,
        id: ServiceAccountId,
    ) -> Result<Option<ServiceAccount>, StoreError> {
        self.one(&BY_ID, args![id], service_account).await
    }

    /// All service accounts, oldest first, revoked ones too.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn service_accounts(&mut self) -> Result<Vec<ServiceAccount>, StoreError> {
        self.many(&LIST, &[], service_account).await
    }

    /// Revokes a service account. `false` if there is none such, or it is revoked already.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn revoke_service_account(
        &mut self,
        id: ServiceAccountId,
        at: UnixMillis,
    ) -> Result<bool, StoreError> {
        self.wrote(&REVOKE, args![id, at]).await
    }

    /// The applications a service account may act on.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn service_account_applications(
        &mut self,
        id: ServiceAccountId,
    ) -> Result<Vec<ApplicationId>, StoreError> {
        let read = |row: &mut Row| row.parsed("application_id");
        self.many(&APPLICATIONS, args![id], read).await
    }

    /// Whether a service account may act on an application.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn may_act_on(
        &mut self,
        application_id: ApplicationId,
        id: ServiceAccountId,
    ) -> Result<bool, StoreError> {
        let found = self.number(&MAY_ACT_ON, args![application_id, id]).await?;
        Ok(found > 0)
    }

    /// Uses a nonce up. Of several at the same moment one gets `true`; whoever comes later gets `false`
    /// until the nonce is swept, at `expires_at` or later.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn use_nonce(
        &mut self,
        id: ServiceAccountId,
        nonce: &str,
        expires_at: UnixMillis,
    ) -> Result<bool, StoreError> {
        self.wrote(&USE_NONCE, args![id, nonce, expires_at]).await
    }

    /// Whether a nonce has been used and is still known. Only `use_nonce` tells who was first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn is_nonce_used(
        &mut self,
        id: ServiceAccountId,
        nonce: &str,
    ) -> Result<bool, StoreError> {
        Ok(self.number(&NONCE_USED, args![id, nonce]).await? > 0)
    }
}
