//! Revocation of Keyway's own tokens (RFC 7009, with the token in the query).

use crate::auth::bearer;
use crate::body::Params;
use crate::call::Call;
use crate::envelope::Answer;

/// `POST /v3/connect/revoke`. The grant and the provider's tokens stay as they are.
pub(crate) async fn revoke(call: Call, mut given: Params) -> Answer {
    // The body is looked at in any case: what is wrong there is not made good by the query.
    let in_body = given.take("token")?;
    let token = call.query.owned("token").or(in_body);
    let bearer = bearer(&call.headers);
    call.app.engine.revoke_for(bearer, token.as_deref()).await?;
    call.answer.gone()
}
