//! HTTP/2 callers that do not read: their connection goes on, the answer nobody takes is given up.
//!
//! The protocol lets a caller close its window for one answer and keep the connection busy with others, where
//! writing never waits; so it is each answer that is looked at. It is known to wait for its caller when it
//! comes to a halt and neither its handler nor its body has just said that they have nothing yet.
//!
//! h2 keeps what is handed to it until the window lets it out, and nobody looks at an answer that has been
//! handed over whole. So its body comes in pieces, the last of them a single byte: that one is asked for only
//! once the window covers all before it, and handed over only once it is covered as well.

use hyper::rt::Executor;
use std::cell::Cell;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Answers of one thread that may wait for their callers without a place. One more is given up at once:
/// whoever reads makes none wait, so that only those are hit who do not, and those whose window is full just now.
const UNPLACED_MAX: usize = 1_000;

/// What handler or body said when they were asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    HereItIs,
    /// The same, of an answer that holds no place any more.
    HereItIsUnplaced,
    NotYet,
}

thread_local! {
    static SAID: Cell<Said> = const { Cell::new(Said::Nothing) };
}

/// Notes what a handler or a body has just said.
pub(super) fn noted<T>(polled: Poll<T>) -> Poll<T> {
    SAID.set(match polled {
        Poll::Ready(_) => Said::HereItIs,
        Poll::Pending => Said::NotYet,
    });
    polled
}

/// Notes that what was said just now belongs to an answer without a place.
pub(super) fn noted_unplaced() {
    if SAID.get() == Said::HereItIs {
        SAID.set(Said::HereItIsUnplaced);
    }
}

/// Runs the answers of HTTP/2 connections on the runtime of their thread.
#[derive(Clone)]
pub(super) struct Streams {
    limit: Duration,
    unplaced: Arc<Semaphore>,
    on_end: Arc<dyn Fn() + Send + Sync>,
}

/// An answer's wait for its caller.
struct Waiting {
    until: Pin<Box<Sleep>>,
    _unplaced: Option<OwnedSemaphorePermit>,
}

impl Streams {
    /// Gives answers up that nobody takes for `limit`, and calls `on_end` for each.
    pub(super) fn new(limit: Duration, on_end: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            limit,
            unplaced: Arc::new(Semaphore::new(UNPLACED_MAX)),
            on_end: Arc::new(on_end),
        }
    }

    /// A wait that begins now, if there is room for one more.
    fn wait(&self, has_place: bool) -> Option<Waiting> {
        let unplaced = match has_place {
            true => None,
            false => Some(self.unplaced.clone().try_acquire_owned().ok()?),
        };
        Some(Waiting {
            until: Box::pin(tokio::time::sleep(self.limit)),
            _unplaced: unplaced,
        })
    }

    /// Drives an answer to its end, or until nobody takes it for too long.
    async fn was_taken(&self, stream: impl Future<Output = ()>) -> bool {
        let mut stream = pin!(stream);
        let mut waiting: Option<Waiting> = None;
        std::future::poll_fn(move |cx: &mut Context<'_>| {
            SAID.set(Said::Nothing);
            if stream.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            let said = SAID.get();
            // What it waited for before is over, whatever comes now.
            if said != Said::Nothing {
                waiting = None;
            }
            // Something was taken, and the next piece waits.
            if matches!(said, Said::HereItIs | Said::HereItIsUnplaced) {
                waiting = self.wait(said == Said::HereItIs);
                if waiting.is_none() {
                    return Poll::Ready(false);
                }
            }
            let is_over = waiting
                .as_mut()
                .is_some_and(|waiting| waiting.until.as_mut().poll(cx).is_ready());
            match is_over {
                true => Poll::Ready(false),
                false => Poll::Pending,
            }
        })
        .await
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    #[expect(
        clippy::disallowed_methods,
        reason = "an answer lives as long as its connection, which is waited for"
    )]
    fn execute(&self, stream: F) {
        let streams = self.clone();
        drop(tokio::spawn(async move {
            if !streams.was_taken(stream).await {
                (streams.on_end)();
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, poll_fn};

    const LIMIT: Duration = Duration::from_secs(60);

    /// A body that has something, or that has nothing for ever.
    async fn says(is_ready: bool) {
        let said = || match is_ready {
            true => Poll::Ready(()),
            false => Poll::Pending,
        };
        poll_fn(|_| noted(said())).await;
    }

    fn streams() -> Streams {
        Streams::new(LIMIT, || {})
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_nobody_takes_is_given_up_and_one_that_is_slow_to_come_is_not() {
        let blocked = async {
            says(true).await;
            pending::<()>().await;
        };
        assert!(!streams().was_taken(blocked).await);
        let streams = streams();
        let slow = tokio::time::timeout(LIMIT * 10, streams.was_taken(says(false)));
        assert!(slow.await.is_err(), "it waits for us, not for the caller");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_taken_piece_by_piece_is_finished() {
        let slowly = async {
            for _ in 0..10 {
                says(true).await;
                tokio::time::sleep(LIMIT - Duration::from_secs(1)).await;
            }
        };
        assert!(streams().was_taken(slowly).await);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_without_a_place_wait_in_limited_numbers() {
        let streams = streams();
        let unread = || async {
            says(true).await;
            noted_unplaced();
            pending::<()>().await;
        };
        let all = (0..UNPLACED_MAX).map(|_| streams.was_taken(unread()));
        let all = futures_util::future::join_all(all);
        let more = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let more = tokio::time::timeout(Duration::ZERO, streams.was_taken(unread()));
            assert_eq!(more.await, Ok(false), "it is given up at once");
            let placed = async {
                says(true).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            };
            assert!(streams.was_taken(placed).await);
        };
        let (taken, ()) = tokio::join!(all, more);
        assert!(!taken.contains(&true));
        let read = async { says(true).await };
        assert!(streams.was_taken(read).await);
        assert_eq!(streams.unplaced.available_permits(), UNPLACED_MAX);
    }
}
