//! A master key that a command prints, such as that of a password manager or a cloud's secret store.

use crate::failure::Failure;
use anyhow::Context as _;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use zeroize::Zeroizing;

/// How long the command may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// What `command` prints, run by the shell. Its own messages go to standard error.
///
/// # Errors
/// If it cannot be run, does not end in time or fails. Nothing of what it printed is told.
pub(super) async fn run(command: &str) -> anyhow::Result<Zeroizing<String>> {
    let failed = |how: &str| {
        Failure::new(format!("the command for the master key {how}: {command}")).next(
            "It has to print base64 of 32 bytes and to end with status 0. Its messages are above.",
        )
    };
    let mut process = Command::new("/bin/sh");
    process.arg("-c").arg(command).stdin(Stdio::null());
    process.stdout(Stdio::piped()).kill_on_drop(true);
    let child = process.spawn().with_context(|| failed("cannot be run"))?;
    let ended = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    let output = ended
        .map_err(|_| failed("did not end within 30 seconds"))?
        .with_context(|| failed("cannot be run"))?;
    let printed = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return Err(failed("failed").into());
    }
    let text = std::str::from_utf8(&printed).map_err(|_| failed("printed no text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}
