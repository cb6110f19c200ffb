//! The body of an answer, wherever it comes from.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use keyway_outbound::AnswerBody;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::BoxError;

/// What is written to a connection.
pub(super) enum ServedBody {
    /// Keyway's own words.
    Own(axum::body::Body),
    /// A provider's, passed on.
    Provider(AnswerBody),
}

impl From<axum::body::Body> for ServedBody {
    fn from(body: axum::body::Body) -> Self {
        Self::Own(body)
    }
}

impl Body for ServedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(BoxError::from))),
            Self::Provider(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Provider(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Provider(body) => body.size_hint(),
        }
    }
}
