//! The origins in `idp_settings.origins` of applications, one row each, so that a preflight, which names
//! an origin and nothing else, finds them. Written with the application and never on their own.

use crate::arg::args;
use crate::error::StoreError;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::application::Application;
use keyway_core::ids::ApplicationId;
use keyway_core::redirect_uri::idp_origins;
use std::collections::BTreeSet;

statements! { "application_origins";
    INSERT = "INSERT INTO application_origins (application_id, origin) VALUES ($1, $2)";
    CLEAR = "DELETE FROM application_origins WHERE application_id = $1";
    BY_ORIGIN = "SELECT application_id FROM redirect_uris
        WHERE origin = $1 AND deleted_at IS NULL AND platform = 'js'
        UNION SELECT application_id FROM application_origins WHERE origin = $1
        ORDER BY application_id";
}

/// Which applications' pages may call.
impl Session<'_> {
    /// Every application that lets pages of `origin` call, by a `js` redirect URI or by its
    /// `idp_settings`: for a preflight, which names no application.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn origin_applications(
        &mut self,
        origin: &str,
    ) -> Result<Vec<ApplicationId>, StoreError> {
        self.many(&BY_ORIGIN, args![origin], |row| {
            row.parsed("application_id")
        })
        .await
    }

    /// Writes the origins that `application` lists, in place of those it listed before.
    pub(crate) async fn replace_origins(
        &mut self,
        application: &Application,
    ) -> Result<(), StoreError> {
        self.execute(&CLEAR, args![application.id]).await?;
        let origins: BTreeSet<String> = idp_origins(&application.profile).into_iter().collect();
        for origin in &origins {
            self.insert(&INSERT, args![application.id, origin]).await?;
        }
        Ok(())
    }
}
