//! The end of a sign-in with nowhere to return to.

use crate::call::Call;
use crate::envelope::Answer;
use crate::hosted;
use http::StatusCode;
use keyway_engine::OAuthError;
use keyway_engine::sign_in::SignInFault;

/// `GET /v3/connect/done`, as redirect URI: the code is taken here, and the person told.
pub(crate) async fn finish(call: Call) -> Answer {
    if let Some(error) = call.query.get("error") {
        return hosted::not_connected(&call, error);
    }
    if call.query.get("admin_consent").is_some() {
        return hosted::consented(&call);
    }
    let Some(code) = call.query.owned("code") else {
        return told(&call, SignInFault::NoState);
    };
    match call.app.engine.finish_here(code).await {
        Ok(grant) => {
            let frame = hosted::frame_of(&call, grant.application_id).await;
            hosted::connected(&call, &frame, &grant.email)
        }
        // The code was good, and the account is not the one it may be (rule 12).
        Err(error) if error.is_final() && error.source.is_some() => {
            hosted::not_connected(&call, "access_denied")
        }
        Err(error) => told(&call, fault_of(&error)),
    }
}

fn told(call: &Call, fault: SignInFault) -> Answer {
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::BAD_REQUEST);
    hosted::fault(call, status, fault.as_str(), "")
}

/// A code that is not good was used, as a page that is loaded again uses it.
fn fault_of(error: &OAuthError) -> SignInFault {
    match error.error {
        "server_error" => {
            tracing::error!(%error, "a sign-in that ends here could not be finished");
            SignInFault::Internal
        }
        "temporarily_unavailable" => SignInFault::Unavailable,
        _ => SignInFault::Used,
    }
}
