//! Mail accounts that a password opens: IMAP, and iCloud's by an app-specific password. The account must open,
//! for reading and, where its server is known, for sending, before there is a grant.

use super::address_only;
use super::mail_failure::{Names, ServerRefusal};
use super::mail_servers::Servers;
use super::password_account::{NotOpened, PasswordAccount};
use crate::credential_data::text_member;
use crate::engine::Engine;
use crate::error::Error;
use keyway_core::account_secret::Passwords;
use keyway_core::connector::Connector;
use keyway_core::email::{EMAIL_MAX_BYTES, looks_like_email};
use keyway_core::mail_servers::{MailProtocol, account_key};
use keyway_core::sign_in::{Identity, OpenedAccount};
use keyway_outbound::MailLogin;
use secrecy::SecretString;
use serde_json::{Map, Value};

/// Longest password, in bytes.
const PASSWORD_MAX_BYTES: usize = 1024;

/// A mail account, as an application describes it.
struct Described {
    email: String,
    username: String,
    smtp_username: Option<String>,
    passwords: Passwords,
}

/// A mail account, and where it is.
struct MailAccount {
    names: Names,
    described: Described,
    servers: Servers,
}

impl Engine {
    pub(super) async fn opened_mail(
        &self,
        connector: &Connector,
        settings: &Map<String, Value>,
    ) -> Result<PasswordAccount, NotOpened> {
        let names = Names::of(connector.provider);
        let described = Described::read(names, settings)?;
        let servers = self
            .mail_servers(connector, settings, &described.email)
            .await?;
        let account = MailAccount {
            names,
            described,
            servers,
        };
        self.open_account(&account).await?;
        Ok(account.into())
    }

    /// Reading first: of a wrong password only one server hears.
    async fn open_account(&self, account: &MailAccount) -> Result<(), NotOpened> {
        for login in account.logins() {
            let protocol = login.protocol;
            let host = login.server.host.clone();
            let opened = self.inner.parts.mailboxes.log_in(login).await;
            if let Err(failure) = opened {
                tracing::warn!(host, protocol = protocol.as_str(), cause = %failure, "a mail account did not open");
                let refusal = ServerRefusal {
                    needs_app_password: account.servers.needs_app_password,
                    has_own_password: account.described.passwords.smtp.is_some(),
                    names: account.names,
                    protocol,
                    host,
                    failure,
                };
                return Err(NotOpened::Mail(Box::new(refusal)));
            }
        }
        Ok(())
    }
}

impl Described {
    /// The name at the server for sending.
    fn smtp_name(&self) -> &str {
        self.smtp_username.as_deref().unwrap_or(&self.username)
    }

    fn read(names: Names, settings: &Map<String, Value>) -> Result<Self, Error> {
        let username = required(settings, names.username())?;
        let password = required(settings, names.password())?;
        let text = |name| clean_member(settings, name);
        let has_smtp = !names.is_icloud();
        let smtp_username = text("smtp_username")?.filter(|_| has_smtp);
        let smtp_password = text("smtp_password")?.filter(|_| has_smtp);
        let secret = |text: &str| SecretString::from(text.to_owned());
        Ok(Self {
            email: email_of(names, username, settings)?,
            username: username.to_owned(),
            smtp_username: smtp_username.map(str::to_owned),
            passwords: Passwords {
                account: secret(password),
                smtp: smtp_password.map(secret),
            },
        })
    }
}

/// A member that is sent to a server: no text that could end a line there.
pub(super) fn clean_member<'a>(
    settings: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a str>, Error> {
    let Some(text) = text_member(settings, "settings", name)? else {
        return Ok(None);
    };
    let limit = match name.ends_with("password") {
        true => PASSWORD_MAX_BYTES,
        false => EMAIL_MAX_BYTES,
    };
    let path = format!("settings.{name}");
    if text.len() > limit {
        let what = format_args!("must not be longer than {limit} bytes");
        return Err(Error::field(&path, what));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::field(
            &path,
            "must not hold line breaks or other control characters",
        ));
    }
    Ok(Some(text))
}

pub(super) fn required<'a>(settings: &'a Map<String, Value>, name: &str) -> Result<&'a str, Error> {
    let found = clean_member(settings, name)?.filter(|text| !text.is_empty());
    found.ok_or_else(|| Error::field(&format!("settings.{name}"), "is required"))
}

/// The grant's address: the user's name where that is one, as it nearly always is.
fn email_of(names: Names, username: &str, settings: &Map<String, Value>) -> Result<String, Error> {
    if looks_like_email(username) {
        return Ok(username.to_owned());
    }
    let given = match names.is_icloud() {
        true => None,
        false => clean_member(settings, "email")?,
    };
    match given {
        Some(email) if looks_like_email(email) => Ok(email.to_owned()),
        Some(_) => Err(Error::field("settings.email", "is not an e-mail address")),
        None => Err(Error::field(
            &format!("settings.{}", names.username()),
            match names.is_icloud() {
                true => "is not an e-mail address",
                false => {
                    "is not an e-mail address; where the server has other names, give the address in settings.email"
                }
            },
        )),
    }
}

impl From<MailAccount> for PasswordAccount {
    fn from(account: MailAccount) -> Self {
        Self {
            identity: account.identity(),
            can_send: account.servers.smtp.is_some(),
            opened: OpenedAccount {
                settings: account.shown(),
                passwords: account.described.passwords,
            },
        }
    }
}

impl MailAccount {
    /// The application vouches for the person (rule 12); the server with the name is how it is known again.
    fn identity(&self) -> Identity {
        let key = account_key(&self.servers.imap.host, &self.described.username);
        Identity {
            key: Some(key),
            ..address_only(&self.described.email)
        }
    }

    fn logins(&self) -> Vec<MailLogin> {
        let Passwords { account, smtp } = &self.described.passwords;
        let mut logins = vec![MailLogin {
            protocol: MailProtocol::Imap,
            server: self.servers.imap.clone(),
            username: self.described.username.clone(),
            password: account.clone(),
        }];
        logins.extend(self.servers.smtp.as_ref().map(|server| MailLogin {
            protocol: MailProtocol::Smtp,
            server: server.clone(),
            username: self.described.smtp_name().to_owned(),
            password: smtp.as_ref().unwrap_or(account).clone(),
        }));
        logins
    }

    /// What the grant shows of itself: everything but the passwords.
    fn shown(&self) -> Map<String, Value> {
        let mut shown = Map::new();
        let username = self.names.username().to_owned();
        shown.insert(username, self.described.username.as_str().into());
        shown.insert(
            "imap_host".to_owned(),
            self.servers.imap.host.as_str().into(),
        );
        shown.insert("imap_port".to_owned(), self.servers.imap.port.into());
        if let Some(smtp) = &self.servers.smtp {
            shown.insert("smtp_host".to_owned(), smtp.host.as_str().into());
            shown.insert("smtp_port".to_owned(), smtp.port.into());
        }
        if let Some(username) = &self.described.smtp_username {
            shown.insert("smtp_username".to_owned(), username.as_str().into());
        }
        shown
    }
}
