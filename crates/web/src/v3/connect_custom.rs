//! Custom authentication: the application brings what the user gave it.

use super::wire::custom::new;
use super::wire::grant::GrantView;
use crate::body::JsonObject;
use crate::call::Keyed;
use crate::envelope::Answer;

/// `POST /v3/connect/custom`: 201 also when a grant is authenticated again.
pub(crate) async fn create(keyed: Keyed, JsonObject(body): JsonObject) -> Answer {
    let custom = new(&body)?;
    let made = keyed.engine.custom_authentication(&keyed.caller, custom);
    keyed.answer.created(&GrantView::from(&made.await?))
}
