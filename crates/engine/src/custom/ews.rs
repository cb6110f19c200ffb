//! Mailboxes of Exchange servers that a password opens (EWS). The mailbox must open before there is a grant.

use super::address_only;
use super::ews_failure::EwsRefusal;
use super::ews_login::EwsLogin;
use super::mailbox::{clean_member, required};
use super::password_account::{NotOpened, PasswordAccount};
use crate::engine::Engine;
use crate::error::Error;
use keyway_core::account_secret::Passwords;
use keyway_core::connector::Connector;
use keyway_core::email::looks_like_email;
use keyway_core::ews::unknown_scope;
use keyway_core::mail_servers::{MailServer, account_key};
use keyway_core::scope::Scopes;
use keyway_core::sign_in::{Identity, OpenedAccount};
use secrecy::SecretString;
use serde_json::{Map, Value};

impl Engine {
    pub(super) async fn opened_exchange(
        &self,
        connector: &Connector,
        settings: &Map<String, Value>,
    ) -> Result<PasswordAccount, NotOpened> {
        let username = username_of(settings)?;
        let password = SecretString::from(required(settings, "ews_password")?.to_owned());
        let email = email_of(username, settings)?;
        let login = EwsLogin {
            username: username.to_owned(),
            password,
        };
        let server = self.ews_server(connector, settings, &email, &login).await?;
        if let Err(failure) = self.open_inbox(&server, &login).await {
            tracing::warn!(host = server.host, cause = %failure, "an Exchange mailbox did not open");
            return Err(EwsRefusal::not_opened(server, failure));
        }
        // The server with the name is how the mailbox is known again (rule 12).
        let key = account_key(&server.host, &login.username);
        Ok(PasswordAccount {
            identity: Identity {
                key: Some(key),
                ..address_only(&email)
            },
            opened: OpenedAccount {
                settings: shown(&server, &login.username),
                passwords: Passwords {
                    account: login.password,
                    smtp: None,
                },
            },
            // The same service sends.
            can_send: true,
        })
    }
}

/// What a grant shows of its mailbox: everything but the password.
fn shown(server: &MailServer, username: &str) -> Map<String, Value> {
    Map::from_iter([
        ("ews_username".to_owned(), username.into()),
        ("ews_host".to_owned(), server.host.as_str().into()),
        ("ews_port".to_owned(), server.port.into()),
    ])
}

/// # Errors
/// If Exchange mailboxes have no such scope.
pub(crate) fn check_ews_scope(scope: &Scopes) -> Result<(), Error> {
    match unknown_scope(scope) {
        None => Ok(()),
        Some(_) => Err(Error::field(
            "scope",
            "must be of ews.messages, ews.calendars (or ews.calendar) and ews.contacts",
        )),
    }
}

/// `DOMAIN\user`, an address, or what else the server calls its users.
fn username_of(settings: &Map<String, Value>) -> Result<&str, Error> {
    let username = required(settings, "ews_username")?;
    match username.contains(':') {
        // Basic authentication ends the name there (RFC 7617).
        true => Err(Error::field(
            "settings.ews_username",
            "must not hold a colon",
        )),
        false => Ok(username),
    }
}

/// The grant's address: the one given, else the user's name, which may be another's in the directory.
fn email_of(username: &str, settings: &Map<String, Value>) -> Result<String, Error> {
    let given = clean_member(settings, "email")?.filter(|text| !text.is_empty());
    match given {
        Some(email) if looks_like_email(email) => Ok(email.to_owned()),
        Some(_) => Err(Error::field("settings.email", "is not an e-mail address")),
        None if looks_like_email(username) => Ok(username.to_owned()),
        None => Err(Error::field(
            "settings.email",
            "is required where settings.ews_username is not an e-mail address",
        )),
    }
}
