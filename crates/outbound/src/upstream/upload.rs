//! A request's body on its way through, of which a little is kept so that the request can be made again.

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use keyway_core::proxy::{Direction, crosses};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tower::BoxError;

/// How much of a body is kept to send it again, in bytes.
const KEPT_MAX_BYTES: usize = 64 * 1024;
/// The largest body that is passed on, in bytes.
const UPLOAD_MAX_BYTES: u64 = 16 * 1024 * 1024 * 1024;

struct Source {
    incoming: Incoming,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    bytes: u64,
    /// More has gone by than is kept.
    is_past: bool,
    is_over: bool,
    is_too_large: bool,
    /// The provider wants more and the caller has not sent it.
    is_waiting: bool,
    /// The caller has sent nothing for too long.
    is_stalled: bool,
    /// Which sending of it is the present one.
    turn: u32,
}

/// A caller's body, sent once or, as long as it is small, again.
#[derive(Clone)]
pub struct Upload(Arc<Mutex<Source>>);

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upload(..)")
    }
}

impl Upload {
    /// What a caller sends.
    #[must_use]
    pub fn new(incoming: Incoming) -> Self {
        let source = Source {
            incoming,
            kept: Vec::new(),
            kept_bytes: 0,
            bytes: 0,
            is_past: false,
            is_over: false,
            is_too_large: false,
            is_waiting: false,
            is_stalled: false,
            turn: 0,
        };
        Self(Arc::new(Mutex::new(source)))
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body from its beginning, or `None` if too much of it has gone by. A body given earlier ends.
    #[must_use]
    pub fn body(&self) -> Option<CallBody> {
        let mut source = self.source();
        if source.is_past {
            return None;
        }
        source.turn += 1;
        Some(CallBody(Some(Turn {
            upload: self.clone(),
            turn: source.turn,
            next: 0,
        })))
    }

    /// Whether the body can be sent again.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !self.source().is_past
    }

    /// How much has come from the caller so far, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.source().bytes
    }

    pub(super) fn is_over(&self) -> bool {
        let source = self.source();
        source.is_over || source.incoming.is_end_stream()
    }

    /// Nothing has moved for too long: the caller's doing, if it is the caller that is waited for.
    pub(super) fn stall_if_waiting(&self) {
        let mut source = self.source();
        source.is_stalled = source.is_waiting;
    }

    /// Whether the caller began a body and did not go on with it.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.source().is_stalled
    }

    /// Whether the caller sent more than is passed on.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.source().is_too_large
    }
}

/// A frame as it crosses: trailers lose what no header of that name may carry across.
pub(super) fn trailing(frame: Frame<Bytes>, direction: Direction) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            let stays = |name: &&HeaderName| !crosses(direction, name.as_str());
            let behind: Vec<_> = trailers.keys().filter(stays).cloned().collect();
            for name in behind {
                trailers.remove(name);
            }
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

impl Source {
    /// The next frame from the caller, noted.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        self.is_waiting = polled.is_pending();
        let frame = match ready!(polled) {
            Some(Ok(frame)) => trailing(frame, Direction::ToProvider),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => {
                self.is_over = true;
                return Poll::Ready(None);
            }
        };
        match frame.data_ref() {
            Some(data) => self.note(data.clone()),
            // Trailers are not kept.
            None => self.is_past = true,
        }
        if self.bytes > UPLOAD_MAX_BYTES {
            self.is_too_large = true;
            return Poll::Ready(Some(Err("the request is larger than is passed on".into())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn note(&mut self, data: Bytes) {
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        self.kept_bytes = self.kept_bytes.saturating_add(data.len());
        if self.is_past || self.kept_bytes > KEPT_MAX_BYTES {
            self.is_past = true;
            self.kept = Vec::new();
        } else {
            self.kept.push(data);
        }
    }
}

/// One sending of a body.
struct Turn {
    upload: Upload,
    turn: u32,
    /// The next kept piece to send.
    next: usize,
}

/// The body of a call: nothing, or what a caller sends.
pub struct CallBody(Option<Turn>);

impl fmt::Debug for CallBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallBody(..)")
    }
}

impl CallBody {
    /// No body.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    pub(super) fn upload(&self) -> Option<Upload> {
        self.0.as_ref().map(|turn| turn.upload.clone())
    }
}

impl Body for CallBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(turn) = &mut self.get_mut().0 else {
            return Poll::Ready(None);
        };
        let mut source = turn.upload.source();
        if source.turn != turn.turn {
            return Poll::Ready(Some(Err("the request is being made again".into())));
        }
        if !source.is_past
            && let Some(piece) = source.kept.get(turn.next)
        {
            turn.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        turn.next += 1;
        source.poll_next(cx)
    }

    fn is_end_stream(&self) -> bool {
        let Some(turn) = &self.0 else {
            return true;
        };
        let source = turn.upload.source();
        (source.is_past || turn.next >= source.kept.len()) && source.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let Some(turn) = &self.0 else {
            return SizeHint::with_exact(0);
        };
        let source = turn.upload.source();
        let unsent = source
            .kept
            .iter()
            .skip(turn.next)
            .map(Bytes::len)
            .sum::<usize>();
        let unsent = u64::try_from(unsent).unwrap_or(u64::MAX);
        let coming = source.incoming.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(coming.lower().saturating_add(unsent));
        if let Some(upper) = coming.upper() {
            hint.set_upper(upper.saturating_add(unsent));
        }
        hint
    }
}
