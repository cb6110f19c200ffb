//! Grants.

use super::wire::grant::{GrantView, filter, patch};
use super::wire::page::page;
use crate::body::JsonObject;
use crate::call::{Keyed, Proved};
use crate::envelope::Answer;
use keyway_core::grant::GrantLocator;

/// `GET /v3/grants`.
pub(crate) async fn list(keyed: Keyed) -> Answer {
    let filter = filter(&keyed.query, keyed.engine.catalogue())?;
    let page = page(&keyed.query)?;
    let grants = keyed.engine.grants(&keyed.caller, filter, page).await?;
    let views: Vec<_> = grants.iter().map(GrantView::from).collect();
    keyed.answer.list(&views, page)
}

/// `GET /v3/grants/me`: the grant of the access token.
pub(crate) async fn me(proved: Proved) -> Answer {
    let own = proved
        .engine
        .shared_grant(&proved.principal, GrantLocator::Me);
    proved.answer.single(&GrantView::from(&own.await?.grant))
}

/// `GET /v3/grants/{grant_id}`.
pub(crate) async fn read(proved: Proved) -> Answer {
    let locator = proved.path.grant()?;
    let known = proved
        .engine
        .shared_grant(&proved.principal, locator)
        .await?;
    proved.answer.single(&GrantView::from(&known.grant))
}

/// `PATCH /v3/grants/{grant_id}`.
pub(crate) async fn update(keyed: Keyed, JsonObject(body): JsonObject) -> Answer {
    let (locator, patch) = (keyed.path.grant()?, patch(&body)?);
    let changed = keyed.engine.update_grant(&keyed.caller, locator, patch);
    keyed.answer.single(&GrantView::from(&changed.await?))
}

/// `DELETE /v3/grants/{grant_id}`.
pub(crate) async fn delete(keyed: Keyed) -> Answer {
    let locator = keyed.path.grant()?;
    keyed.engine.delete_grant(&keyed.caller, locator).await?;
    keyed.answer.gone()
}
