//! Which browser pages may call: preflights are answered for any registered origin, calls only for
//! their own application's.

use crate::engine::Engine;
use crate::error::Error;
use keyway_core::ids::ApplicationId;
use keyway_core::redirect_uri::{idp_origins, parse_origin};

impl Engine {
    /// Whether any application has registered `origin`, by a `js` redirect URI or in `idp_settings`.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn origin_is_registered(&self, origin: &str) -> Result<bool, Error> {
        if parse_origin(origin).as_deref() != Some(origin) {
            return Ok(false);
        }
        let wanted = origin.to_owned();
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.origin_applications(&wanted).await }));
        Ok(!job.await?.is_empty())
    }

    /// Whether pages of `origin` may call on behalf of this application.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn origin_is_allowed(
        &self,
        application_id: ApplicationId,
        origin: &str,
    ) -> Result<bool, Error> {
        let job = self.store().read(move |s| {
            Box::pin(async move {
                let application = s.application(application_id).await?;
                Ok((application, s.redirect_uris(application_id).await?))
            })
        });
        let (application, uris) = job.await?;
        let registered = uris.iter().any(|uri| uri.origin.as_deref() == Some(origin));
        let listed =
            application.is_some_and(|app| idp_origins(&app.profile).contains(&origin.to_owned()));
        Ok(registered || listed)
    }
}
