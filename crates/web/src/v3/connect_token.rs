//! The token endpoint.

use super::wire::token::TokenView;
use crate::auth::bearer;
use crate::body::Params;
use crate::call::Call;
use crate::envelope::Answer;
use crate::errors::Failure;
use keyway_engine::tokens::TokenParams;

fn params(call: &Call, mut given: Params) -> Result<TokenParams, Failure> {
    Ok(TokenParams {
        grant_type: given.take("grant_type")?,
        client_id: given.take("client_id")?,
        client_secret: given.take("client_secret")?,
        code: given.take("code")?,
        redirect_uri: given.take("redirect_uri")?,
        code_verifier: given.take("code_verifier")?,
        refresh_token: given.take("refresh_token")?,
        grant_id: given.take("grant_id")?,
        idp_claims: given.take("idp_claims")?,
        bearer: bearer(&call.headers).map(str::to_owned),
    })
}

/// `POST /v3/connect/token`, as JSON or as a form.
pub(crate) async fn exchange(call: Call, given: Params) -> Answer {
    let params = params(&call, given)?;
    if let Some(id) = params.client_id.as_deref().and_then(|id| id.parse().ok()) {
        call.context.belongs_to(id);
    }
    let answer = call.app.engine.token(params).await?;
    call.answer.flat(&TokenView::from(&answer))
}
