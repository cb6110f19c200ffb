//! The other end of a connection, as all its requests know it.

use super::lane::Lane;
use super::places::Count;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Who is at the other end of a connection. Every request under way holds one.
pub(super) struct Peer {
    /// What serves it: its thread's own.
    pub(super) lane: Arc<Lane>,
    /// Its address.
    pub(super) address: SocketAddr,
    /// Its requests under way.
    requests: Count,
    since: Instant,
    has_asked: AtomicBool,
    has_asked_lately: AtomicBool,
    leave: CancellationToken,
}

impl Peer {
    pub(super) fn new(lane: Arc<Lane>, address: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            lane,
            address,
            requests: Count::default(),
            since: Instant::now(),
            has_asked: AtomicBool::new(false),
            has_asked_lately: AtomicBool::new(false),
            leave: CancellationToken::new(),
        })
    }

    /// Notes that a request has come.
    pub(super) fn request_came(&self) {
        self.requests.up();
        self.has_asked.store(true, Relaxed);
        self.has_asked_lately.store(true, Relaxed);
    }

    /// Notes that a request's answer has been written or given up.
    pub(super) fn request_ended(&self) {
        self.requests.down();
    }

    /// Whether no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.get() == 0
    }

    /// When it was accepted.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Whether any request has come yet.
    pub(super) fn has_asked(&self) -> bool {
        self.has_asked.load(Relaxed)
    }

    /// Whether a request has come since this was asked last.
    pub(super) fn take_asked_lately(&self) -> bool {
        self.has_asked_lately.swap(false, Relaxed)
    }

    /// Asks its connection to end.
    pub(super) fn send_away(&self) {
        self.leave.cancel();
    }

    /// Whether its connection was asked to end.
    pub(super) fn is_leaving(&self) -> bool {
        self.leave.is_cancelled()
    }

    /// Ready after `limit`, unless a request has come by then.
    pub(super) async fn never_asks(&self, limit: Duration) {
        let mut over = pin!(tokio::time::sleep(limit));
        poll_fn(|cx| match self.has_asked() {
            // The timer costs nothing from then on.
            true => Poll::Pending,
            false => over.as_mut().poll(cx),
        })
        .await;
    }

    /// Ready once its connection is to end.
    pub(super) async fn sent_away(&self) {
        self.leave.cancelled().await;
    }
}
