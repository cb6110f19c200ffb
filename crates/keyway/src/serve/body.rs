//! The body of an answer, wherever it comes from.

use super::places::Place;
use super::streams::{noted, noted_unplaced};
use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use keyway_outbound::AnswerBody;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower::BoxError;

/// The longest piece of an answer, in bytes: over HTTP/2 what a caller that stops reading leaves unsent; over HTTP/1.1 the
/// connection takes no more of them than its buffer holds.
const PIECE_MAX_BYTES: usize = 16 * 1024;
/// The longest answer in Keyway's own words that waits for its caller without a place, in bytes.
const UNPLACED_MAX_BYTES: u64 = 16 * 1024;

/// What is written to a connection. The request's place is taken until it has been, save for short answers
/// over HTTP/2, which cost little while they wait: strangers may ask for as many as they like.
pub(super) struct ServedBody {
    what: Words,
    /// Over HTTP/2, and for long answers of Keyway's own: a connection takes a piece whole, however long it is.
    pieces: Option<Box<Pieces>>,
    place: Place,
}

/// What has come of a body and is yet to be handed on, piece by piece.
#[derive(Default)]
struct Pieces {
    rest: Bytes,
}

impl Pieces {
    /// The next piece of what is left. The last byte is one of its own, and a copy: nothing else may be kept
    /// for its sake.
    fn cut(&mut self) -> Bytes {
        match self.rest.len() {
            0 | 1 => Bytes::copy_from_slice(&std::mem::take(&mut self.rest)),
            length => self.rest.split_to(PIECE_MAX_BYTES.min(length - 1)),
        }
    }

    fn poll(&mut self, what: &mut Words, cx: &mut Context<'_>) -> Poll<Framed> {
        if self.rest.is_empty() {
            let frame = match ready!(what.poll(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(self.cut()))))
    }
}

/// What a body says.
type Framed = Option<Result<Frame<Bytes>, BoxError>>;

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

impl Words {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Framed> {
        match self {
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

    /// Whether they are there at once and more than a piece.
    fn are_long(&self) -> bool {
        matches!(self, Self::Own(_)) && !self.are_few()
    }

    /// Whether they may wait for their caller without a place.
    fn are_few(&self) -> bool {
        let length = match self {
            Self::Own(body) => body.size_hint().exact(),
            Self::Provider(_) => None,
        };
        length.is_some_and(|length| length <= UNPLACED_MAX_BYTES)
    }
}

impl ServedBody {
    /// The body of an answer to a request that came over this version of HTTP.
    pub(super) fn new(what: Words, mut place: Place, version: Version) -> Self {
        let is_multiplexed = version == Version::HTTP_2;
        let in_pieces = is_multiplexed || what.are_long();
        if is_multiplexed && what.are_few() {
            place.give_back();
        }
        Self {
            what,
            pieces: in_pieces.then(Box::default),
            place,
        }
    }
}

impl Body for ServedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Framed> {
        let this = self.get_mut();
        let Some(pieces) = &mut this.pieces else {
            return noted(this.what.poll(cx));
        };
        let polled = noted(pieces.poll(&mut this.what, cx));
        if !this.place.is_held() {
            noted_unplaced();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.what.is_end_stream()
            && self
                .pieces
                .as_ref()
                .is_none_or(|pieces| pieces.rest.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        // Asked for before the first piece only.
        self.what.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};
    use http_body_util::{BodyExt as _, StreamBody};
    use std::convert::Infallible;

    /// The lengths of the pieces that these frames are handed on in, and whether each is said to be the last.
    fn pieces(mut what: Words) -> Vec<(usize, bool)> {
        let mut pieces = Pieces::default();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut lengths = Vec::new();
        while let Poll::Ready(Some(frame)) = pieces.poll(&mut what, &mut cx) {
            let is_last = pieces.rest.is_empty() && what.is_end_stream();
            let data = frame.unwrap().into_data();
            lengths.push((data.map_or(0, |data| data.len()), is_last));
        }
        lengths
    }

    #[test]
    fn the_last_byte_of_an_answer_is_a_piece_of_its_own() {
        let own = |length| Words::Own(vec![b'x'; length].into());
        assert_eq!(pieces(own(0)), []);
        assert_eq!(pieces(own(1)), [(1, true)]);
        assert_eq!(pieces(own(3)), [(2, false), (1, true)]);
        let long = [(PIECE_MAX_BYTES, false), (4, false), (1, true)];
        assert_eq!(pieces(own(PIECE_MAX_BYTES + 5)), long);
    }

    #[test]
    fn long_answers_of_our_own_are_cut_over_any_version() {
        let own = |length| Words::Own(vec![b'x'; length].into());
        let limit = usize::try_from(UNPLACED_MAX_BYTES).unwrap();
        assert!(!own(limit).are_long() && own(limit + 1).are_long());
    }

    #[test]
    fn trailers_come_after_all_pieces() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        let frames = [
            Frame::data(Bytes::from_static(b"one")),
            Frame::data(Bytes::from_static(b"two")),
            Frame::trailers(trailers),
        ];
        let frames = futures_util::stream::iter(frames.map(Ok::<_, Infallible>));
        let what = Words::Own(axum::body::Body::new(
            StreamBody::new(frames).boxed_unsync(),
        ));
        let lengths = pieces(what).into_iter().map(|(length, _)| length);
        assert_eq!(lengths.collect::<Vec<_>>(), [2, 1, 2, 1, 0]);
    }
}
