//! Redirect URIs, also reachable as `callback-uris`.

use super::wire::fields::Fields;
use super::wire::redirect_uri::{RedirectUriView, new, patch};
use crate::body::JsonObject;
use crate::call::Keyed;
use crate::envelope::Answer;

/// What messages call one.
const WHAT: &str = "RedirectURI";

/// `GET /v3/applications/redirect-uris`.
pub(crate) async fn list(keyed: Keyed) -> Answer {
    let uris = keyed.engine.redirect_uris(&keyed.caller).await?;
    let views: Vec<_> = uris.iter().map(RedirectUriView::from).collect();
    keyed.answer.succeeded(&views)
}

/// `POST /v3/applications/redirect-uris`: 200, not 201.
pub(crate) async fn create(keyed: Keyed, JsonObject(body): JsonObject) -> Answer {
    let new = new(&Fields::of(&body))?;
    let uri = keyed.engine.create_redirect_uri(&keyed.caller, new).await?;
    keyed.answer.single(&RedirectUriView::from(&uri))
}

/// `GET /v3/applications/redirect-uris/{id}`.
pub(crate) async fn read(keyed: Keyed) -> Answer {
    let id = keyed.path.id(WHAT)?;
    let uri = keyed.engine.redirect_uri(&keyed.caller, id).await?;
    keyed.answer.single(&RedirectUriView::from(&uri))
}

/// `PATCH` and `PUT /v3/applications/redirect-uris/{id}`.
pub(crate) async fn update(keyed: Keyed, JsonObject(body): JsonObject) -> Answer {
    let (id, patch) = (keyed.path.id(WHAT)?, patch(&Fields::of(&body))?);
    let changed = keyed.engine.update_redirect_uri(&keyed.caller, id, patch);
    keyed.answer.single(&RedirectUriView::from(&changed.await?))
}

/// `DELETE /v3/applications/redirect-uris/{id}`.
pub(crate) async fn delete(keyed: Keyed) -> Answer {
    let id = keyed.path.id(WHAT)?;
    keyed.engine.delete_redirect_uri(&keyed.caller, id).await?;
    keyed.answer.gone()
}
