//! Redirect URIs. Deleted ones stay as rows until they are swept, and no read shows them.

use crate::arg::{args, json};
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::application::{Platform, RedirectUri};
use keyway_core::ids::{ApplicationId, RedirectUriId};
use keyway_core::time::UnixMillis;

macro_rules! columns {
    () => {
        "id, application_id, url, platform, settings, origin, created_at, updated_at"
    };
}

statements! { "redirect_uris";
    INSERT = concat!("INSERT INTO redirect_uris (", columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    BY_ID = concat!("SELECT ", columns!(), " FROM redirect_uris
        WHERE application_id = $1 AND id = $2 AND deleted_at IS NULL");
    LIST = concat!("SELECT ", columns!(), " FROM redirect_uris
        WHERE application_id = $1 AND deleted_at IS NULL ORDER BY created_at, id");
    UPDATE = "UPDATE redirect_uris SET url = $3, platform = $4, settings = $5, origin = $6,
        updated_at = $7
        WHERE application_id = $1 AND id = $2 AND deleted_at IS NULL";
    DELETE = "UPDATE redirect_uris SET deleted_at = $3, updated_at = $3
        WHERE application_id = $1 AND id = $2 AND deleted_at IS NULL";
}

fn redirect_uri(row: &mut Row) -> Result<RedirectUri, StoreError> {
    Ok(RedirectUri {
        id: row.own_id("id")?,
        application_id: row.parsed("application_id")?,
        url: row.text("url")?,
        platform: row.word("platform", Platform::parse)?,
        settings: row.json("settings")?,
        origin: row.opt_text("origin")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// Redirect URIs.
impl Session<'_> {
    /// Stores a new redirect URI.
    ///
    /// # Errors
    /// If the application has one of that URL, or the database fails.
    pub async fn insert_redirect_uri(&mut self, new: &RedirectUri) -> Result<(), StoreError> {
        let settings = json(&new.settings)?;
        let values = args![
            new.id,
            new.application_id,
            new.url,
            new.platform,
            settings,
            new.origin,
            new.created_at,
            new.updated_at,
        ];
        self.insert(&INSERT, values).await
    }

    /// The redirect URI of that id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn redirect_uri(
        &mut self,
        application_id: ApplicationId,
        id: RedirectUriId,
    ) -> Result<Option<RedirectUri>, StoreError> {
        self.one(&BY_ID, args![application_id, id], redirect_uri)
            .await
    }

    /// The application's redirect URIs, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn redirect_uris(
        &mut self,
        application_id: ApplicationId,
    ) -> Result<Vec<RedirectUri>, StoreError> {
        self.many(&LIST, args![application_id], redirect_uri).await
    }

    /// Writes everything but ids and creation time. `false` if there is none such.
    ///
    /// # Errors
    /// If the application has another of that URL, or the database fails.
    pub async fn update_redirect_uri(&mut self, new: &RedirectUri) -> Result<bool, StoreError> {
        let settings = json(&new.settings)?;
        let values = args![
            new.application_id,
            new.id,
            new.url,
            new.platform,
            settings,
            new.origin,
            new.updated_at,
        ];
        self.wrote(&UPDATE, values).await
    }

    /// Deletes a redirect URI. `false` if there is none such.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_redirect_uri(
        &mut self,
        application_id: ApplicationId,
        id: RedirectUriId,
        at: UnixMillis,
    ) -> Result<bool, StoreError> {
        self.wrote(&DELETE, args![application_id, id, at]).await
    }
}
