//! What is said on a line to a mail server, both ways, and how much of it.

use super::MailFailure;
use crate::error::{CallError, CallErrorKind};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// All that a server may say until it lets somebody in, in bytes: greeting and capabilities have about 1,000.
const ANSWERS_MAX_BYTES: usize = 32 * 1024;
/// What is read at once, in bytes.
const PIECE_BYTES: usize = 2048;

/// A line with what has been read from it and not been understood yet.
pub(super) struct Dialog<S> {
    stream: S,
    host: String,
    heard: Vec<u8>,
    heard_bytes: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialog<S> {
    pub(super) fn new(stream: S, host: &str) -> Self {
        Self {
            stream,
            host: host.to_owned(),
            heard: Vec::new(),
            heard_bytes: 0,
        }
    }

    /// What has been heard and not been understood yet.
    pub(super) fn heard(&self) -> &[u8] {
        &self.heard
    }

    /// Drops what has been understood.
    pub(super) fn understood(&mut self, bytes: usize) {
        self.heard.drain(..bytes.min(self.heard.len()));
    }

    /// Hears at least one more line's end.
    pub(super) async fn listen(&mut self) -> Result<(), MailFailure> {
        let mut piece = [0; PIECE_BYTES];
        loop {
            let read = self.stream.read(&mut piece).await;
            let read = read.map_err(|error| self.broken(&error))?;
            let heard = piece.get(..read).unwrap_or_default();
            if heard.is_empty() {
                return Err(self.nonsense("it hung up"));
            }
            self.heard.extend_from_slice(heard);
            self.heard_bytes += read;
            if self.heard_bytes > ANSWERS_MAX_BYTES {
                let error = CallError::new(CallErrorKind::TooLarge, &self.host);
                return Err(error.into());
            }
            if heard.contains(&b'\n') {
                return Ok(());
            }
        }
    }

    pub(super) async fn say(&mut self, bytes: &[u8]) -> Result<(), MailFailure> {
        let said = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        said.await.map_err(|error| self.broken(&error))
    }

    /// The line alone, for going over to TLS. Whatever was said beyond the last answer was said in clear and by
    /// anybody: it must not be taken for the server's word afterwards.
    pub(super) fn into_stream(self) -> Result<S, MailFailure> {
        if self.heard.is_empty() {
            Ok(self.stream)
        } else {
            Err(self.nonsense("something was said in clear after TLS was agreed on"))
        }
    }

    /// What was heard is no mail server's.
    pub(super) fn nonsense(&self, why: &str) -> MailFailure {
        let error = CallError::new(CallErrorKind::Protocol, &self.host);
        error.with_detail(why.to_owned()).into()
    }

    fn broken(&self, error: &io::Error) -> MailFailure {
        self.nonsense(&error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{NoWay, imap, smtp};
    use tokio::runtime::Handle;

    /// A line to a server that has said all it will ever say.
    async fn after(said: &str) -> Dialog<tokio::io::DuplexStream> {
        let (near, mut far) = tokio::io::duplex(4096);
        far.write_all(said.as_bytes()).await.unwrap();
        // What is said to it is heard by nobody, and does not break the line.
        Handle::current().spawn(async move {
            let mut heard = [0; 256];
            while far.read(&mut heard).await.is_ok_and(|read| read > 0) {}
        });
        Dialog::new(near, "h")
    }

    #[tokio::test]
    async fn what_is_said_in_clear_behind_the_leave_to_encrypt_is_not_believed() {
        let imap = "* OK ready\r\nk1 OK go on\r\n";
        for (behind, is_fine) in [("", true), ("k3 OK you are in\r\n", false), ("x", false)] {
            let mut dialog = after(&format!("{imap}{behind}")).await;
            imap::ask_for_tls(&mut dialog).await.unwrap();
            assert_eq!(dialog.into_stream().is_ok(), is_fine, "{behind:?}");
        }
        let smtp = "220 ready\r\n250-h\r\n250 STARTTLS\r\n220 go on\r\n";
        for (behind, is_fine) in [("", true), ("235 you are in\r\n", false)] {
            let mut dialog = after(&format!("{smtp}{behind}")).await;
            smtp::ask_for_tls(&mut dialog).await.unwrap();
            assert_eq!(dialog.into_stream().is_ok(), is_fine, "{behind:?}");
        }
    }

    #[tokio::test]
    async fn a_greeting_of_brackets_is_a_greeting_of_no_server() {
        let deep = "(".repeat(3000);
        for said in [
            format!("* 1 FETCH (BODYSTRUCTURE {deep}\r\n"),
            format!("* OK {{9}}\r\n{deep}"),
        ] {
            let asked = imap::ask_for_tls(&mut after(&said).await).await;
            let Err(MailFailure::Unreachable(told)) = asked else {
                panic!("{asked:?}")
            };
            assert_eq!(told.kind, CallErrorKind::Protocol);
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_encrypt_is_told_nothing_more() {
        let refused = MailFailure::NoWay(NoWay::Encryption);
        let mut dialog = after("* OK ready\r\nk1 BAD what?\r\n").await;
        let asked = imap::ask_for_tls(&mut dialog).await;
        assert_eq!(asked, Err(refused.clone()));
        let mut dialog = after("220 ready\r\n250 h\r\n502 what?\r\n").await;
        assert_eq!(smtp::ask_for_tls(&mut dialog).await, Err(refused));
    }
}
