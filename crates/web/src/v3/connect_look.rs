//! What an application's look on the pages is made of.

use crate::call::Call;
use crate::envelope::Answer;
use crate::errors::Failure;
use crate::hosted;
use axum::response::IntoResponse as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use keyway_core::application::Application;
use keyway_core::ids::ApplicationId;
use keyway_engine::pictures::PictureOf;

/// All carry the application's version in their address, so a change is seen at once.
const KEEP: &str = "public, max-age=3600";

fn client_id(call: &Call) -> Result<ApplicationId, Failure> {
    let id = call.query.get("client_id").and_then(|id| id.parse().ok());
    id.ok_or_else(|| Failure::not_found("Application not found"))
}

async fn application(call: &Call) -> Result<Application, Failure> {
    let id = client_id(call)?;
    Ok(call.app.engine.public_application(id).await?)
}

/// `GET /v3/connect/images/icon?client_id=`: its picture.
pub(crate) async fn icon(call: Call) -> Answer {
    picture(&call, PictureOf::Icon).await
}

/// `GET /v3/connect/images/background?client_id=`: what its pages stand on.
pub(crate) async fn background(call: Call) -> Answer {
    picture(&call, PictureOf::Background).await
}

async fn picture(call: &Call, of: PictureOf) -> Answer {
    let picture = call.app.engine.picture(client_id(call)?, of).await?;
    let headers = [(CONTENT_TYPE, picture.content_type), (CACHE_CONTROL, KEEP)];
    Ok((headers, picture.bytes.clone()).into_response())
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
