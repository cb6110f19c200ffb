//! What is known of providers before anybody signs in.

use super::wire::detection::DetectionView;
use crate::call::Call;
use crate::envelope::Answer;
use crate::errors::Failure;
use keyway_core::detect::address_in_query;
use keyway_engine::detect::Asker;

/// By key the caller's application, else the one `?client_id=` names.
fn asker(call: &Call) -> Result<Asker, Failure> {
    if let Some(caller) = call.caller {
        return Ok(Asker::Key(caller));
    }
    let id = call.query.get("client_id").and_then(|id| id.parse().ok());
    id.map(Asker::Page)
        .ok_or_else(|| Failure::not_found("Application not found"))
}

/// `POST /v3/providers/detect`, with everything in the query.
pub(crate) async fn detect(call: Call) -> Answer {
    let asker = asker(&call)?;
    let email = call.query.get("email").map(address_in_query);
    let email = email.ok_or_else(|| Failure::query("email is required"))?;
    let all = call.query.flag("all_provider_types")?;
    let found = call.app.engine.detect_provider(asker, &email, all).await?;
    call.answer.single(&DetectionView::from(&found))
}
