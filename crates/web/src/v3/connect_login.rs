//! The form of a mail account, as a person sends it.

use super::connect_auth::browser;
use super::connect_callback::told;
use crate::body::Params;
use crate::call::Call;
use crate::envelope::Answer;
use crate::hosted;
use keyway_engine::sign_in::Entered;

/// `POST /v3/connect/login`. Back to the application, or the form again with what is wrong.
pub(crate) async fn enter(call: Call, params: Params) -> Answer {
    let cookies = hosted::cookies(&call.headers);
    let typed = hosted::typed(params)?;
    let entered = call
        .app
        .engine
        .enter_account(typed, cookies, browser(&call));
    match entered.await {
        Entered::Left {
            application_id,
            way,
            spent_cookie,
        } => {
            let frame = hosted::frame_of(&call, application_id).await;
            let why = match way.is_connected {
                true => "to_application",
                false => "failed",
            };
            let mut response = hosted::leaving(&call, &frame, &way.location, why)?;
            let is_https = call.app.options.is_https();
            hosted::keep_cookie_a_moment(&mut response, &call.headers, &spent_cookie, is_https);
            Ok(response)
        }
        Entered::Page(fault) => told(&call, fault),
        Entered::Again(form) => {
            let frame = hosted::frame_of(&call, form.application_id).await;
            hosted::account(&call, &frame, &form)
        }
    }
}
