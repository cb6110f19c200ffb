//! What an application's look on the pages is made of.

use crate::call::Call;
use crate::envelope::Answer;
use crate::errors::Failure;
use crate::hosted;
use axum::response::IntoResponse as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use keyway_core::application::Application;

/// Both carry the application's version in their address, so a change is seen at once.
const KEEP: &str = "public, max-age=3600";

async fn application(call: &Call) -> Result<Application, Failure> {
    let id = call.query.get("client_id").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Failure::not_found("Application not found"))?;
    Ok(call.app.engine.public_application(id).await?)
}

/// `GET /v3/connect/theme.css?client_id=`: its colours and measures.
pub(crate) async fn theme(call: Call) -> Answer {
    let style = hosted::style_sheet(&application(&call).await?);
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (CACHE_CONTROL, KEEP),
    ];
    Ok((headers, style).into_response())
}
