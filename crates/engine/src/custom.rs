//! Custom authentication: an application hands over a refresh token it obtained itself, names a user for whom
//! a credential of its acts, or gives the password of a mail account.

mod calendar;
pub(crate) mod ews;
pub(crate) mod ews_failure;
mod ews_login;
mod ews_servers;
mod kept_settings;
pub(crate) mod mail_failure;
mod mail_servers;
mod mail_services;
mod mailbox;
pub(crate) mod password_account;
mod proof;
mod trials;
mod verify;

pub(crate) use self::ews::check_ews_scope;
pub(crate) use self::ews_failure::EwsFailure;
pub(crate) use self::ews_login::{EwsLogin, where_to as ews_where_to};
pub(crate) use self::ews_servers::check_ews_settings;
use self::proof::Proof;
use self::verify::Verified;
use crate::applications::changed_meanwhile;
use crate::caller::Caller;
use crate::credential_data::text_member;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::grants::{Labels, check_external_id, store_changed};
use crate::sign_in::{Browser, Issued};
use crate::tenant_json::check_member;
use crate::transfer::{
    Authentication, Opener, grant_change, granted_scopes, lost_a_race, transfer,
};
use keyway_core::change::Action;
use keyway_core::connector::Connector;
use keyway_core::credential::{Credential, CredentialType};
use keyway_core::grant::Grant;
use keyway_core::ids::{CredentialId, GrantId, TokenSetId};
use keyway_core::oauth::Client;
use keyway_core::provider::Provider;
use keyway_core::reauth::Voucher;
use keyway_core::scope::Scopes;
use keyway_core::sign_in::Identity;
use keyway_core::token_set::{TokenSet, TokenSetState};
use keyway_store::Session;
use serde_json::{Map, Value};
use std::time::Duration;
pub(crate) use trials::Trials;

/// Longest `state`, in characters.
const STATE_MAX_CHARS: usize = 256;
/// Two authentications of one new user at once: the loser tries again and finds the winner's grant.
const TRIES: usize = 3;
/// Tries at storing a token the provider has replaced.
const STORE_TRIES: usize = 12;
/// Pause after the first of them; doubles.
const STORE_PAUSE: Duration = Duration::from_millis(50);
/// The longest of those pauses.
const STORE_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What an application must know when its token was used up and nothing came of it.
const REPLACED: &str = "The provider has replaced the refresh token, so the one that was sent may be good for nothing now, and sending it again will not help; have the user sign in again, or send a newer one.";
/// Which call it was that failed for the moment.
const WHOSE: &str = "It took the refresh token, and then did not tell whose it is (userinfo or its published keys).";

/// The body of `POST /v3/connect/custom`.
#[derive(Clone, Default)]
pub struct CustomAuthentication {
    /// The provider; required.
    pub provider: Option<Provider>,
    /// What the provider's kind asks for.
    pub settings: Map<String, Value>,
    /// Scopes to show on the grant when the provider does not say which it granted.
    pub scope: Option<Scopes>,
    /// The application's own state.
    pub state: Option<String>,
    /// The credential, where it stands at top level.
    pub credential_id: Option<CredentialId>,
    /// The application's own id for the grant.
    pub external_id: Option<String>,
    /// A display name.
    pub name: Option<String>,
}

impl std::fmt::Debug for CustomAuthentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustomAuthentication")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

/// A refresh token to be taken over, checked as far as it can be without the provider.
struct Brought {
    caller: Caller,
    connector: Connector,
    credential: Credential,
    proof: Proof,
    request: CustomAuthentication,
    expected: Option<GrantId>,
    /// The browser that last signed in, where it is kept: an application that only hands over another
    /// refresh token was no browser.
    browser: Browser,
    /// What the same request writes on the grant.
    labels: Labels,
}

impl Brought {
    /// The scopes the grant has if the provider does not say.
    fn asked_scope(&self) -> &Scopes {
        match &self.proof {
            Proof::Address(member) => &member.scope,
            Proof::RefreshToken(_) => {
                let named = self.request.scope.as_ref();
                named.unwrap_or(&self.connector.scope)
            }
        }
    }
}

impl Engine {
    /// Makes or renews a grant from what the application brings.
    ///
    /// # Errors
    /// If a member is wrong, or the provider refuses; then nothing is changed.
    pub async fn custom_authentication(
        &self,
        caller: &Caller,
        request: CustomAuthentication,
    ) -> Result<Grant, Error> {
        check_members(&request)?;
        let provider = request.provider.ok_or_else(|| {
            Error::new(ErrorKind::ProviderRequired, "Provider field is required.")
        })?;
        match provider {
            Provider::VirtualCalendar => self.virtual_calendar(caller, request).await,
            Provider::Imap | Provider::Icloud | Provider::Ews => {
                self.password_account(caller, provider, request).await
            }
            _ => {
                let brought = self.brought(caller, provider, request).await?;
                // A rotated refresh token must not be lost with the client's connection.
                let engine = self.clone();
                self.finishing(async move { engine.take_over(brought).await })
                    .await?
            }
        }
    }

    async fn brought(
        &self,
        caller: &Caller,
        provider: Provider,
        request: CustomAuthentication,
    ) -> Result<Brought, Error> {
        let connector = self.connector_for(caller, provider).await?;
        let named = named_credential(&request)?;
        let credential = self.custom_credential(caller, &connector, named).await?;
        let proof = proof::read(&request, &connector, &credential)?;
        let caller = *caller;
        Ok(Brought {
            caller,
            connector,
            credential,
            proof,
            request,
            expected: None,
            browser: Browser::default(),
            labels: Labels::default(),
        })
    }

    async fn custom_credential(
        &self,
        caller: &Caller,
        connector: &Connector,
        named: Option<CredentialId>,
    ) -> Result<Credential, Error> {
        let name = "settings.credential_id";
        let id = named.or(connector.active_credential_id).ok_or_else(|| {
            Error::field(name, "is required: the connector has no default credential")
        })?;
        let found = self.live_credential(caller, id).await?;
        let found = found.filter(|c| c.connector_id == connector.id);
        found.ok_or_else(|| {
            Error::field(
                name,
                format_args!(
                    "the {} connector has no credential with this id",
                    connector.provider
                ),
            )
        })
    }

    /// The application's connector, whose absence is the fault of `provider` in the body.
    async fn connector_for(&self, caller: &Caller, provider: Provider) -> Result<Connector, Error> {
        let found = self.connector(caller, provider).await;
        found.map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::field("provider", error.message()),
            _ => error,
        })
    }

    /// What changes a grant: a refresh token; or, where its credential acts for the user by itself, what it
    /// asks for, the address being known.
    async fn completed(
        &self,
        caller: &Caller,
        grant: &Grant,
        mut settings: Map<String, Value>,
    ) -> Result<Map<String, Value>, Error> {
        if settings.contains_key("refresh_token") {
            return Ok(settings);
        }
        let credential = match grant.credential_id {
            Some(id) => self.live_credential(caller, id).await?,
            None => None,
        };
        if credential.is_none_or(|c| c.credential_type == CredentialType::Connector) {
            return Err(Error::field(
                "settings.refresh_token",
                "is required to change an OAuth grant",
            ));
        }
        let address = || grant.email.as_str().into();
        settings.entry("email_address").or_insert_with(address);
        Ok(settings)
    }

    /// Replaces an OAuth grant's refresh token by one the application brings, after the provider
    /// accepted it through the grant's own credential, and writes `labels` on the grant in the same
    /// transaction.
    pub(crate) async fn replace_token(
        &self,
        caller: &Caller,
        grant: Grant,
        settings: Map<String, Value>,
        labels: Labels,
    ) -> Result<Grant, Error> {
        let settings = self.completed(caller, &grant, settings).await?;
        let request = CustomAuthentication {
            provider: Some(grant.provider),
            settings,
            scope: Some(grant.scope.clone()),
            state: grant.state.clone(),
            credential_id: grant.credential_id,
            external_id: None,
            name: None,
        };
        let mut brought = self.brought(caller, grant.provider, request).await?;
        brought.expected = Some(grant.id);
        brought.labels = labels;
        brought.browser = Browser {
            ip: grant.ip,
            user_agent: grant.user_agent,
        };
        let engine = self.clone();
        self.finishing(async move { engine.take_over(brought).await })
            .await?
    }

    async fn take_over(&self, brought: Brought) -> Result<Grant, Error> {
        let verified = self.verify(&brought).await?;
        let taken = match self.identify(&brought, &verified).await {
            Ok(identity) => self.keep_brought(&brought, &verified, &identity).await,
            Err(error) => Err(error),
        };
        taken.map_err(|error| {
            if !verified.is_replaced {
                return error;
            }
            tracing::warn!(credential_id = %brought.credential.id, %error, "a refresh token the provider has replaced could not be taken over; the new one is lost");
            error.adding(REPLACED)
        })
    }

    /// Stores what was brought; tenaciously where the provider has replaced it, for then this is the
    /// only copy.
    async fn keep_brought(
        &self,
        brought: &Brought,
        verified: &Verified,
        identity: &Identity,
    ) -> Result<Grant, Error> {
        let tries = match verified.is_replaced {
            true => STORE_TRIES,
            false => TRIES,
        };
        // Every try stores the same row: one whose outcome nobody heard may have stored it.
        let (auth, set) = self.brought_set(brought, verified, identity)?;
        let commit = || {
            let opener = Opener::Tokens(Box::new(set.clone()));
            self.commit_transfer(auth.clone(), opener, brought.labels.clone())
        };
        let mut pause = STORE_PAUSE;
        for _ in 1..tries {
            match commit().await {
                Err(error) if lost_a_race(&error) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(STORE_PAUSE_MAX);
                }
                other => return other,
            }
        }
        commit().await
    }

    /// What is to be stored.
    fn brought_set(
        &self,
        brought: &Brought,
        verified: &Verified,
        identity: &Identity,
    ) -> Result<(Authentication, TokenSet), Error> {
        let entry = self.entry(brought.connector.provider)?;
        let Verified { client, tokens, .. } = verified;
        let asked = brought.asked_scope();
        let scope = granted_scopes(entry, asked, tokens);
        let acts_for = verify::acts_for(brought, verified, identity);
        let issued = Issued {
            credential: &brought.credential,
            client,
            tokens,
            identity,
            acts_for: acts_for.as_ref(),
        };
        let id = TokenSetId::generate(self.now(), self.entropy());
        let set = self.new_token_set(&issued, scope.clone(), TokenSetState::Current, id);
        let auth = Authentication {
            credential_id: Some(brought.credential.id),
            client_id: issued_to(&brought.credential, client),
            expected: brought.expected,
            ip: brought.browser.ip.clone(),
            user_agent: brought.browser.user_agent.clone(),
            ..self.custom_facts(
                &brought.caller,
                &brought.connector,
                &brought.request,
                identity.clone(),
                scope,
            )
        };
        Ok((auth, set))
    }

    /// Stores what costs nothing to store again: once more after a lost race.
    async fn kept(
        &self,
        auth: Authentication,
        opener: Opener,
        labels: Labels,
    ) -> Result<Grant, Error> {
        for _ in 1..TRIES {
            let kept = self.commit_transfer(auth.clone(), opener.clone(), labels.clone());
            match kept.await {
                Err(error) if lost_a_race(&error) => {}
                other => return other,
            }
        }
        self.commit_transfer(auth, opener, labels).await
    }

    async fn commit_transfer(
        &self,
        auth: Authentication,
        opener: Opener,
        labels: Labels,
    ) -> Result<Grant, Error> {
        let (actor, now) = (auth.actor.clone(), auth.now);
        self.commit(move |s| {
            Box::pin(async move {
                if let Some(grant) = stored_before(s, &auth, &opener).await? {
                    return Ok((grant, Vec::new()));
                }
                let mut done = transfer(s, auth, opener).await?;
                if !labels.is_empty() {
                    labels.write_on(&mut done.grant);
                    store_changed(s, &mut done.grant).await?;
                    let change = grant_change(&done.grant, Action::Updated, &actor, now);
                    done.changes.push(change);
                }
                Ok((done.grant, done.changes))
            })
        })
        .await
    }

    fn custom_facts(
        &self,
        caller: &Caller,
        connector: &Connector,
        request: &CustomAuthentication,
        identity: Identity,
        scope: Scopes,
    ) -> Authentication {
        let now = self.now();
        Authentication {
            application_id: caller.application_id,
            provider: connector.provider,
            connector_id: connector.id,
            credential_id: None,
            client_id: None,
            identity,
            scope,
            state: request.state.clone(),
            ip: None,
            user_agent: None,
            external_id: request.external_id.clone(),
            name: request.name.clone(),
            settings: None,
            idle_days: self.idle_days(connector.provider),
            expected: None,
            voucher: Voucher::Application,
            new_grant_id: GrantId::generate(now, self.entropy()),
            now,
            actor: caller.actor(),
        }
    }
}

/// The client that must still be the credential's when its tokens are stored. A borrower's is the one that was used.
fn issued_to(credential: &Credential, used: &Client) -> Option<String> {
    match credential.borrows_from {
        Some(_) => Some(used.client_id.clone()),
        None => credential.client_id.clone(),
    }
}

/// The grant, if an earlier try whose outcome nobody heard has stored these very tokens. They may have been
/// refreshed since: storing them once more would put used-up ones in the place of good ones (rule 5).
async fn stored_before(
    s: &mut Session<'_>,
    auth: &Authentication,
    opener: &Opener,
) -> Result<Option<Grant>, Error> {
    let Opener::Tokens(set) = opener else {
        return Ok(None);
    };
    let Some(stored) = s.token_set(auth.application_id, set.id).await? else {
        return Ok(None);
    };
    // Cut off from its grant, if the application has deleted that in the meantime.
    let grant_id = stored.grant_id.ok_or_else(changed_meanwhile)?;
    Ok(s.grant(auth.application_id, grant_id).await?)
}

/// A person of whom nothing is known but the address.
fn address_only(email: &str) -> Identity {
    Identity {
        key: None,
        provider_user_id: None,
        email: email.to_owned(),
        email_verified: None,
        name: None,
        given_name: None,
        family_name: None,
        picture: None,
    }
}

fn check_members(request: &CustomAuthentication) -> Result<(), Error> {
    check_member("settings", &request.settings)?;
    if let Some(id) = &request.external_id {
        check_external_id(id)?;
    }
    if request
        .state
        .as_ref()
        .is_some_and(|s| s.chars().count() > STATE_MAX_CHARS)
    {
        return Err(Error::field(
            "state",
            "must not be longer than 256 characters",
        ));
    }
    if request.name.as_ref().is_some_and(|name| name.len() > 500) {
        return Err(Error::field("name", "must not be longer than 500 bytes"));
    }
    Ok(())
}

/// `credential_id` stands in `settings`, or, from Java, at top level; not in both with different values.
fn named_credential(request: &CustomAuthentication) -> Result<Option<CredentialId>, Error> {
    let name = "settings.credential_id";
    let inner = match text_member(&request.settings, "settings", "credential_id")? {
        Some(text) => Some(
            text.parse()
                .map_err(|_| Error::field(name, "is not a UUID"))?,
        ),
        None => None,
    };
    match (inner, request.credential_id) {
        (Some(one), Some(other)) if one != other => Err(Error::field(
            "credential_id",
            "differs from settings.credential_id",
        )),
        (inner, outer) => Ok(inner.or(outer)),
    }
}
