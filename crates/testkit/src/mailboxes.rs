//! Mail servers that are not there: accounts by host and name, and hosts that misbehave.

use futures_util::future::BoxFuture;
use keyway_outbound::{MailFailure, MailLogin, Mailboxes, ServerWords};
use secrecy::ExposeSecret as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// One try at opening an account; the password is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSeen {
    /// `imap` or `smtp`.
    pub protocol: &'static str,
    /// The server, as `host:port`.
    pub server: String,
    /// The name.
    pub username: String,
}

type Meanwhile = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Default)]
struct Known {
    passwords: BTreeMap<(String, String), String>,
    failing: BTreeMap<String, MailFailure>,
    silent: BTreeSet<String>,
    seen: Vec<LoginSeen>,
    /// What happens while a login is under way, by its host.
    meanwhile: Option<Meanwhile>,
}

/// All mail servers of a [`crate::World`].
#[derive(Default)]
pub struct FakeMailboxes {
    known: Mutex<Known>,
    spoke: Notify,
}

impl FakeMailboxes {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on `username` opens at `host` with `password`, and with no other.
    pub fn open(&self, host: &str, username: &str, password: &str) {
        let account = (host.to_owned(), username.to_owned());
        self.known().passwords.insert(account, password.to_owned());
    }

    /// From now on every login at `host` fails so; `None` mends it.
    pub fn fail(&self, host: &str, failure: Option<MailFailure>) {
        let mut known = self.known();
        match failure {
            Some(failure) => known.failing.insert(host.to_owned(), failure),
            None => known.failing.remove(host),
        };
    }

    /// From now on logins at `host` wait until it speaks.
    pub fn silence(&self, host: &str) {
        self.known().silent.insert(host.to_owned());
    }

    /// The logins at `host` go on.
    pub fn speak(&self, host: &str) {
        self.known().silent.remove(host);
        self.spoke.notify_waiters();
    }

    /// From now on this happens during each login; it is told the host.
    pub fn meanwhile(&self, happens: impl Fn(&str) + Send + Sync + 'static) {
        self.known().meanwhile = Some(Arc::new(happens));
    }

    /// The logins so far, which are forgotten with this.
    #[must_use]
    pub fn take_seen(&self) -> Vec<LoginSeen> {
        std::mem::take(&mut self.known().seen)
    }

    fn answer(&self, login: &MailLogin) -> Result<(), MailFailure> {
        let host = &login.server.host;
        let meanwhile = self.known().meanwhile.clone();
        if let Some(happens) = meanwhile {
            happens(host);
        }
        let mut known = self.known();
        known.seen.push(LoginSeen {
            protocol: login.protocol.as_str(),
            server: format!("{host}:{}", login.server.port),
            username: login.username.clone(),
        });
        if let Some(failure) = known.failing.get(host) {
            return Err(failure.clone());
        }
        let account = (host.clone(), login.username.clone());
        match known.passwords.get(&account) {
            Some(password) if password == login.password.expose_secret() => Ok(()),
            _ => Err(MailFailure::Refused(ServerWords {
                code: Some("AUTHENTICATIONFAILED".to_owned()),
                text: "Invalid credentials".to_owned(),
            })),
        }
    }
}

impl Mailboxes for FakeMailboxes {
    fn log_in(&self, login: MailLogin) -> BoxFuture<'_, Result<(), MailFailure>> {
        Box::pin(async move {
            let answer = self.answer(&login);
            loop {
                let spoke = self.spoke.notified();
                if !self.known().silent.contains(&login.server.host) {
                    return answer;
                }
                spoke.await;
            }
        })
    }
}
