//! Applications.

use crate::arg::{args, json};
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::application::Application;
use keyway_core::ids::ApplicationId;

macro_rules! columns {
    () => {
        "id, organization_id, name, region, environment, profile, additional, blocked, created_at, \
         updated_at, version"
    };
}

statements! { "applications";
    INSERT = concat!("INSERT INTO applications (", columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)");
    BY_ID = concat!("SELECT ", columns!(), " FROM applications WHERE id = $1");
    LIST = concat!("SELECT ", columns!(), " FROM applications
        ORDER BY created_at, id LIMIT $1 OFFSET $2");
    UPDATE = "UPDATE applications SET organization_id = $3, name = $4, region = $5, environment = $6,
        profile = $7, additional = $8, blocked = $9, updated_at = $10, version = version + 1
        WHERE id = $1 AND version = $2";
    ANY = "SELECT id FROM applications LIMIT 1";
}

fn application(row: &mut Row) -> Result<Application, StoreError> {
    Ok(Application {
        id: row.own_id("id")?,
        organization_id: row.parsed("organization_id")?,
        name: row.text("name")?,
        region: row.text("region")?,
        environment: row.text("environment")?,
        profile: row.json("profile")?,
        additional: row.json("additional")?,
        blocked: row.flag("blocked")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        version: row.int("version")?,
    })
}

/// Applications.
impl Session<'_> {
    /// Stores a new application.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn insert_application(&mut self, new: &Application) -> Result<(), StoreError> {
        let (profile, additional) = (json(&new.profile)?, json(&new.additional)?);
        let values = args![
            new.id,
            new.organization_id,
            new.name,
            new.region,
            new.environment,
            profile,
            additional,
            new.blocked,
            new.created_at,
            new.updated_at,
            new.version,
        ];
        self.insert(&INSERT, values).await?;
        self.replace_origins(new).await
    }

    /// The application of that id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn application(
        &mut self,
        id: ApplicationId,
    ) -> Result<Option<Application>, StoreError> {
        self.one(&BY_ID, args![id], application).await
    }

    /// All applications, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn applications(
        &mut self,
        limit: i64,
        offset: i64,
    ) -> Result<Vec<Application>, StoreError> {
        self.many(&LIST, args![limit, offset], application).await
    }

    /// Writes everything but id and creation time, if the row still has `expected_version`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn update_application(
        &mut self,
        new: &Application,
        expected_version: i64,
    ) -> Result<bool, StoreError> {
        let (profile, additional) = (json(&new.profile)?, json(&new.additional)?);
        let values = args![
            new.id,
            expected_version,
            new.organization_id,
            new.name,
            new.region,
            new.environment,
            profile,
            additional,
            new.blocked,
            new.updated_at,
        ];
        let wrote = self.wrote(&UPDATE, values).await?;
        if wrote {
            self.replace_origins(new).await?;
        }
        Ok(wrote)
    }

    /// Whether there is any application.
    pub(crate) async fn has_applications(&mut self) -> Result<bool, StoreError> {
        Ok(!self.fetch(&ANY, &[]).await?.is_empty())
    }
}
