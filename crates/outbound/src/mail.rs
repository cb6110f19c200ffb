//! Logging in to mail servers: whether a password opens an account, and nothing else.
//!
//! The connection is made under the same policy as every other, to the very address that was checked, and is
//! encrypted before anything is said. A password never leaves in clear.

mod connect;
mod dialog;
mod imap;
pub mod imap_answer;
mod smtp;
pub mod smtp_answer;

use crate::address::NetworkPolicy;
use crate::error::{CallError, CallErrorKind};
use crate::transport::{Roots, SetupError};
use connect::Line;
use dialog::Dialog;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keyway_core::mail_servers::{MailProtocol, MailServer};
use secrecy::SecretString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

/// How long a whole login may take, with connecting.
const LOGIN_LIMIT: Duration = Duration::from_secs(30);

/// One account to be opened.
#[derive(Clone, Debug)]
pub struct MailLogin {
    /// How.
    pub protocol: MailProtocol,
    /// Where.
    pub server: MailServer,
    /// The user's name there.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// Why an account did not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailFailure {
    /// The server refused name or password.
    #[error("the mail server refused the login: {0}")]
    Refused(ServerWords),
    /// The server answers, and cannot say now whether the password is good.
    #[error("the mail server cannot let anybody in now: {0}")]
    NotNow(ServerWords),
    /// The server would have the password in clear, or takes none.
    #[error("the mail server offers no way in: {0}")]
    NoWay(NoWay),
    /// The port is none of those mail servers have.
    #[error("port {0} is not one of the mail server's")]
    Port(u16),
    /// The server was not reached, or what it said was no mail server's.
    #[error(transparent)]
    Unreachable(CallError),
}

/// What a mail server offers no way for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWay {
    /// It does not go over to TLS.
    #[error("it does not go over to TLS (STARTTLS)")]
    Encryption,
    /// It takes no passwords.
    #[error("it takes no passwords")]
    Password,
}

/// What a mail server said, in its own words: not to be trusted, and not to be shown unclean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerWords {
    /// Its word for it: `AUTHENTICATIONFAILED`, `535 5.7.8`.
    pub code: Option<String>,
    /// The text.
    pub text: String,
}

impl fmt::Display for ServerWords {
    /// The code alone: the text is anybody's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_deref().unwrap_or("no code"))
    }
}

/// A way to open mail accounts.
pub trait Mailboxes: Send + Sync {
    /// Opens an account and leaves it again.
    fn log_in(&self, login: MailLogin) -> BoxFuture<'_, Result<(), MailFailure>>;
}

/// Opens accounts over the network. Every login runs as a task of the one runtime given at the start.
#[derive(Clone)]
pub struct MailClient {
    line: Arc<Line>,
    runtime: Handle,
}

impl fmt::Debug for MailClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailClient(..)")
    }
}

impl MailClient {
    /// A client under `policy` that works on `runtime`, which must have I/O and time enabled, and trusts
    /// `roots`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(policy: NetworkPolicy, runtime: Handle, roots: Roots) -> Result<Self, SetupError> {
        Ok(Self {
            line: Arc::new(Line::new(policy, roots.tls_config()?)),
            runtime,
        })
    }
}

impl Mailboxes for MailClient {
    fn log_in(&self, login: MailLogin) -> BoxFuture<'_, Result<(), MailFailure>> {
        let host = login.server.host.clone();
        let line = Arc::clone(&self.line);
        // Whoever asks no longer wants no socket held for it.
        let task = AbortOnDropHandle::new(self.runtime.spawn(within_limit(line, login)));
        async move {
            let stopped = |_| CallError::new(CallErrorKind::Stopped, host);
            task.await
                .map_err(stopped)
                .map_err(MailFailure::Unreachable)?
        }
        .boxed()
    }
}

async fn within_limit(line: Arc<Line>, login: MailLogin) -> Result<(), MailFailure> {
    let host = login.server.host.clone();
    tokio::time::timeout(LOGIN_LIMIT, log_in(&line, login))
        .await
        .unwrap_or_else(|_| Err(CallError::timeout(&host, LOGIN_LIMIT).into()))
}

async fn log_in(line: &Line, login: MailLogin) -> Result<(), MailFailure> {
    let MailLogin {
        protocol, server, ..
    } = &login;
    line.check_port(*protocol, server)?;
    let plain = line.connect(server).await?;
    let is_clear = server.port == protocol.starttls_port();
    let encrypted = if is_clear {
        let mut dialog = Dialog::new(plain, &server.host);
        match protocol {
            MailProtocol::Imap => imap::ask_for_tls(&mut dialog).await?,
            MailProtocol::Smtp => smtp::ask_for_tls(&mut dialog).await?,
        }
        line.encrypt(dialog.into_stream()?, server).await?
    } else {
        line.encrypt(plain, server).await?
    };
    let mut dialog = Dialog::new(encrypted, &server.host);
    match protocol {
        MailProtocol::Imap => imap::log_in(&mut dialog, &login, is_clear).await,
        MailProtocol::Smtp => smtp::log_in(&mut dialog, &login, is_clear).await,
    }
}

impl From<CallError> for MailFailure {
    fn from(error: CallError) -> Self {
        Self::Unreachable(error)
    }
}
