//! HTTP/2 callers that do not read: their connection goes on, the answer nobody takes is given up.
//!
//! The protocol lets a caller close its window for one answer and keep the connection busy with others, where
//! writing never waits; so it is each answer that is looked at. It is known to wait for its caller when it
//! comes to a halt and neither its handler nor its body has just said that they have nothing yet.

use hyper::rt::Executor;
use std::cell::Cell;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// What handler or body said when they were asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    HereItIs,
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

/// Runs the answers of HTTP/2 connections on the runtime of their thread.
#[derive(Clone)]
pub(super) struct Streams {
    limit: Duration,
    on_end: Arc<dyn Fn() + Send + Sync>,
}

impl Streams {
    /// Gives answers up that nobody takes for `limit`, and calls `on_end` for each.
    pub(super) fn new(limit: Duration, on_end: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            limit,
            on_end: Arc::new(on_end),
        }
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
        let (limit, on_end) = (self.limit, self.on_end.clone());
        drop(tokio::spawn(async move {
            if !was_taken(stream, limit).await {
                on_end();
            }
        }));
    }
}

/// Drives an answer to its end, or until nobody takes it for `limit`.
async fn was_taken(stream: impl Future<Output = ()>, limit: Duration) -> bool {
    let mut stream = pin!(stream);
    let mut waiting: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(move |cx: &mut Context<'_>| {
        SAID.set(Said::Nothing);
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        match SAID.get() {
            Said::NotYet => waiting = None,
            // Something was taken, and the next piece waits.
            Said::HereItIs => waiting = Some(Box::pin(tokio::time::sleep(limit))),
            Said::Nothing => {}
        }
        let is_over = waiting
            .as_mut()
            .is_some_and(|waiting| waiting.as_mut().poll(cx).is_ready());
        match is_over {
            true => Poll::Ready(false),
            false => Poll::Pending,
        }
    })
    .await
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

    #[tokio::test(start_paused = true)]
    async fn an_answer_nobody_takes_is_given_up_and_one_that_is_slow_to_come_is_not() {
        let blocked = async {
            says(true).await;
            pending::<()>().await;
        };
        assert!(!was_taken(blocked, LIMIT).await);
        let slow = tokio::time::timeout(LIMIT * 10, was_taken(says(false), LIMIT));
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
        assert!(was_taken(slowly, LIMIT).await);
    }
}
