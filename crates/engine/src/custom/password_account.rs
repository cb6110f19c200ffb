//! Accounts that a password opens, at whatever kind of server: opened, kept and changed in one way.

use super::CustomAuthentication;
use super::ews::check_ews_scope;
use super::ews_failure::{EwsFailure, EwsRefusal, ews_error};
use super::mail_failure::{ServerRefusal, mail_error};
use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::grants::Labels;
use crate::transfer::{Authentication, Opener};
use keyway_core::connector::Connector;
use keyway_core::grant::Grant;
use keyway_core::provider::Provider;
use keyway_core::scope::Scopes;
use keyway_core::sign_in::{Identity, OpenedAccount};
use keyway_outbound::{CallError, CallErrorKind, MailFailure};
use serde_json::{Map, Value};

/// An account that has opened.
pub(crate) struct PasswordAccount {
    /// Whose it is, as far as its server tells.
    pub(crate) identity: Identity,
    /// What opened it, and what its grant shows of it.
    pub(crate) opened: OpenedAccount,
    /// Whether it can send mail.
    pub(crate) can_send: bool,
}

/// Why an account did not open.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// Something about the description is wrong, or it could not be tried.
    Described(Error),
    /// A mail server did not open it.
    Mail(Box<ServerRefusal>),
    /// An Exchange server did not.
    Exchange(Box<EwsRefusal>),
}

impl NotOpened {
    /// The same without the difference between names that lead nowhere and names that lead to hosts this server does not
    /// call: whoever is not the application learns nothing of the names of a private network.
    pub(crate) fn told_to_strangers(mut self) -> Self {
        let call = match &mut self {
            Self::Mail(refusal) => match &mut refusal.failure {
                MailFailure::Unreachable(call) => call,
                _ => return self,
            },
            Self::Exchange(refusal) => match &mut refusal.failure {
                EwsFailure::Unreachable(call) => call,
                _ => return self,
            },
            Self::Described(_) => return self,
        };
        if call.kind == CallErrorKind::AddressRefused {
            tracing::info!(
                host = call.host,
                "a form named a host that may not be called"
            );
            *call = CallError::new(CallErrorKind::Dns, call.host.clone());
        }
        self
    }

    /// Whether a server has heard of it.
    pub(crate) const fn is_heard_of(&self) -> bool {
        !matches!(self, Self::Described(_))
    }
}

impl From<Error> for NotOpened {
    fn from(error: Error) -> Self {
        Self::Described(error)
    }
}

impl From<NotOpened> for Error {
    fn from(not_opened: NotOpened) -> Self {
        match not_opened {
            NotOpened::Described(error) => error,
            NotOpened::Mail(refusal) => mail_error(*refusal),
            NotOpened::Exchange(refusal) => ews_error(*refusal),
        }
    }
}

impl Engine {
    /// Reads what is said of an account, finds its servers, and opens it there.
    ///
    /// # Errors
    /// If as many of the application's accounts are tried as may be at once, a setting is wrong, no server is found, or the account does not open.
    pub(crate) async fn opened_account(
        &self,
        connector: &Connector,
        settings: &Map<String, Value>,
    ) -> Result<PasswordAccount, NotOpened> {
        let _place = self
            .inner
            .trials
            .begin(connector.application_id)
            .ok_or_else(too_many_at_once)?;
        match connector.provider {
            Provider::Ews => self.opened_exchange(connector, settings).await,
            _ => self.opened_mail(connector, settings).await,
        }
    }

    /// Makes or renews the grant of an account.
    pub(super) async fn password_account(
        &self,
        caller: &Caller,
        provider: Provider,
        request: CustomAuthentication,
    ) -> Result<Grant, Error> {
        let connector = self.connector_for(caller, provider).await?;
        let scope = scope_of(&connector, request.scope.as_ref())?;
        let account = self.opened_account(&connector, &request.settings).await?;
        let facts = self.custom_facts(caller, &connector, &request, account.identity, scope);
        let labels = Labels::default();
        self.keep_account(facts, account.opened, labels).await
    }

    /// Changes what opens an account. The password must come along, whatever changes: a stored one is shown to no
    /// server but the one it was given for.
    pub(crate) async fn replace_password(
        &self,
        caller: &Caller,
        grant: Grant,
        settings: Map<String, Value>,
        labels: Labels,
    ) -> Result<Grant, Error> {
        let connector = self.connector_for(caller, grant.provider).await?;
        let all = self.described_anew(&grant, settings).await?;
        let account = self.opened_account(&connector, &all).await?;
        let request = CustomAuthentication {
            state: grant.state.clone(),
            ..CustomAuthentication::default()
        };
        let (identity, scope) = (account.identity, grant.scope.clone());
        let facts = Authentication {
            expected: Some(grant.id),
            ip: grant.ip,
            user_agent: grant.user_agent,
            ..self.custom_facts(caller, &connector, &request, identity, scope)
        };
        self.keep_account(facts, account.opened, labels).await
    }

    async fn keep_account(
        &self,
        facts: Authentication,
        account: OpenedAccount,
        labels: Labels,
    ) -> Result<Grant, Error> {
        let facts = Authentication {
            settings: Some(account.settings),
            ..facts
        };
        let secret = self.new_account_secret(
            facts.application_id,
            facts.new_grant_id,
            facts.provider,
            &account.passwords,
        );
        let opener = Opener::Passwords(Box::new(secret));
        self.kept(facts, opener, labels).await
    }
}

/// After how many seconds an account may be tried that found no place.
const BUSY_WAIT_SECS: u32 = 5;

fn too_many_at_once() -> Error {
    let message = "As many accounts are being tried as may be at once.";
    Error::new(ErrorKind::RateLimited, message).retry_after(BUSY_WAIT_SECS)
}

/// The scopes of a new grant. Mail accounts have none but what the application notes; Exchange mailboxes have their
/// own.
fn scope_of(connector: &Connector, asked: Option<&Scopes>) -> Result<Scopes, Error> {
    if connector.provider != Provider::Ews {
        return Ok(asked.cloned().unwrap_or_default());
    }
    let scope = asked.unwrap_or(&connector.scope);
    check_ews_scope(scope)?;
    Ok(scope.clone())
}
