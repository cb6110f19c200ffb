//! Credentials. Deleted ones stay as rows while grants name them.

use crate::arg::{Arg, args, json};
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::{Statement, statements};
use keyway_core::credential::{Credential, CredentialType, Health, HealthStatus, Owner};
use keyway_core::ids::{ApplicationId, ConnectorId, CredentialId};
use keyway_core::page::{OrderBy, Page, SortBy};
use keyway_core::provider::Provider;
use keyway_core::sealed::Digest;
use keyway_core::time::UnixMillis;

macro_rules! columns {
    () => {
        "id, application_id, connector_id, provider, name, credential_type, owner, client_id, \
         provider_project, tenant, borrows_from, labels, data_digest, health_status, health_error, \
         health_message, health_since, created_at, updated_at, deleted_at, version"
    };
}

macro_rules! list {
    ($order:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM credentials WHERE application_id = $1 AND connector_id = $2
            AND deleted_at IS NULL ORDER BY ",
            $order,
            " LIMIT $3 OFFSET $4"
        )
    };
}

statements! { "credentials";
    // What a credential is in the course of its life is later work: so far each is active.
    INSERT = concat!("INSERT INTO credentials (", columns!(), ", state)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
        $20, $21, 'active')");
    BY_ID = concat!("SELECT ", columns!(), " FROM credentials
        WHERE application_id = $1 AND id = $2 AND deleted_at IS NULL");
    ANY_BY_ID = concat!("SELECT ", columns!(), " FROM credentials
        WHERE application_id = $1 AND id = $2");
    BY_DIGEST = concat!("SELECT ", columns!(), " FROM credentials WHERE application_id = $1
        AND connector_id = $2 AND data_digest = $3 AND deleted_at IS NULL ORDER BY created_at, id");
    BY_NAME = concat!("SELECT ", columns!(), " FROM credentials WHERE application_id = $1
        AND connector_id = $2 AND name = $3 AND deleted_at IS NULL");
    TWO_OF_TYPE = concat!("SELECT ", columns!(), " FROM credentials WHERE application_id = $1
        AND connector_id = $2 AND credential_type = $3 AND deleted_at IS NULL LIMIT 2");
    LENT_OTHERWISE = concat!("SELECT ", columns!(), " FROM credentials WHERE provider = $1
        AND owner = 'operator' AND client_id <> $2 AND deleted_at IS NULL");
    A_BORROWER = concat!("SELECT ", columns!(), " FROM credentials
        WHERE application_id = $1 AND borrows_from = $2 AND deleted_at IS NULL LIMIT 1");
    BORROWERS_AFTER = concat!("SELECT ", columns!(), " FROM credentials
        WHERE application_id = $1 AND borrows_from = $2 AND deleted_at IS NULL AND id > $3
        ORDER BY id LIMIT $4");
    CREATED_ASC = list!("created_at, id");
    CREATED_DESC = list!("created_at DESC, id DESC");
    UPDATED_ASC = list!("updated_at, id");
    UPDATED_DESC = list!("updated_at DESC, id DESC");
    UPDATE = "UPDATE credentials SET name = $4, owner = $5, client_id = $6, provider_project = $7,
        tenant = $8, borrows_from = $9, labels = $10, data_digest = $11, updated_at = $12,
        version = version + 1
        WHERE application_id = $1 AND id = $2 AND version = $3 AND deleted_at IS NULL";
    SET_HEALTH = "UPDATE credentials SET health_status = $3, health_error = $4, health_message = $5,
        health_since = $6
        WHERE application_id = $1 AND id = $2 AND deleted_at IS NULL";
    DELETE = "UPDATE credentials SET deleted_at = $3, updated_at = $3, version = version + 1
        WHERE application_id = $1 AND id = $2 AND deleted_at IS NULL";
    DELETE_OF_CONNECTOR = "UPDATE credentials
        SET deleted_at = $3, updated_at = $3, version = version + 1
        WHERE application_id = $1 AND connector_id = $2 AND deleted_at IS NULL";
}

fn health(row: &mut Row) -> Result<Health, StoreError> {
    Ok(Health {
        status: row.word("health_status", HealthStatus::parse)?,
        error: row.opt_text("health_error")?,
        message: row.opt_text("health_message")?,
        since: row.opt_time("health_since")?,
    })
}

fn credential(row: &mut Row) -> Result<Credential, StoreError> {
    Ok(Credential {
        id: row.own_id("id")?,
        application_id: row.parsed("application_id")?,
        connector_id: row.parsed("connector_id")?,
        provider: row.parsed("provider")?,
        name: row.text("name")?,
        credential_type: row.word("credential_type", CredentialType::parse)?,
        owner: row.word("owner", Owner::parse)?,
        client_id: row.opt_text("client_id")?,
        provider_project: row.opt_text("provider_project")?,
        tenant: row.opt_text("tenant")?,
        borrows_from: row.opt_parsed("borrows_from")?,
        labels: row.json("labels")?,
        data_digest: row.digest("data_digest")?,
        health: health(row)?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        deleted_at: row.opt_time("deleted_at")?,
        version: row.int("version")?,
    })
}

const fn list_statement(page: Page) -> &'static Statement {
    match (page.sort_by, page.order_by) {
        (SortBy::CreatedAt, OrderBy::Asc) => &CREATED_ASC,
        (SortBy::CreatedAt, OrderBy::Desc) => &CREATED_DESC,
        (SortBy::UpdatedAt, OrderBy::Asc) => &UPDATED_ASC,
        (SortBy::UpdatedAt, OrderBy::Desc) => &UPDATED_DESC,
    }
}

/// Credentials.
impl Session<'_> {
    /// Stores a new credential.
    ///
    /// # Errors
    /// If its connector has a live one of that name, or the database fails.
    pub async fn insert_credential(&mut self, new: &Credential) -> Result<(), StoreError> {
        let labels = json(&new.labels)?;
        let values: &[Arg<'_>] = args![
            new.id,
            new.application_id,
            new.connector_id,
            new.provider,
            new.name,
            new.credential_type,
            new.owner,
            new.client_id,
            new.provider_project,
            new.tenant,
            new.borrows_from,
            labels,
            new.data_digest,
            new.health.status,
            new.health.error,
            new.health.message,
            new.health.since,
            new.created_at,
            new.updated_at,
            new.deleted_at,
            new.version,
        ];
        self.insert(&INSERT, values).await
    }

    /// The live credential of that id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn credential(
        &mut self,
        application_id: ApplicationId,
        id: CredentialId,
    ) -> Result<Option<Credential>, StoreError> {
        self.one(&BY_ID, args![application_id, id], credential)
            .await
    }

    /// The credential of that id, deleted or not.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn credential_any(
        &mut self,
        application_id: ApplicationId,
        id: CredentialId,
    ) -> Result<Option<Credential>, StoreError> {
        self.one(&ANY_BY_ID, args![application_id, id], credential)
            .await
    }

    /// The connector's live credentials.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn credentials(
        &mut self,
        application_id: ApplicationId,
        connector_id: ConnectorId,
        page: Page,
    ) -> Result<Vec<Credential>, StoreError> {
        let values = args![application_id, connector_id, page.limit, page.offset];
        self.many(list_statement(page), values, credential).await
    }

    /// The connector's oldest live credential of equal data.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn credential_by_digest(
        &mut self,
        application_id: ApplicationId,
        connector_id: ConnectorId,
        digest: &Digest,
    ) -> Result<Option<Credential>, StoreError> {
        let values = args![application_id, connector_id, digest];
        self.one(&BY_DIGEST, values, credential).await
    }

    /// The connector's live credential of that name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn credential_by_name(
        &mut self,
        application_id: ApplicationId,
        connector_id: ConnectorId,
        name: &str,
    ) -> Result<Option<Credential>, StoreError> {
        let values = args![application_id, connector_id, name];
        self.one(&BY_NAME, values, credential).await
    }

    /// The connector's live credential of a type, if it has exactly one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn only_credential_of_type(
        &mut self,
        application_id: ApplicationId,
        connector_id: ConnectorId,
        credential_type: CredentialType,
    ) -> Result<Option<Credential>, StoreError> {
        let kind = credential_type.as_str();
        let values = args![application_id, connector_id, kind];
        let mut found = self.many(&TWO_OF_TYPE, values, credential).await?;
        Ok(found.pop().filter(|_| found.is_empty()))
    }

    /// The live credentials of all applications that are the operator's app for `provider`, as another client than
    /// this.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn lent_with_other_client(
        &mut self,
        provider: Provider,
        client_id: &str,
    ) -> Result<Vec<Credential>, StoreError> {
        let provider = provider.as_str();
        self.many(&LENT_OTHERWISE, args![provider, client_id], credential)
            .await
    }

    /// A live credential that uses this one's client, if there is any.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn credential_borrower(
        &mut self,
        application_id: ApplicationId,
        id: CredentialId,
    ) -> Result<Option<Credential>, StoreError> {
        self.one(&A_BORROWER, args![application_id, id], credential)
            .await
    }

    /// The live credentials that use this one's client, by id, from the first after `after` on.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn credential_borrowers(
        &mut self,
        application_id: ApplicationId,
        id: CredentialId,
        after: CredentialId,
        limit: i64,
    ) -> Result<Vec<Credential>, StoreError> {
        let values = args![application_id, id, after, limit];
        self.many(&BORROWERS_AFTER, values, credential).await
    }

    /// Writes everything but ids, type, provider, health and creation time, if the row still has
    /// `expected_version`.
    ///
    /// # Errors
    /// If its connector has another live one of that name, or the database fails.
    pub async fn update_credential(
        &mut self,
        new: &Credential,
        expected_version: i64,
    ) -> Result<bool, StoreError> {
        let labels = json(&new.labels)?;
        let values = args![
            new.application_id,
            new.id,
            expected_version,
            new.name,
            new.owner,
            new.client_id,
            new.provider_project,
            new.tenant,
            new.borrows_from,
            labels,
            new.data_digest,
            new.updated_at,
        ];
        self.wrote(&UPDATE, values).await
    }

    /// Writes what was learnt of its health; raises no version, so that it fences nobody.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn set_credential_health(
        &mut self,
        application_id: ApplicationId,
        id: CredentialId,
        health: &Health,
    ) -> Result<bool, StoreError> {
        let values = args![
            application_id,
            id,
            health.status,
            health.error,
            health.message,
            health.since,
        ];
        self.wrote(&SET_HEALTH, values).await
    }

    /// Deletes a credential. Its grants are invalid from then on. `false` if there is none such.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_credential(
        &mut self,
        application_id: ApplicationId,
        id: CredentialId,
        at: UnixMillis,
    ) -> Result<bool, StoreError> {
        self.wrote(&DELETE, args![application_id, id, at]).await
    }

    /// Deletes all of a connector's credentials, and says how many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_credentials_of(
        &mut self,
        application_id: ApplicationId,
        connector_id: ConnectorId,
        at: UnixMillis,
    ) -> Result<u64, StoreError> {
        let values = args![application_id, connector_id, at];
        self.execute(&DELETE_OF_CONNECTOR, values).await
    }
}
