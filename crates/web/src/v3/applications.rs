//! The caller's own application.

use super::wire::application::{ApplicationView, BrandingView, patch};
use crate::body::JsonObject;
use crate::call::{Call, Keyed};
use crate::envelope::Answer;
use crate::errors::Failure;
use keyway_core::ids::ApplicationId;

fn unknown() -> Failure {
    Failure::not_found("Application not found")
}

/// `GET /v3/applications`: by key the whole application, by `?client_id=` alone its branding.
pub(crate) async fn read(call: Call) -> Answer {
    if let Some(caller) = call.caller {
        let (application, uris) = call.app.engine.application(caller.application_id).await?;
        return call
            .answer
            .single(&ApplicationView::new(&application, &uris));
    }
    let id = call.query.get("client_id").and_then(|id| id.parse().ok());
    let application = call
        .app
        .engine
        .public_application(id.ok_or_else(unknown)?)
        .await?;
    call.answer.single(&BrandingView::from(&application))
}

/// `PATCH /v3/applications`.
pub(crate) async fn update(keyed: Keyed, JsonObject(body): JsonObject) -> Answer {
    let changed = keyed
        .engine
        .update_application(&keyed.caller, patch(&body)?);
    let (application, uris) = changed.await?;
    keyed
        .answer
        .succeeded(&ApplicationView::new(&application, &uris))
}

/// An id in the path must be the caller's own: there are no others for it.
fn require_own(keyed: &Keyed) -> Result<(), Failure> {
    let id: ApplicationId = keyed.path.id("Application")?;
    if id == keyed.caller.application_id {
        Ok(())
    } else {
        Err(unknown())
    }
}

/// `GET /v3/applications/{id}`.
pub(crate) async fn read_by_id(keyed: Keyed) -> Answer {
    require_own(&keyed)?;
    let own = keyed.engine.application(keyed.caller.application_id);
    let (application, uris) = own.await?;
    keyed
        .answer
        .single(&ApplicationView::new(&application, &uris))
}

/// `PATCH /v3/applications/{id}`.
pub(crate) async fn update_by_id(keyed: Keyed, body: JsonObject) -> Answer {
    require_own(&keyed)?;
    update(keyed, body).await
}
