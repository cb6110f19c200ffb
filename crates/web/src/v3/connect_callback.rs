//! The end of a hosted sign-in: the provider sends the browser back.

use crate::call::Call;
use crate::envelope::Answer;
use crate::hosted;
use http::StatusCode;
use keyway_engine::sign_in::{CallbackParams, Finish, SignInFault};

/// `GET /v3/connect/callback`. What cannot go back to the application becomes a page.
pub(crate) async fn finish(call: Call) -> Answer {
    let params = CallbackParams {
        state: call.query.owned("state"),
        code: call.query.owned("code"),
        error: call.query.owned("error"),
        error_description: call.query.owned("error_description"),
        iss: call.query.owned("iss"),
        admin_consent: call.query.owned("admin_consent"),
        tenant: call.query.owned("tenant"),
    };
    let cookies = hosted::cookies(&call.headers);
    match call.app.engine.finish_sign_in(params, cookies).await {
        Finish::Application {
            location,
            spent_cookie,
        } => {
            let mut response = hosted::redirect(&location)?;
            hosted::clear_cookie(&mut response, &spent_cookie, call.app.options.is_https());
            Ok(response)
        }
        Finish::Page(fault) => told(&call, fault),
    }
}

/// The page for a sign-in that ends here.
pub(crate) fn told(call: &Call, fault: SignInFault) -> Answer {
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::BAD_REQUEST);
    hosted::fault(call, status, fault.as_str(), "")
}
