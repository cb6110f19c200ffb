//! Being asked to stop.

use std::future::Future;
use tokio::signal::unix::{SignalKind, signal};

/// Ready when the process is asked to stop, by SIGTERM or Ctrl-C. From now on neither ends it at once.
///
/// # Errors
/// If the system refuses to tell.
pub(crate) fn stop() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
