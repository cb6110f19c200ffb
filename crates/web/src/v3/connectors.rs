//! Connectors.

use super::wire::connector::{ConnectorView, new, patch};
use super::wire::page::page;
use crate::body::JsonObject;
use crate::call::Keyed;
use crate::envelope::Answer;

/// `GET /v3/connectors`.
pub(crate) async fn list(keyed: Keyed) -> Answer {
    let page = page(&keyed.query)?;
    let (limit, offset) = (page.limit, page.offset);
    let listed = keyed.engine.connectors(&keyed.caller, limit, offset);
    let connectors = listed.await?;
    let views: Vec<_> = connectors.iter().map(ConnectorView::from).collect();
    keyed.answer.list(&views, page)
}

/// `POST /v3/connectors`.
pub(crate) async fn create(keyed: Keyed, JsonObject(body): JsonObject) -> Answer {
    let new = new(&body)?;
    let connector = keyed.engine.create_connector(&keyed.caller, new).await?;
    keyed.answer.created(&ConnectorView::from(&connector))
}

/// `GET /v3/connectors/{provider}`.
pub(crate) async fn read(keyed: Keyed) -> Answer {
    let provider = keyed.path.provider()?;
    let connector = keyed.engine.connector(&keyed.caller, provider).await?;
    keyed.answer.single(&ConnectorView::from(&connector))
}

/// `PATCH` and `PUT /v3/connectors/{provider}`: both leave what they do not name.
pub(crate) async fn update(keyed: Keyed, JsonObject(body): JsonObject) -> Answer {
    let (provider, patch) = (keyed.path.provider()?, patch(&body)?);
    let changed = keyed
        .engine
        .update_connector(&keyed.caller, provider, patch);
    keyed.answer.single(&ConnectorView::from(&changed.await?))
}

/// `DELETE /v3/connectors/{provider}`.
pub(crate) async fn delete(keyed: Keyed) -> Answer {
    let provider = keyed.path.provider()?;
    keyed
        .engine
        .delete_connector(&keyed.caller, provider)
        .await?;
    keyed.answer.gone()
}
