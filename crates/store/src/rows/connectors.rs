//! Connectors. Deleted ones stay as rows until they are swept, and no read shows them.

use crate::arg::{args, json};
use crate::error::StoreError;
use crate::postgres;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use crate::store::Backend;
use keyway_core::connector::Connector;
use keyway_core::ids::{ApplicationId, ConnectorId};
use keyway_core::provider::Provider;
use keyway_core::time::UnixMillis;

macro_rules! columns {
    () => {
        "id, application_id, provider, name, settings, scope, active_credential_id, \
         primary_credential_id, created_at, updated_at, version"
    };
}

statements! { "connectors";
    INSERT = concat!("INSERT INTO connectors (", columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)");
    BY_PROVIDER = concat!("SELECT ", columns!(), " FROM connectors
        WHERE application_id = $1 AND provider = $2 AND deleted_at IS NULL");
    BY_ID = concat!("SELECT ", columns!(), " FROM connectors
        WHERE application_id = $1 AND id = $2 AND deleted_at IS NULL");
    LIST = concat!("SELECT ", columns!(), " FROM connectors
        WHERE application_id = $1 AND deleted_at IS NULL
        ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3");
    PROVIDERS = "SELECT DISTINCT provider FROM connectors WHERE deleted_at IS NULL";
    UPDATE = "UPDATE connectors SET name = $4, settings = $5, scope = $6, active_credential_id = $7,
        primary_credential_id = $8, updated_at = $9, version = version + 1
        WHERE application_id = $1 AND id = $2 AND version = $3 AND deleted_at IS NULL";
    DELETE = "UPDATE connectors SET deleted_at = $3, updated_at = $3, version = version + 1
        WHERE application_id = $1 AND id = $2 AND deleted_at IS NULL";
}

fn connector(row: &mut Row) -> Result<Connector, StoreError> {
    Ok(Connector {
        id: row.own_id("id")?,
        application_id: row.parsed("application_id")?,
        provider: row.parsed("provider")?,
        name: row.text("name")?,
        settings: row.json("settings")?,
        scope: row.json("scope")?,
        active_credential_id: row.opt_parsed("active_credential_id")?,
        primary_credential_id: row.opt_parsed("primary_credential_id")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        version: row.int("version")?,
    })
}

/// Connectors.
impl Session<'_> {
    /// Stores a new connector.
    ///
    /// # Errors
    /// If the application has one of that provider, or the database fails.
    pub async fn insert_connector(&mut self, new: &Connector) -> Result<(), StoreError> {
        let (settings, scope) = (json(&new.settings)?, json(&new.scope)?);
        let values = args![
            new.id,
            new.application_id,
            new.provider,
            new.name,
            settings,
            scope,
            new.active_credential_id,
            new.primary_credential_id,
            new.created_at,
            new.updated_at,
            new.version,
        ];
        self.insert(&INSERT, values).await
    }

    /// The application's connector of that provider.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn connector(
        &mut self,
        application_id: ApplicationId,
        provider: Provider,
    ) -> Result<Option<Connector>, StoreError> {
        self.one(&BY_PROVIDER, args![application_id, provider], connector)
            .await
    }

    /// The connector of that id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn connector_by_id(
        &mut self,
        application_id: ApplicationId,
        id: ConnectorId,
    ) -> Result<Option<Connector>, StoreError> {
        self.one(&BY_ID, args![application_id, id], connector).await
    }

    /// The application's connectors, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn connectors(
        &mut self,
        application_id: ApplicationId,
        limit: i64,
        offset: i64,
    ) -> Result<Vec<Connector>, StoreError> {
        self.many(&LIST, args![application_id, limit, offset], connector)
            .await
    }

    /// Whether the connector of that id is live; if so it stays as it is until this transaction ends.
    /// Several transactions may hold one at a time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn hold_connector(
        &mut self,
        application_id: ApplicationId,
        id: ConnectorId,
    ) -> Result<bool, StoreError> {
        let statement = match self.backend() {
            Backend::Sqlite => &BY_ID,
            Backend::Postgres => &postgres::HOLD_CONNECTOR,
        };
        let found = self.fetch(statement, args![application_id, id]).await?;
        Ok(!found.is_empty())
    }

    /// The providers that any application has a connector for.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn connector_providers(&mut self) -> Result<Vec<Provider>, StoreError> {
        let provider = |row: &mut Row| row.parsed("provider");
        self.many(&PROVIDERS, args![], provider).await
    }

    /// Writes everything but ids, provider and creation time, if the row still has
    /// `expected_version`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn update_connector(
        &mut self,
        new: &Connector,
        expected_version: i64,
    ) -> Result<bool, StoreError> {
        let (settings, scope) = (json(&new.settings)?, json(&new.scope)?);
        let values = args![
            new.application_id,
            new.id,
            expected_version,
            new.name,
            settings,
            scope,
            new.active_credential_id,
            new.primary_credential_id,
            new.updated_at,
        ];
        self.wrote(&UPDATE, values).await
    }

    /// Deletes a connector. Its grants are invalid from then on. `false` if there is none such.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_connector(
        &mut self,
        application_id: ApplicationId,
        id: ConnectorId,
        at: UnixMillis,
    ) -> Result<bool, StoreError> {
        self.wrote(&DELETE, args![application_id, id, at]).await
    }
}
