//! The body of an answer, wherever it comes from.

use super::places::Place;
use super::streams::noted;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use keyway_outbound::AnswerBody;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::BoxError;

/// What is written to a connection. The request's place is taken until it has been.
pub(super) struct ServedBody {
    what: Words,
    _place: Place,
}

/// Whose words they are.
pub(super) enum Words {
    /// Keyway's own words.
    Own(axum::body::Body),
    /// A provider's, passed on.
    Provider(AnswerBody),
}

impl From<axum::body::Body> for Words {
    fn from(body: axum::body::Body) -> Self {
        Self::Own(body)
    }
}

impl ServedBody {
    pub(super) fn new(what: Words, place: Place) -> Self {
        Self {
            what,
            _place: place,
        }
    }
}

impl Body for ServedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        noted(match &mut self.get_mut().what {
            Words::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(BoxError::from))),
            Words::Provider(body) => Pin::new(body).poll_frame(cx),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.what {
            Words::Own(body) => body.is_end_stream(),
            Words::Provider(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.what {
            Words::Own(body) => body.size_hint(),
            Words::Provider(body) => body.size_hint(),
        }
    }
}
