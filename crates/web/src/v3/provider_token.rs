//! A provider's access token, for applications that make their calls themselves.

use super::wire::provider_token::ProviderTokenView;
use crate::app::App;
use crate::call::Keyed;
use crate::envelope::Answer;
use crate::errors::Failure;
use axum::extract::State;
use keyway_engine::ErrorKind;

/// `GET /v3/grants/{grant_id}/token`.
pub(crate) async fn read(State(app): State<App>, keyed: Keyed) -> Answer {
    if !app.options.allow_provider_tokens {
        let message = "This server does not hand out provider tokens; make the call through /v3/grants/{grant_id}/proxy/.";
        return Err(Failure::new(ErrorKind::AccessDenied, message));
    }
    let locator = keyed.path.grant()?;
    let token = keyed.engine.provider_token(&keyed.caller, locator).await?;
    keyed.answer.single(&ProviderTokenView::from(&token))
}
