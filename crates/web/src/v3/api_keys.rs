//! API keys of an application, managed by requests that a service account signs.

use super::wire::api_key::{CreatedKeyView, KeyView, new};
use super::wire::fields::Fields;
use crate::body::JsonObject;
use crate::call::Signed;
use crate::envelope::Answer;
use crate::errors::Failure;
use keyway_core::ids::{ApiKeyId, ApplicationId};

impl Signed {
    /// `{application_id}`, in the words for one that does not exist if it can be none.
    fn application(&self) -> Result<ApplicationId, Failure> {
        let no_application = || Failure::not_found("No application with this id.");
        self.path
            .parsed("application_id")
            .ok_or_else(no_application)
    }

    fn key(&self) -> Result<ApiKeyId, Failure> {
        let no_key = || Failure::not_found("No API key with this id.");
        self.path.parsed("api_key_id").ok_or_else(no_key)
    }
}

/// `GET /v3/admin/applications/{application_id}/api-keys`.
pub(crate) async fn list(signed: Signed) -> Answer {
    let id = signed.application()?;
    let keys = signed.engine.issued_keys(&signed.caller, id).await?;
    let now = signed.engine.now();
    let views: Vec<_> = keys.iter().map(|key| KeyView::of(key, now)).collect();
    signed.answer.single(&views)
}

/// `POST /v3/admin/applications/{application_id}/api-keys`: 200, not 201.
pub(crate) async fn create(signed: Signed, JsonObject(body): JsonObject) -> Answer {
    let id = signed.application()?;
    let new = new(&Fields::of(&body))?;
    let issued = signed.engine.issue_key(&signed.caller, id, new).await?;
    let now = signed.engine.now();
    signed
        .answer
        .single(&CreatedKeyView::of(&issued.0, &issued.1, now))
}

/// `GET /v3/admin/applications/{application_id}/api-keys/{api_key_id}`.
pub(crate) async fn read(signed: Signed) -> Answer {
    let (id, key_id) = (signed.application()?, signed.key()?);
    let found = signed.engine.issued_key(&signed.caller, id, key_id).await?;
    let now = signed.engine.now();
    signed.answer.single(&KeyView::of(&found, now))
}

/// `DELETE /v3/admin/applications/{application_id}/api-keys/{api_key_id}`.
pub(crate) async fn delete(signed: Signed) -> Answer {
    let (id, key_id) = (signed.application()?, signed.key()?);
    signed.engine.delete_key(&signed.caller, id, key_id).await?;
    signed.answer.gone()
}
