//! An answer's body on its way through.

use super::pool::{Pool, Sender};
use super::upload::trailing;
use super::{Origin, Upload};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use keyway_core::proxy::Direction;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tower::BoxError;

/// How long an answer that has begun may be silent. Event streams send something oftener.
const SILENCE_LIMIT: Duration = Duration::from_secs(300);
/// The largest answer, in bytes.
const ANSWER_MAX_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// The right to hand a connection back once its answer has ended.
pub(super) struct Lease {
    pool: Pool,
    origin: Arc<Origin>,
    sender: Sender,
    upload: Option<Upload>,
}

impl Lease {
    pub(super) fn new(
        pool: &Pool,
        origin: &Arc<Origin>,
        sender: Sender,
        upload: Option<Upload>,
    ) -> Self {
        Self {
            pool: pool.clone(),
            origin: Arc::clone(origin),
            sender,
            upload,
        }
    }

    fn give_back(self) {
        // An answer may come before the request has ended; such a connection is not used again.
        if self.upload.is_none_or(|upload| upload.is_over()) {
            self.pool.give_back(&self.origin, self.sender);
        }
    }
}

/// The body of an answer, passed on frame by frame.
pub struct AnswerBody {
    incoming: Incoming,
    lease: Option<Lease>,
    silence: Option<Pin<Box<Sleep>>>,
    has_moved: bool,
    left_bytes: u64,
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswerBody(..)")
    }
}

impl AnswerBody {
    pub(super) fn new(incoming: Incoming, lease: Lease) -> Self {
        let mut body = Self::on_its_own(incoming);
        body.lease = Some(lease);
        body.give_back_if_over();
        body
    }

    /// The body of an answer on a connection that nobody else will use.
    pub(super) fn on_its_own(incoming: Incoming) -> Self {
        Self {
            incoming,
            lease: None,
            silence: None,
            has_moved: false,
            left_bytes: ANSWER_MAX_BYTES,
        }
    }

    fn give_back_if_over(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }

    /// What a frame, the end or an error leaves to do.
    fn seen(
        &mut self,
        frame: Option<Result<Frame<Bytes>, hyper::Error>>,
    ) -> Option<Result<Frame<Bytes>, BoxError>> {
        self.has_moved = true;
        match frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let Some(left) = self
                    .left_bytes
                    .checked_sub(u64::try_from(bytes).unwrap_or(u64::MAX))
                else {
                    self.lease = None;
                    return Some(Err(
                        "the provider's answer is larger than is passed on".into()
                    ));
                };
                self.left_bytes = left;
                self.give_back_if_over();
                Some(Ok(trailing(frame, Direction::ToCaller)))
            }
            Some(Err(error)) => {
                self.lease = None;
                Some(Err(error.into()))
            }
            None => {
                if let Some(lease) = self.lease.take() {
                    lease.give_back();
                }
                None
            }
        }
    }

    /// Ready when nothing has come for too long. The timer is set at the first wait and looked at when it
    /// ends, so that answers at hand cost none.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(SILENCE_LIMIT)));
        ready!(silence.as_mut().poll(cx));
        if !std::mem::take(&mut self.has_moved) {
            return Poll::Ready(());
        }
        silence.as_mut().reset(Instant::now() + SILENCE_LIMIT);
        silence.as_mut().poll(cx)
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            return Poll::Ready(this.seen(frame));
        }
        ready!(this.poll_silence(cx));
        this.lease = None;
        Poll::Ready(Some(Err("the provider fell silent".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
