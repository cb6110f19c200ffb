//! Being asked to stop.

use std::future::Future;
use tokio::signal::unix::{SignalKind, signal};

/// Lets a file that may not grow be an error of writing, which is answered, and not the end of the process.
///
/// # Errors
/// If the system refuses.
pub(crate) fn outlive_file_size_limit() -> std::io::Result<()> {
    // SIGXFSZ. The handler stays when the receiver goes.
    signal(SignalKind::from_raw(25)).map(drop)
}

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
