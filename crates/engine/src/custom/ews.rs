//! Mailboxes of Exchange servers that a password opens (EWS). The mailbox must open before there is a grant.

use super::ews_failure::EwsNotOpened;
use super::ews_login::EwsLogin;
use super::mailbox::{clean_member, required};
use super::{CustomAuthentication, address_only};
use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::Error;
use crate::grants::Labels;
use crate::transfer::Authentication;
use keyway_core::account_secret::Passwords;
use keyway_core::connector::Connector;
use keyway_core::email::looks_like_email;
use keyway_core::ews::unknown_scope;
use keyway_core::grant::Grant;
use keyway_core::mail_servers::{MailServer, account_key};
use keyway_core::provider::Provider;
use keyway_core::scope::Scopes;
use keyway_core::sign_in::Identity;
use secrecy::SecretString;
use serde_json::{Map, Value};

/// A mailbox that has opened, and where it is.
pub(crate) struct EwsAccount {
    email: String,
    username: String,
    server: MailServer,
    passwords: Passwords,
}

impl Engine {
    /// Makes or renews the grant of an Exchange mailbox.
    pub(super) async fn ews_account(
        &self,
        caller: &Caller,
        request: CustomAuthentication,
    ) -> Result<Grant, Error> {
        let connector = self.connector_for(caller, Provider::Ews).await?;
        let scope = match &request.scope {
            Some(scope) => scope,
            None => &connector.scope,
        };
        check_ews_scope(scope)?;
        let account = self.opened_ews(&connector, &request.settings).await?;
        let identity = account.identity();
        let facts = self.custom_facts(caller, &connector, &request, identity, scope.clone());
        let (shown, passwords) = (account.shown(), account.passwords());
        self.keep_account(facts, shown, passwords, Labels::default())
            .await
    }

    /// Changes what opens an Exchange mailbox. The password must come along, whatever changes: a stored one is shown
    /// to no server but the one it was given for.
    pub(crate) async fn replace_ews_password(
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
        let account = self.opened_ews(&connector, &all).await?;
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

    /// Reads what is said of a mailbox, finds its server, and opens it there.
    ///
    /// # Errors
    /// If a setting is wrong, no server is found, or the mailbox does not open; the words name the setting.
    pub(crate) async fn opened_ews(
        &self,
        connector: &Connector,
        settings: &Map<String, Value>,
    ) -> Result<EwsAccount, EwsNotOpened> {
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
            return Err(EwsNotOpened::server(server, failure));
        }
        Ok(EwsAccount {
            email,
            username: login.username,
            server,
            passwords: Passwords {
                account: login.password,
                smtp: None,
            },
        })
    }
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

impl EwsAccount {
    /// The application vouches for the person (rule 12); the server with the name is how it is known again.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            key: Some(account_key(&self.server.host, &self.username)),
            ..address_only(&self.email)
        }
    }

    /// What opens the mailbox.
    pub(crate) const fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// What the grant shows of itself: everything but the password.
    pub(crate) fn shown(&self) -> Map<String, Value> {
        let MailServer { host, port } = &self.server;
        Map::from_iter([
            ("ews_username".to_owned(), self.username.as_str().into()),
            ("ews_host".to_owned(), host.as_str().into()),
            ("ews_port".to_owned(), (*port).into()),
        ])
    }
}
