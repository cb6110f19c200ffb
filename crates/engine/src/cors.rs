//! Which browser pages may call: preflights are answered for any registered origin, calls only for
//! their own application's.

use crate::engine::Engine;
use crate::error::Error;
use keyway_core::ids::ApplicationId;
use keyway_core::redirect_uri::parse_origin;
use serde_json::Value;

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

/// `idp_settings.origins`: one text, separated by commas.
fn idp_origins(profile: &serde_json::Map<String, Value>) -> Vec<String> {
    let text = profile
        .get("idp_settings")
        .and_then(|settings| settings.get("origins"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    text.split(',')
        .filter_map(|origin| parse_origin(origin.trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn origins_of_an_identity_provider_are_read_from_their_list() {
        let profile = json!({"idp_settings": {"origins": "https://a.b, http://localhost:3000,x"}});
        let origins = idp_origins(profile.as_object().unwrap());
        assert_eq!(origins, ["https://a.b", "http://localhost:3000"]);
    }
}
