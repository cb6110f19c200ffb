//! Mail accounts that a password opens: IMAP, and iCloud's by an app-specific password. The account must open,
//! for reading and, where its server is known, for sending, before there is a grant.

use super::mail_failure::{Names, NotOpened, ServerRefusal};
use super::mail_servers::Servers;
use super::{CustomAuthentication, TRIES, address_only};
use crate::caller::Caller;
use crate::credential_data::text_member;
use crate::engine::Engine;
use crate::error::Error;
use crate::grants::Labels;
use crate::transfer::{Authentication, Opener, lost_a_race};
use keyway_core::account_secret::Passwords;
use keyway_core::connector::Connector;
use keyway_core::email::{EMAIL_MAX_BYTES, looks_like_email};
use keyway_core::grant::Grant;
use keyway_core::mail_servers::{MailProtocol, account_key};
use keyway_core::provider::Provider;
use keyway_core::sign_in::Identity;
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

/// A mail account that has opened, and where it is.
pub(crate) struct MailAccount {
    names: Names,
    described: Described,
    servers: Servers,
}

impl Engine {
    /// Makes or renews the grant of a mail account.
    pub(super) async fn mail_account(
        &self,
        caller: &Caller,
        provider: Provider,
        request: CustomAuthentication,
    ) -> Result<Grant, Error> {
        let connector = self.connector_for(caller, provider).await?;
        let account = self.opened_account(&connector, &request.settings).await?;
        let scope = request.scope.clone().unwrap_or_default();
        let identity = account.identity();
        let facts = self.custom_facts(caller, &connector, &request, identity, scope);
        let (shown, passwords) = (account.shown(), account.passwords());
        let labels = Labels::default();
        self.keep_account(facts, shown, passwords, labels).await
    }

    /// Changes what opens a mail account. The password must come along, whatever changes: a stored one is
    /// shown to no server but the one it was given for.
    pub(crate) async fn replace_password(
        &self,
        caller: &Caller,
        grant: Grant,
        settings: Map<String, Value>,
        labels: Labels,
    ) -> Result<Grant, Error> {
        let connector = self.connector_for(caller, grant.provider).await?;
        let mut all = grant.settings.clone();
        all.insert("email".to_owned(), grant.email.as_str().into());
        all.extend(settings);
        let account = self.opened_account(&connector, &all).await?;
        let request = CustomAuthentication {
            state: grant.state.clone(),
            ..CustomAuthentication::default()
        };
        let (identity, scope) = (account.identity(), grant.scope.clone());
        let facts = Authentication {
            expected: Some(grant.id),
            ip: grant.ip,
            user_agent: grant.user_agent,
            ..self.custom_facts(caller, &connector, &request, identity, scope)
        };
        let (shown, passwords) = (account.shown(), account.passwords());
        self.keep_account(facts, shown, passwords, labels).await
    }

    /// Reads a description, finds the servers, and opens the account there.
    pub(crate) async fn opened_account(
        &self,
        connector: &Connector,
        settings: &Map<String, Value>,
    ) -> Result<MailAccount, NotOpened> {
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
        Ok(account)
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
                return Err(NotOpened::Server(Box::new(refusal)));
            }
        }
        Ok(())
    }

    /// Makes or renews the grant of an account that has opened: what it shows of itself, and what opens it.
    pub(super) async fn keep_account(
        &self,
        facts: Authentication,
        shown: Map<String, Value>,
        passwords: &Passwords,
        labels: Labels,
    ) -> Result<Grant, Error> {
        let facts = Authentication {
            settings: Some(shown),
            ..facts
        };
        let secret = self.new_account_secret(
            facts.application_id,
            facts.new_grant_id,
            facts.provider,
            passwords,
        );
        let opener = Opener::Passwords(Box::new(secret));
        for _ in 1..TRIES {
            let kept = self.commit_transfer(facts.clone(), opener.clone(), labels.clone());
            match kept.await {
                Err(error) if lost_a_race(&error) => {}
                other => return other,
            }
        }
        self.commit_transfer(facts, opener, labels).await
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

impl MailAccount {
    /// The application vouches for the person (rule 12); the server with the name is how it is known again.
    pub(crate) fn identity(&self) -> Identity {
        let key = account_key(&self.servers.imap.host, &self.described.username);
        Identity {
            key: Some(key),
            ..address_only(&self.described.email)
        }
    }

    /// What opened it.
    pub(crate) fn passwords(&self) -> &Passwords {
        &self.described.passwords
    }

    /// Whether its server for sending is known, and has opened too.
    pub(crate) const fn can_send(&self) -> bool {
        self.servers.smtp.is_some()
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
    pub(crate) fn shown(&self) -> Map<String, Value> {
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
