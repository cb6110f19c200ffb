//! Grants. Every read tells whether what the grant stands on still exists.

use crate::arg::{args, json};
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::credential::GrantCounts;
use keyway_core::email::email_key;
use keyway_core::grant::{Grant, GrantStatus};
use keyway_core::ids::{ApplicationId, CredentialId, GrantId};
use keyway_core::provider::Provider;

/// Whether the grant's connector and credential (if it has one) are live: `k` and `c` are joined only
/// if they are.
macro_rules! anchored {
    () => {
        "(k.id IS NOT NULL AND (g.credential_id IS NULL OR c.id IS NOT NULL))"
    };
}
pub(super) use anchored;

/// Grants with what they stand on.
macro_rules! from {
    () => {
        " FROM grants g
        LEFT JOIN connectors k ON k.application_id = g.application_id AND k.id = g.connector_id
            AND k.deleted_at IS NULL
        LEFT JOIN credentials c ON c.application_id = g.application_id AND c.id = g.credential_id
            AND c.deleted_at IS NULL "
    };
}
pub(super) use from;

/// The columns that [`grant`] reads.
macro_rules! select {
    () => {
        concat!(
            "SELECT g.id, g.application_id, g.provider, g.connector_id, g.credential_id, g.email,
            g.identity, g.provider_user_id, g.name, g.scope, g.status,
            CAST(CASE WHEN ",
            $crate::rows::grants::anchored!(),
            " THEN 1 ELSE 0 END AS BIGINT),
            g.blocked, g.settings, g.state, g.ip, g.user_agent, g.workspace_id, g.external_id,
            g.created_at, g.updated_at, g.version",
            $crate::rows::grants::from!()
        )
    };
}
pub(super) use select;

statements! { "grants";
    INSERT = "INSERT INTO grants (id, application_id, provider, connector_id, credential_id, email,
        email_key, identity, provider_user_id, name, scope, status, blocked, settings, state, ip,
        user_agent, workspace_id, external_id, created_at, updated_at, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
        $20, $21, $22)";
    BY_ID = concat!(select!(), "WHERE g.application_id = $1 AND g.id = $2");
    BY_EMAIL = concat!(select!(), "WHERE g.application_id = $1 AND g.email_key = $2
        ORDER BY g.created_at, g.id");
    BY_PROVIDER_EMAIL = concat!(select!(), "WHERE g.application_id = $1 AND g.provider = $2
        AND g.email_key = $3");
    BY_IDENTITY = concat!(select!(), "WHERE g.application_id = $1 AND g.provider = $2
        AND g.identity = $3");
    BY_EXTERNAL_ID = concat!(select!(), "WHERE g.application_id = $1 AND g.external_id = $2");
    UPDATE = "UPDATE grants SET connector_id = $4, credential_id = $5, email = $6, email_key = $7,
        identity = $8, provider_user_id = $9, name = $10, scope = $11, status = $12, blocked = $13,
        settings = $14, state = $15, ip = $16, user_agent = $17, workspace_id = $18,
        external_id = $19, updated_at = $20, version = version + 1
        WHERE application_id = $1 AND id = $2 AND version = $3";
    DELETE = "DELETE FROM grants WHERE application_id = $1 AND id = $2";
    DELETE_REFRESH_STATE = "DELETE FROM refresh_states WHERE application_id = $1 AND grant_id = $2";
    DELETE_ACCOUNT_SECRET = "DELETE FROM account_secrets WHERE application_id = $1 AND grant_id = $2";
    DELETE_ACCESS_TOKENS = "DELETE FROM access_tokens WHERE application_id = $1 AND grant_id = $2";
    DELETE_REFRESH_TOKENS = "DELETE FROM refresh_tokens WHERE application_id = $1 AND grant_id = $2";
    COUNTS = concat!("SELECT
        count(CASE WHEN g.status = 'valid' AND ", anchored!(), " THEN 1 END),
        count(CASE WHEN g.status = 'valid' AND ", anchored!(), " THEN NULL ELSE 1 END)",
        from!(), "WHERE g.application_id = $1 AND g.credential_id = $2");
    BY_CLIENT = "SELECT count(*) FROM grants g WHERE g.application_id = $1 AND g.credential_id IN
        (SELECT c.id FROM credentials c WHERE c.application_id = $1
            AND (c.id = $2 OR c.borrows_from = $2) AND c.deleted_at IS NULL)";
}

pub(super) fn grant(row: &mut Row) -> Result<Grant, StoreError> {
    Ok(Grant {
        id: row.own_id("id")?,
        application_id: row.parsed("application_id")?,
        provider: row.parsed("provider")?,
        connector_id: row.parsed("connector_id")?,
        credential_id: row.opt_parsed("credential_id")?,
        email: row.text("email")?,
        identity: row.opt_text("identity")?,
        provider_user_id: row.opt_text("provider_user_id")?,
        name: row.opt_text("name")?,
        scope: row.json("scope")?,
        status: row.word("status", GrantStatus::parse)?,
        is_anchored: row.flag("is_anchored")?,
        blocked: row.flag("blocked")?,
        settings: row.json("settings")?,
        state: row.opt_text("state")?,
        ip: row.opt_text("ip")?,
        user_agent: row.opt_text("user_agent")?,
        workspace_id: row.opt_parsed("workspace_id")?,
        external_id: row.opt_text("external_id")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        version: row.int("version")?,
    })
}

fn counts(row: &mut Row) -> Result<GrantCounts, StoreError> {
    Ok(GrantCounts {
        valid: row.int("valid")?,
        invalid: row.int("invalid")?,
    })
}

/// Grants.
impl Session<'_> {
    /// Stores a new grant; its `is_anchored` is not stored.
    ///
    /// # Errors
    /// If address, identity or external id are taken, or the database fails.
    pub async fn insert_grant(&mut self, new: &Grant) -> Result<(), StoreError> {
        let (scope, settings) = (json(&new.scope)?, json(&new.settings)?);
        let email_key = email_key(&new.email);
        let values = args![
            new.id,
            new.application_id,
            new.provider,
            new.connector_id,
            new.credential_id,
            new.email,
            email_key,
            new.identity,
            new.provider_user_id,
            new.name,
            scope,
            new.status,
            new.blocked,
            settings,
            new.state,
            new.ip,
            new.user_agent,
            new.workspace_id,
            new.external_id,
            new.created_at,
            new.updated_at,
            new.version,
        ];
        self.insert(&INSERT, values).await
    }

    /// The grant of that id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn grant(
        &mut self,
        application_id: ApplicationId,
        id: GrantId,
    ) -> Result<Option<Grant>, StoreError> {
        self.one(&BY_ID, args![application_id, id], grant).await
    }

    /// The grants of that address, one per provider at most, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn grants_by_email(
        &mut self,
        application_id: ApplicationId,
        email_key: &str,
    ) -> Result<Vec<Grant>, StoreError> {
        self.many(&BY_EMAIL, args![application_id, email_key], grant)
            .await
    }

    /// The grant of that address at that provider.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn grant_by_provider_email(
        &mut self,
        application_id: ApplicationId,
        provider: Provider,
        email_key: &str,
    ) -> Result<Option<Grant>, StoreError> {
        let values = args![application_id, provider, email_key];
        self.one(&BY_PROVIDER_EMAIL, values, grant).await
    }

    /// The grant of the user the provider names so (rule 12).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn grant_by_identity(
        &mut self,
        application_id: ApplicationId,
        provider: Provider,
        identity: &str,
    ) -> Result<Option<Grant>, StoreError> {
        let values = args![application_id, provider, identity];
        self.one(&BY_IDENTITY, values, grant).await
    }

    /// The grant to which the application gave that id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn grant_by_external_id(
        &mut self,
        application_id: ApplicationId,
        external_id: &str,
    ) -> Result<Option<Grant>, StoreError> {
        self.one(&BY_EXTERNAL_ID, args![application_id, external_id], grant)
            .await
    }

    /// Writes everything but ids, provider and creation time, if the row still has
    /// `expected_version`.
    ///
    /// # Errors
    /// If address, identity or external id are taken, or the database fails.
    pub async fn update_grant(
        &mut self,
        new: &Grant,
        expected_version: i64,
    ) -> Result<bool, StoreError> {
        let (scope, settings) = (json(&new.scope)?, json(&new.settings)?);
        let email_key = email_key(&new.email);
        let values = args![
            new.application_id,
            new.id,
            expected_version,
            new.connector_id,
            new.credential_id,
            new.email,
            email_key,
            new.identity,
            new.provider_user_id,
            new.name,
            scope,
            new.status,
            new.blocked,
            settings,
            new.state,
            new.ip,
            new.user_agent,
            new.workspace_id,
            new.external_id,
            new.updated_at,
        ];
        self.wrote(&UPDATE, values).await
    }

    /// Removes a grant, its refresh state, its passwords and Keyway's own tokens for it. Its token sets stay, for the
    /// provider to be told. `false` if there is none such.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_grant(
        &mut self,
        application_id: ApplicationId,
        id: GrantId,
    ) -> Result<bool, StoreError> {
        if !self.wrote(&DELETE, args![application_id, id]).await? {
            return Ok(false);
        }
        for statement in [
            &DELETE_REFRESH_STATE,
            &DELETE_ACCOUNT_SECRET,
            &DELETE_ACCESS_TOKENS,
            &DELETE_REFRESH_TOKENS,
        ] {
            self.execute(statement, args![application_id, id]).await?;
        }
        Ok(true)
    }

    /// How many of a credential's grants are valid and invalid, by effective status.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn grant_counts(
        &mut self,
        application_id: ApplicationId,
        credential_id: CredentialId,
    ) -> Result<GrantCounts, StoreError> {
        let counts = self
            .one(&COUNTS, args![application_id, credential_id], counts)
            .await?;
        Ok(counts.unwrap_or_default())
    }

    /// How many grants live by a credential's client: its own, and those of the live credentials that borrow it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn grants_by_client(
        &mut self,
        application_id: ApplicationId,
        credential_id: CredentialId,
    ) -> Result<i64, StoreError> {
        let values = args![application_id, credential_id];
        let count = self.one(&BY_CLIENT, values, |row| row.int("count")).await?;
        Ok(count.unwrap_or_default())
    }
}
