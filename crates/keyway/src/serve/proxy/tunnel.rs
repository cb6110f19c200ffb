//! Connections that become WebSockets (RFC 6455; RFC 9110, 7.8).

use super::super::places::{Crowded, Share, Shares, application_key};
use super::{Outgoing, Proxy, Refused, fault};
use http::{Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use keyway_core::grant::GrantLocator;
use keyway_core::ids::{ApplicationId, GrantId};
use keyway_engine::refresh::check_usable;
use keyway_engine::{Engine, Error, ErrorKind, ProxyCall};
use keyway_outbound::{AnswerBody, CallBody};
use keyway_web::proxy::wants_websocket;
use secrecy::{ExposeSecret as _, SecretString};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Tunnels open at once on one thread.
const TUNNELS_MAX: usize = 1_000;

/// How often a tunnel is looked at: whether its caller's key or token, and the grant, still stand.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long nothing may move in a tunnel. WebSockets are kept alive by pings oftener than that.
const IDLE_LIMIT: Duration = Duration::from_secs(600);

/// Room for tunnels, which applications share as they share the places of calls.
pub(super) struct Tunnels {
    room: Arc<Semaphore>,
    applications: Arc<Shares>,
}

impl Default for Tunnels {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(TUNNELS_MAX)),
            applications: Arc::default(),
        }
    }
}

/// One tunnel's room; given back when dropped, on the thread that took it.
struct Room {
    _permit: OwnedSemaphorePermit,
    applications: Arc<Shares>,
    share: Share,
}

impl Tunnels {
    fn take(&self, application: ApplicationId) -> Result<Room, Crowded> {
        let free = self.room.available_permits();
        let permit = self.room.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Crowded::Tunnels)?;
        let share = self.applications.take(application_key(application), free);
        Ok(Room {
            _permit: permit,
            applications: Arc::clone(&self.applications),
            share: share.ok_or(Crowded::TunnelsOfApplication)?,
        })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.applications.give_back(self.share);
    }
}

/// The caller's side of a tunnel, and what it takes to see whether it may still be open.
pub(super) struct Ours {
    turned: OnUpgrade,
    caller: SecretString,
    grant_id: GrantId,
}

impl Ours {
    pub(super) fn new(turned: OnUpgrade, caller: &str, call: &ProxyCall) -> Self {
        Self {
            turned,
            caller: SecretString::from(caller),
            grant_id: call.grant.grant.id,
        }
    }

    /// Whether a call of the same caller for the same grant would be made now. A database that does not answer
    /// ends nothing.
    async fn is_still_allowed(&self, engine: &Engine) -> bool {
        let asked = async {
            let principal = engine.principal(self.caller.expose_secret()).await?;
            let locator = GrantLocator::Id(self.grant_id);
            let known = engine.shared_grant(&principal, locator).await?;
            check_usable(&known.grant)
        };
        match asked.await {
            Ok(()) => true,
            Err(error) => error.kind() == ErrorKind::Unavailable,
        }
    }
}

/// Whether a request asks for its connection to become a WebSocket. One with a body does not.
pub(super) fn is_wanted(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_11
        && request.body().is_end_stream()
        && wants_websocket(request.headers())
}

impl Proxy {
    /// Asks the provider to turn the connection, and joins both once it has.
    pub(super) async fn tunnel(
        &self,
        call: ProxyCall,
        mut outgoing: Outgoing,
        ours: Ours,
    ) -> Result<Response<AnswerBody>, Refused> {
        let room = self.tunnels.take(call.grant.grant.application_id)?;
        let (mut answer, mut theirs) = self.ask(&call, &mut outgoing).await?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some(call) = self.engine.call_again(&call).await?
        {
            outgoing.prove(&call)?;
            (answer, theirs) = self.ask(&call, &mut outgoing).await?;
            if answer.status() == StatusCode::UNAUTHORIZED {
                self.engine.note_refused_again(&call);
            }
        }
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            join(self.engine.clone(), ours, theirs, room);
        }
        Ok(answer)
    }

    async fn ask(
        &self,
        call: &ProxyCall,
        outgoing: &mut Outgoing,
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

/// Copies both ways until either side ends, nothing has moved for long, or the caller may not any more.
#[expect(
    clippy::disallowed_methods,
    reason = "a tunnel ends with its thread; there is nothing in it that a graceful stop could finish"
)]
fn join(engine: Engine, mut ours: Ours, theirs: OnUpgrade, room: Room) {
    drop(tokio::spawn(async move {
        let turned = futures_util::future::join(&mut ours.turned, theirs).await;
        let (Ok(near), Ok(far)) = turned else {
            return;
        };
        let moved = Arc::new(AtomicU64::new(0));
        let mut near = Counted::new(TokioIo::new(near), &moved);
        let mut far = Counted::new(TokioIo::new(far), &moved);
        // However it ends, both sides are closed.
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            () = watch(&engine, &ours, &moved) => {}
        }
        drop(room);
    }));
}

/// Ends when the tunnel has to.
async fn watch(engine: &Engine, ours: &Ours, moved: &AtomicU64) {
    let (mut seen, mut idle) = (0, Duration::ZERO);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let bytes = moved.load(Relaxed);
        idle = if bytes == seen {
            idle + LOOK_EVERY
        } else {
            Duration::ZERO
        };
        seen = bytes;
        if idle >= IDLE_LIMIT || !ours.is_still_allowed(engine).await {
            return;
        }
    }
}

/// A side of a tunnel that counts what is read from it.
struct Counted<T> {
    inner: T,
    moved: Arc<AtomicU64>,
}

impl<T> Counted<T> {
    fn new(inner: T, moved: &Arc<AtomicU64>) -> Self {
        Self {
            inner,
            moved: Arc::clone(moved),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let bytes = buf.filled().len() - before;
        this.moved
            .fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
