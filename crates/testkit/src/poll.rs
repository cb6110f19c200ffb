//! Waiting for background work.

use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(5);
const ROUNDS: u32 = 2000;

/// Asks again and again until `done` says yes.
///
/// # Panics
/// If it does not within some seconds; `what` says of what.
pub async fn eventually(what: &str, done: impl AsyncFn() -> bool) {
    for _ in 0..ROUNDS {
        if done().await {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("it never came to pass that {what}");
}
