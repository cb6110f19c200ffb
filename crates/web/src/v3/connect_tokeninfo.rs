//! What a token of Keyway's own is about.

use super::wire::token::TokenInfoView;
use crate::auth::bearer;
use crate::body::Params;
use crate::call::Call;
use crate::envelope::Answer;

async fn inform(call: Call, id_token: Option<String>, access_token: Option<String>) -> Answer {
    let engine = &call.app.engine;
    let bearer = bearer(&call.headers);
    let asked = engine.token_info_for(bearer, id_token.as_deref(), access_token.as_deref());
    let info = asked.await?;
    call.context.belongs_to(info.application_id);
    call.answer.single(&TokenInfoView::from(&info))
}

/// `GET /v3/connect/tokeninfo`.
pub(crate) async fn read(call: Call) -> Answer {
    let id_token = call.query.owned("id_token");
    let access_token = call.query.owned("access_token");
    inform(call, id_token, access_token).await
}

/// `POST /v3/connect/tokeninfo`: an old client sends the token as a form.
pub(crate) async fn read_form(call: Call, mut given: Params) -> Answer {
    let mut find = |name: &str| match call.query.owned(name) {
        Some(token) => Ok(Some(token)),
        None => given.take(name),
    };
    let (id_token, access_token) = (find("id_token")?, find("access_token")?);
    inform(call, id_token, access_token).await
}
