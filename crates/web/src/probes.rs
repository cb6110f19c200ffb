//! Whether the process lives, and whether it can serve.

use crate::call::Call;
use crate::envelope::Answer;
use http::StatusCode;
use serde::Serialize;

#[derive(Serialize)]
struct ProbeView {
    status: &'static str,
}

/// `GET /healthz`: 200 as long as the process answers at all.
pub(crate) async fn healthz(call: Call) -> Answer {
    call.answer.single(&ProbeView { status: "ok" })
}

/// `GET /readyz`: 200 when requests can be served, else 503.
pub(crate) async fn readyz(call: Call) -> Answer {
    if call.app.engine.is_ready().await {
        return call.answer.single(&ProbeView { status: "ready" });
    }
    let not_ready = ProbeView {
        status: "not ready",
    };
    call.answer
        .with_status(StatusCode::SERVICE_UNAVAILABLE, &not_ready)
}
