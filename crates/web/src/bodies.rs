//! Reading requests' bodies, within limits on each and on all together.
//!
//! Whoever is not known yet gets little: shorter bodies, and room apart from the others', so that bodies that
//! strangers begin and do not end take nothing from applications.

use crate::context::Context;
use crate::errors::Failure;
use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use keyway_engine::error::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// The longest body of a request that proves nothing before it is read, in bytes: OAuth's parameters, or what a
/// service account signs.
const STRANGERS_BODY_MAX_BYTES: usize = 64 * 1024;
/// All such bodies of requests under way together, in bytes.
const STRANGERS_ROOM_BYTES: usize = 16 * 1024 * 1024;
/// All bodies of applications' requests under way together, in bytes.
const APPLICATIONS_ROOM_BYTES: usize = 64 * 1024 * 1024;
/// What a body counts for at least, in bytes: so many can be begun at once, however little is sent of them.
const BODY_MIN_BYTES: usize = 16 * 1024;
/// How long a body may take to come to its end.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Memory for bodies, in bytes.
#[derive(Debug)]
struct Room {
    left: AtomicUsize,
}

/// A body's part of the room; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    fn of(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(bytes),
        })
    }

    fn take(&self, bytes: usize) -> Result<(), Failure> {
        let taken = self
            .left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes));
        taken.map(|_| ()).map_err(|_| {
            let message = "The server reads as many bodies as it has room for. Nothing was done; try again shortly.";
            Failure::no_room(message)
        })
    }
}

impl Held {
    fn some_of(room: &Arc<Room>) -> Result<Self, Failure> {
        room.take(BODY_MIN_BYTES)?;
        Ok(Self {
            room: Arc::clone(room),
            bytes: BODY_MIN_BYTES,
        })
    }

    fn grow_to(&mut self, bytes: usize) -> Result<(), Failure> {
        let more = bytes.saturating_sub(self.bytes);
        self.room.take(more)?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.left.fetch_add(self.bytes, Relaxed);
    }
}

/// How one kind of bodies is read.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    limit_bytes: usize,
    room: Arc<Room>,
}

/// How bodies are read.
#[derive(Clone, Debug)]
pub(crate) struct Bodies {
    /// Of requests that have proved nothing yet.
    pub(crate) strangers: Reading,
    /// Of requests with a good key.
    pub(crate) applications: Reading,
}

impl Bodies {
    /// Bodies of applications may have `limit_bytes`.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        let reading = |limit_bytes, room_bytes| Reading {
            limit_bytes,
            room: Room::of(room_bytes),
        };
        Self {
            strangers: reading(
                limit_bytes.min(STRANGERS_BODY_MAX_BYTES),
                STRANGERS_ROOM_BYTES,
            ),
            applications: reading(limit_bytes, APPLICATIONS_ROOM_BYTES),
        }
    }
}

impl Reading {
    /// A body to its end. The request's context is told, and holds the body's room as long as the request is
    /// under way.
    pub(crate) async fn whole(
        &self,
        body: Body,
        context: Option<&Context>,
    ) -> Result<Bytes, Failure> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let reading = tokio::time::timeout(BODY_PATIENCE, self.collect(body));
        let (bytes, held) = reading.await.unwrap_or_else(|_| {
            let message = "The request's body did not come to its end in time.";
            Err(Failure::with_status(
                408,
                ErrorKind::InvalidRequest,
                message,
            ))
        })?;
        if let Some(context) = context {
            context.read_the_body(held);
        }
        Ok(bytes)
    }

    async fn collect(&self, mut body: Body) -> Result<(Bytes, Held), Failure> {
        let mut held = Held::some_of(&self.room)?;
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Failure::payload("The body ended early."))?;
            let data = frame.into_data().unwrap_or_default();
            let length = bytes.len().saturating_add(data.len());
            if length > self.limit_bytes {
                return Err(Failure::with_status(
                    413,
                    ErrorKind::InvalidPayload,
                    format!("The body is longer than {} bytes.", self.limit_bytes),
                ));
            }
            held.grow_to(length)?;
            bytes.extend_from_slice(&data);
        }
        Ok((bytes.freeze(), held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Frame;
    use keyway_core::ids::RequestId;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context as TaskContext, Poll};

    /// A body that says something and then nothing.
    struct Stalls(Option<&'static [u8]>);

    impl http_body::Body for Stalls {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut TaskContext<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.take() {
                Some(said) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(said))))),
                None => Poll::Pending,
            }
        }
    }

    fn reading(limit_bytes: usize, room_bytes: usize) -> Reading {
        Reading {
            limit_bytes,
            room: Room::of(room_bytes),
        }
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_413_and_gives_its_room_back() {
        let reading = reading(10, BODY_MIN_BYTES);
        for _ in 0..3 {
            let failure = reading.whole(Body::from("eleven byte"), None).await;
            assert_eq!(failure.unwrap_err().status(), 413);
            let read = reading.whole(Body::from("ten  bytes"), None).await;
            assert_eq!(read.unwrap(), "ten  bytes");
        }
    }

    #[tokio::test]
    async fn a_request_holds_its_body_s_room_until_it_is_over() {
        let reading = reading(100_000, BODY_MIN_BYTES + 50_000);
        let context = Context::new(RequestId::from_u128(1));
        let long = || Body::from(vec![b' '; 60_000]);
        reading.whole(long(), Some(&context)).await.unwrap();
        assert!(context.has_read_the_body());
        let refused = reading.whole(long(), None).await.unwrap_err();
        assert_eq!(refused.status(), 503);
        assert!(refused.is_shed() && !refused.is_alarming());
        drop(context);
        assert!(reading.whole(long(), None).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_is_408_and_takes_room_meanwhile() {
        let reading = reading(100, 2 * BODY_MIN_BYTES);
        let begun = || Body::new(Stalls(Some(b"{")));
        let (one, two, three) = tokio::join!(
            reading.whole(begun(), None),
            reading.whole(begun(), None),
            reading.whole(begun(), None),
        );
        let statuses = [one, two, three].map(|ended| ended.unwrap_err().status().as_u16());
        assert_eq!(statuses, [408, 408, 503]);
        assert!(reading.whole(Body::from("{}"), None).await.is_ok());
    }
}
