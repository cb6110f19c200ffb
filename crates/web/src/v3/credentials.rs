//! Credentials of a connector.

use super::wire::credential::{CredentialView, HealthView, new, patch};
use super::wire::page::page;
use crate::body::JsonObject;
use crate::call::Keyed;
use crate::envelope::Answer;

/// What messages call one.
const WHAT: &str = "Credential";

/// `GET /v3/connectors/{provider}/creds`.
pub(crate) async fn list(keyed: Keyed) -> Answer {
    let (provider, page) = (keyed.path.provider()?, page(&keyed.query)?);
    let listed = keyed.engine.credentials(&keyed.caller, provider, page);
    let credentials = listed.await?;
    let views: Vec<_> = credentials.iter().map(CredentialView::from).collect();
    keyed.answer.list(&views, page)
}

/// `POST /v3/connectors/{provider}/creds`: 201 also when an equal one exists and is returned.
pub(crate) async fn create(keyed: Keyed, JsonObject(body): JsonObject) -> Answer {
    let (provider, new) = (keyed.path.provider()?, new(&body)?);
    let made = keyed.engine.create_credential(&keyed.caller, provider, new);
    keyed.answer.created(&CredentialView::from(&made.await?))
}

/// `GET /v3/connectors/{provider}/creds/{id}`.
pub(crate) async fn read(keyed: Keyed) -> Answer {
    let (provider, id) = (keyed.path.provider()?, keyed.path.id(WHAT)?);
    let found = keyed.engine.credential(&keyed.caller, provider, id);
    keyed.answer.single(&CredentialView::from(&found.await?))
}

/// `PATCH` and `PUT /v3/connectors/{provider}/creds/{id}`.
pub(crate) async fn update(keyed: Keyed, JsonObject(body): JsonObject) -> Answer {
    let (provider, id) = (keyed.path.provider()?, keyed.path.id(WHAT)?);
    let patch = patch(&body)?;
    let changed = keyed
        .engine
        .update_credential(&keyed.caller, provider, id, patch);
    keyed.answer.single(&CredentialView::from(&changed.await?))
}

/// `DELETE /v3/connectors/{provider}/creds/{id}`.
pub(crate) async fn delete(keyed: Keyed) -> Answer {
    let (provider, id) = (keyed.path.provider()?, keyed.path.id(WHAT)?);
    keyed
        .engine
        .delete_credential(&keyed.caller, provider, id)
        .await?;
    keyed.answer.gone()
}

/// `GET /v3/connectors/{provider}/creds/{id}/health`.
pub(crate) async fn health(keyed: Keyed) -> Answer {
    let (provider, id) = (keyed.path.provider()?, keyed.path.id(WHAT)?);
    let report = keyed
        .engine
        .credential_health(&keyed.caller, provider, id)
        .await?;
    keyed.answer.single(&HealthView::from(&report))
}
