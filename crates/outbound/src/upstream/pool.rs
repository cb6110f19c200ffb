//! Connections that wait for their next call.

use super::{CallBody, Origin};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Shorter than the minute after which most servers close idle connections.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// Connections one thread keeps for one host.
const KEPT_MAX: usize = 128;

/// Calls at once on one HTTP/2 connection; more go over another.
pub(super) const STREAMS_MAX: u32 = 64;

/// A connection's sending half.
pub(super) enum Sender {
    H1(http1::SendRequest<CallBody>),
    H2(Shared),
}

/// One call's share of an HTTP/2 connection.
#[derive(Clone)]
pub(super) struct Shared {
    sender: http2::SendRequest<CallBody>,
    /// As many hold it as there are calls, and the pool.
    calls: Arc<()>,
}

impl Shared {
    fn has_room(&self) -> bool {
        let calls = Arc::strong_count(&self.calls) - 1;
        u32::try_from(calls).is_ok_and(|calls| calls < STREAMS_MAX)
    }
}

impl Sender {
    pub(super) fn is_http2(&self) -> bool {
        matches!(self, Self::H2(_))
    }

    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::H1(sender) => sender.is_ready(),
            Self::H2(shared) => shared.sender.is_ready(),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::H1(sender) => sender.is_closed(),
            Self::H2(shared) => shared.sender.is_closed(),
        }
    }

    pub(super) async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Self::H1(sender) => sender.ready().await,
            Self::H2(shared) => shared.sender.ready().await,
        }
    }

    pub(super) async fn try_send(
        &mut self,
        request: Request<CallBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<CallBody>>> {
        match self {
            Self::H1(sender) => sender.try_send_request(request).await,
            Self::H2(shared) => shared.sender.try_send_request(request).await,
        }
    }
}

struct Kept {
    sender: http1::SendRequest<CallBody>,
    since: Instant,
}

/// One host's connections: HTTP/1.1 ones one call at a time, last back first out; of HTTP/2 as few as hold
/// all calls.
#[derive(Default)]
struct Host {
    kept: Vec<Kept>,
    shared: Vec<Shared>,
}

/// All of one thread's. The lock is never waited for: its thread is the only one to take it.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<HashMap<usize, Host>>>);

/// Origins are made once and live as long as the server: their address tells them apart.
fn key(origin: &Arc<Origin>) -> usize {
    Arc::as_ptr(origin).addr()
}

impl Pool {
    fn hosts(&self) -> MutexGuard<'_, HashMap<usize, Host>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that was open a moment ago.
    pub(super) fn take(&self, origin: &Arc<Origin>) -> Option<Sender> {
        let mut hosts = self.hosts();
        let host = hosts.get_mut(&key(origin))?;
        host.shared.retain(|shared| !shared.sender.is_closed());
        if let Some(shared) = host.shared.iter().find(|shared| shared.has_room()) {
            return Some(Sender::H2(shared.clone()));
        }
        while let Some(kept) = host.kept.pop() {
            if kept.since.elapsed() > KEPT_FOR {
                // Those beneath have waited longer.
                host.kept.clear();
                return None;
            }
            if !kept.sender.is_closed() {
                return Some(Sender::H1(kept.sender));
            }
        }
        None
    }

    /// Keeps a connection whose answer has ended.
    pub(super) fn give_back(&self, origin: &Arc<Origin>, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let Sender::H1(sender) = sender else {
            return;
        };
        let now = Instant::now();
        let mut hosts = self.hosts();
        let host = hosts.entry(key(origin)).or_default();
        if let Some(oldest) = host.kept.first()
            && now.duration_since(oldest.since) > KEPT_FOR
        {
            host.kept
                .retain(|kept| now.duration_since(kept.since) <= KEPT_FOR);
        }
        if host.kept.len() < KEPT_MAX {
            host.kept.push(Kept { sender, since: now });
        }
    }

    /// Lets later calls use this connection beside the first.
    pub(super) fn share(
        &self,
        origin: &Arc<Origin>,
        sender: http2::SendRequest<CallBody>,
    ) -> Shared {
        let shared = Shared {
            sender,
            calls: Arc::default(),
        };
        let mut hosts = self.hosts();
        let host = hosts.entry(key(origin)).or_default();
        host.shared.push(shared.clone());
        shared
    }
}
