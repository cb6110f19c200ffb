//! Connections that become something else, such as WebSockets (RFC 9110, 7.8).

use super::{Outgoing, Proxy, fault};
use http::{Request, Response, StatusCode, Version, header};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use keyway_engine::{Error, ErrorKind, ProxyCall};
use keyway_outbound::{AnswerBody, CallBody};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Tunnels open at once on one thread.
const TUNNELS_MAX: usize = 1_000;

/// Room for tunnels.
pub(super) struct Tunnels(Arc<Semaphore>);

impl Default for Tunnels {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(TUNNELS_MAX)))
    }
}

/// Whether a request asks for its connection to become something else. One with a body does not.
pub(super) fn is_wanted(request: &Request<Incoming>) -> bool {
    request.headers().contains_key(header::UPGRADE)
        && request.version() == Version::HTTP_11
        && request.body().is_end_stream()
        && request
            .headers()
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|name| name.trim().eq_ignore_ascii_case("upgrade"))
}

impl Proxy {
    /// Asks the provider to turn the connection, and joins both once it has.
    pub(super) async fn tunnel(
        &self,
        call: ProxyCall,
        mut outgoing: Outgoing,
        ours: OnUpgrade,
    ) -> Result<Response<AnswerBody>, Error> {
        let full = || {
            let message = "There are too many tunnels open; try again shortly.";
            Error::new(ErrorKind::Unavailable, message).retry_after(1)
        };
        let permit = self.tunnels.0.clone().try_acquire_owned();
        let permit = permit.map_err(|_| full())?;
        let (mut answer, mut theirs) = self.ask(&call, &outgoing).await?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some(call) = self.engine.call_again(&call).await?
        {
            outgoing.prove(&call)?;
            (answer, theirs) = self.ask(&call, &outgoing).await?;
        }
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            join(ours, theirs, permit);
        }
        Ok(answer)
    }

    async fn ask(
        &self,
        call: &ProxyCall,
        outgoing: &Outgoing,
    ) -> Result<(Response<AnswerBody>, OnUpgrade), Error> {
        let request = outgoing.with(CallBody::none());
        let asked = self
            .upstreams
            .call_upgrade(&call.host.origin, request)
            .await;
        asked.map_err(|failure| {
            self.metrics.proxy.failed();
            fault::of(&failure)
        })
    }
}

/// Copies both ways until either side ends.
#[expect(
    clippy::disallowed_methods,
    reason = "a tunnel ends with its thread; there is nothing in it that a graceful stop could finish"
)]
fn join(ours: OnUpgrade, theirs: OnUpgrade, permit: OwnedSemaphorePermit) {
    drop(tokio::spawn(async move {
        let (Ok(ours), Ok(theirs)) = futures_util::future::join(ours, theirs).await else {
            return;
        };
        let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
        // However it ends, both sides are closed.
        drop(tokio::io::copy_bidirectional(&mut ours, &mut theirs).await);
        drop(permit);
    }));
}
