//! Giving a token set to a grant: the one transaction in which a grant is made, re-authenticated or
//! moved to another credential (rules 4 and 12).

use crate::borrowing::held_client;
use crate::engine::ChangeOf;
use crate::error::{Error, ErrorKind};
use crate::refresh::jitter_of;
use keyway_core::account_secret::AccountSecret;
use keyway_core::catalogue::ProviderEntry;
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::email::email_key;
use keyway_core::grant::{Grant, GrantStatus};
use keyway_core::ids::{ApplicationId, CredentialId, GrantId};
use keyway_core::login_check::next_check_at;
use keyway_core::oauth::TokenResponse;
use keyway_core::provider::Provider;
use keyway_core::reauth::{Candidates, Decision, Voucher, decide};
use keyway_core::refresh::keep_alive_at;
use keyway_core::scope::Scopes;
use keyway_core::sign_in::Identity;
use keyway_core::time::UnixMillis;
use keyway_core::token_set::{RefreshState, TokenSet, TokenSetState};
use keyway_store::{Constraint, Session, StoreError};
use serde_json::{Map, Value, json};

/// Everything one authentication brings to a grant.
#[derive(Clone)]
pub(crate) struct Authentication {
    pub(crate) application_id: ApplicationId,
    pub(crate) provider: Provider,
    pub(crate) connector_id: keyway_core::ids::ConnectorId,
    pub(crate) credential_id: Option<CredentialId>,
    /// The client the tokens were issued to: the credential's, or its lender's.
    pub(crate) client_id: Option<String>,
    pub(crate) identity: Identity,
    pub(crate) scope: Scopes,
    pub(crate) state: Option<String>,
    pub(crate) ip: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) name: Option<String>,
    /// What the grant shows of its account from now on; `None` leaves what it shows.
    pub(crate) settings: Option<Map<String, Value>>,
    /// How long the provider keeps a refresh token that nobody uses, in days, where an end is known.
    pub(crate) idle_days: Option<u16>,
    pub(crate) expected: Option<GrantId>,
    pub(crate) voucher: Voucher,
    /// The id of the grant if it is a new one.
    pub(crate) new_grant_id: GrantId,
    pub(crate) now: UnixMillis,
    pub(crate) actor: String,
}

/// What opens the account from now on.
#[derive(Clone)]
pub(crate) enum Opener {
    /// A provider's tokens.
    Tokens(Box<TokenSet>),
    /// Passwords.
    Passwords(Box<AccountSecret>),
    /// Nothing is needed.
    Nothing,
}

/// The grant after the transaction, and what to append to the sequence of changes.
pub(crate) struct Transferred {
    pub(crate) grant: Grant,
    pub(crate) changes: Vec<NewChange>,
}

/// The scopes a grant shows: what the provider says it granted, in the provider's canonical spelling.
pub(crate) fn granted_scopes(
    entry: &ProviderEntry,
    asked: &Scopes,
    answer: &TokenResponse,
) -> Scopes {
    let granted = answer.scope.as_ref().unwrap_or(asked);
    let canonical = granted.iter().map(|scope| entry.canonical_scope(scope));
    Scopes::from_items(canonical).unwrap_or_default()
}

/// The grants an authentication could mean, read for a decision.
pub(crate) struct Found {
    by_identity: Option<Grant>,
    by_email: Option<Grant>,
}

impl Found {
    pub(crate) async fn read(
        s: &mut Session<'_>,
        application_id: ApplicationId,
        provider: Provider,
        identity: &Identity,
    ) -> Result<Self, StoreError> {
        let by_identity = match &identity.key {
            Some(key) => s.grant_by_identity(application_id, provider, key).await?,
            None => None,
        };
        let key = email_key(&identity.email);
        let by_email = s
            .grant_by_provider_email(application_id, provider, &key)
            .await?;
        Ok(Self {
            by_identity,
            by_email,
        })
    }

    pub(crate) fn decide(
        &self,
        voucher: Voucher,
        identity: &Identity,
        expected: Option<GrantId>,
    ) -> Result<Decision, Error> {
        let (by_identity, by_email) = (self.by_identity.as_ref(), self.by_email.as_ref());
        let candidates = Candidates {
            by_identity,
            by_email,
            expected,
        };
        decide(voucher, identity, candidates)
            .map_err(|mismatch| Error::new(ErrorKind::ReauthEmailInvalid, mismatch.to_string()))
    }

    /// The address of the grant that has this identity.
    pub(crate) fn known_email(&self) -> Option<&str> {
        self.by_identity.as_ref().map(|grant| grant.email.as_str())
    }

    fn take(self, id: GrantId) -> Option<Grant> {
        [self.by_identity, self.by_email]
            .into_iter()
            .flatten()
            .find(|grant| grant.id == id)
    }
}

/// Makes, re-authenticates or moves the grant, and makes `opener` what opens it, in place of whatever did.
pub(crate) async fn transfer(
    s: &mut Session<'_>,
    auth: Authentication,
    opener: Opener,
) -> Result<Transferred, Error> {
    require_live(s, &auth).await?;
    let found = Found::read(s, auth.application_id, auth.provider, &auth.identity).await?;
    let decision = found.decide(auth.voucher, &auth.identity, auth.expected)?;
    let (grant, action) = match decision {
        Decision::New => (insert_grant(s, &auth).await?, Action::Created),
        Decision::Same(id) => {
            let grant = found
                .take(id)
                .ok_or_else(|| Error::internal("decided grant vanished"))?;
            (renew_grant(s, grant, &auth).await?, Action::Reauthenticated)
        }
    };
    swap_openers(s, &grant, opener, &auth).await?;
    let change = grant_change(&grant, action, &auth.actor, auth.now);
    Ok(Transferred {
        grant,
        changes: vec![change],
    })
}

/// Connector and credential must still be there when the tokens take effect (rule 3), and the
/// credential still be the client they were issued to (rule 1).
async fn require_live(s: &mut Session<'_>, auth: &Authentication) -> Result<(), Error> {
    let gone = |what| {
        let message = format!("The {what} of this sign-in was deleted meanwhile; start it again.");
        Err(Error::new(ErrorKind::InvalidRequest, message))
    };
    if !s
        .hold_connector(auth.application_id, auth.connector_id)
        .await?
    {
        return gone("connector");
    }
    let Some(id) = auth.credential_id else {
        return Ok(());
    };
    s.hold_credential(auth.application_id, id).await?;
    let Some(credential) = s.credential(auth.application_id, id).await? else {
        return gone("credential");
    };
    if held_client(s, &credential).await? != auth.client_id {
        let message = "The credential was given another client meanwhile; start again.";
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    Ok(())
}

async fn insert_grant(s: &mut Session<'_>, auth: &Authentication) -> Result<Grant, Error> {
    let identity = &auth.identity;
    let grant = Grant {
        id: auth.new_grant_id,
        application_id: auth.application_id,
        provider: auth.provider,
        connector_id: auth.connector_id,
        credential_id: auth.credential_id,
        email: identity.email.clone(),
        identity: identity.key.clone(),
        provider_user_id: identity.provider_user_id.clone(),
        name: auth.name.clone().or_else(|| identity.name.clone()),
        scope: auth.scope.clone(),
        status: GrantStatus::Valid,
        is_anchored: true,
        blocked: false,
        settings: auth.settings.clone().unwrap_or_default(),
        state: auth.state.clone(),
        ip: auth.ip.clone(),
        user_agent: auth.user_agent.clone(),
        workspace_id: None,
        external_id: auth.external_id.clone(),
        created_at: auth.now,
        updated_at: auth.now,
        version: 1,
    };
    s.insert_grant(&grant).await.map_err(grant_conflict)?;
    Ok(grant)
}

async fn renew_grant(
    s: &mut Session<'_>,
    grant: Grant,
    auth: &Authentication,
) -> Result<Grant, Error> {
    let grant = renewed(grant, auth);
    match s
        .update_grant(&grant, grant.version - 1)
        .await
        .map_err(grant_conflict)?
    {
        true => Ok(grant),
        false => Err(crate::applications::changed_meanwhile()),
    }
}

/// The grant after `auth`. The identity is the new one even where the provider names none: an
/// application that vouches may hand the grant to another person, and the former one must not be taken
/// for it again (rule 12).
fn renewed(mut grant: Grant, auth: &Authentication) -> Grant {
    let identity = &auth.identity;
    grant.connector_id = auth.connector_id;
    grant.credential_id = auth.credential_id;
    if !is_merely_typed(auth) {
        grant.email.clone_from(&identity.email);
    }
    grant.identity.clone_from(&identity.key);
    grant
        .provider_user_id
        .clone_from(&identity.provider_user_id);
    grant.name = auth
        .name
        .clone()
        .or_else(|| identity.name.clone())
        .or(grant.name);
    grant.scope = auth.scope.clone();
    grant.status = GrantStatus::Valid;
    grant.is_anchored = true;
    if let Some(settings) = &auth.settings {
        grant.settings.clone_from(settings);
    }
    grant.state.clone_from(&auth.state);
    grant.ip.clone_from(&auth.ip);
    grant.user_agent.clone_from(&auth.user_agent);
    grant.external_id = auth.external_id.clone().or(grant.external_id);
    grant.updated_at = auth.now;
    grant.version += 1;
    grant
}

/// Whether the address is a person's own word: of a mailbox the server knows the name, and nobody the address.
fn is_merely_typed(auth: &Authentication) -> bool {
    auth.voucher == Voucher::Provider && !auth.provider.is_oauth()
}

pub(crate) fn grant_conflict(error: StoreError) -> Error {
    match error {
        StoreError::Conflict(Constraint::GrantExternalId) => label_taken(),
        other => other.into(),
    }
}

pub(crate) fn label_taken() -> Error {
    Error::field("external_id", "another grant of this application has it")
}

/// The old tokens go without a word to the provider: revoking would end the consent the new ones live
/// by (rule 13). A refresh under way on the old set finds its row gone and writes nothing.
async fn swap_openers(
    s: &mut Session<'_>,
    grant: &Grant,
    opener: Opener,
    auth: &Authentication,
) -> Result<(), Error> {
    let now = auth.now;
    if let Some(old) = s.current_token_set(grant.application_id, grant.id).await? {
        s.delete_token_set(grant.application_id, old.id).await?;
    }
    let jitter = jitter_of(grant.id);
    let due_at = match opener {
        Opener::Nothing => return Ok(()),
        Opener::Tokens(set) => {
            store_tokens(s, grant, *set, now).await?;
            keep_alive_at(auth.idle_days, now, jitter)
        }
        Opener::Passwords(secret) => {
            store_passwords(s, grant, *secret).await?;
            Some(next_check_at(now, jitter))
        }
    };
    reset_refresh_state(s, grant, due_at).await
}

async fn store_passwords(
    s: &mut Session<'_>,
    grant: &Grant,
    mut secret: AccountSecret,
) -> Result<(), Error> {
    s.delete_account_secret(grant.application_id, grant.id)
        .await?;
    secret.grant_id = grant.id;
    Ok(s.insert_account_secret(&secret).await?)
}

async fn store_tokens(
    s: &mut Session<'_>,
    grant: &Grant,
    mut set: TokenSet,
    now: UnixMillis,
) -> Result<(), Error> {
    set.grant_id = Some(grant.id);
    set.updated_at = now;
    if set.state == TokenSetState::Pending {
        set.state = TokenSetState::Current;
        set.version += 1;
        if !s.update_token_set(&set, set.version - 1).await? {
            return Err(Error::internal("the pending token set is gone"));
        }
    } else {
        s.insert_token_set(&set).await?;
    }
    Ok(())
}

async fn reset_refresh_state(
    s: &mut Session<'_>,
    grant: &Grant,
    due_at: Option<UnixMillis>,
) -> Result<(), Error> {
    let known = s.refresh_state(grant.application_id, grant.id).await?;
    let version = known.as_ref().map(|state| state.version);
    let version_after = version.unwrap_or(0) + 1;
    let fresh = RefreshState {
        due_at,
        version: version_after,
        ..RefreshState::default()
    };
    match s
        .upsert_refresh_state(grant.application_id, grant.id, &fresh, version)
        .await?
    {
        true => Ok(()),
        false => Err(crate::applications::changed_meanwhile()),
    }
}

pub(crate) fn grant_change(
    grant: &Grant,
    action: Action,
    actor: &str,
    at: UnixMillis,
) -> NewChange {
    let change = ChangeOf {
        application_id: grant.application_id,
        entity: Entity::Grant,
        id: &grant.id,
        action,
        actor,
    };
    let credential = grant.credential_id.map(|id| id.to_string());
    change.with(
        at,
        json!({
            "provider": grant.provider.as_str(), "email": grant.email, "credential_id": credential,
            "connector_id": grant.connector_id.to_string(),
        }),
    )
}

/// Whether a failed transfer may succeed when tried again: two sign-ins of one new user at once, or
/// somebody else's write to the same grant. Nothing of the failed one is left.
pub(crate) fn lost_a_race(error: &Error) -> bool {
    let conflict = error.is_store_conflict();
    error.kind() == ErrorKind::Unavailable
        || matches!(
            conflict,
            Some(Constraint::GrantEmail | Constraint::GrantIdentity | Constraint::CurrentTokenSet)
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::ids::ConnectorId;

    fn grant() -> Grant {
        Grant {
            id: GrantId::from_u128(1),
            application_id: ApplicationId::from_u128(2),
            provider: Provider::Google,
            connector_id: ConnectorId::from_u128(3),
            credential_id: None,
            email: "shared@example.com".into(),
            identity: Some("former".into()),
            provider_user_id: Some("former".into()),
            name: None,
            scope: Scopes::none(),
            status: GrantStatus::Invalid,
            is_anchored: true,
            blocked: false,
            settings: Map::new(),
            state: None,
            ip: None,
            user_agent: None,
            workspace_id: None,
            external_id: Some("kept".into()),
            created_at: UnixMillis(0),
            updated_at: UnixMillis(0),
            version: 1,
        }
    }

    fn brought(key: Option<&str>) -> Authentication {
        let identity = Identity {
            key: key.map(str::to_owned),
            provider_user_id: key.map(str::to_owned),
            email: "shared@example.com".into(),
            email_verified: None,
            name: None,
            given_name: None,
            family_name: None,
            picture: None,
        };
        Authentication {
            application_id: ApplicationId::from_u128(2),
            provider: Provider::Google,
            connector_id: ConnectorId::from_u128(3),
            credential_id: None,
            client_id: None,
            identity,
            scope: Scopes::none(),
            state: None,
            ip: None,
            user_agent: None,
            external_id: None,
            name: None,
            settings: None,
            idle_days: None,
            expected: None,
            voucher: Voucher::Application,
            new_grant_id: GrantId::from_u128(9),
            now: UnixMillis(5),
            actor: "engine".into(),
        }
    }

    #[test]
    fn rule_12_an_identity_the_application_replaces_is_gone_even_if_the_new_one_has_no_name() {
        for key in [Some("successor"), None] {
            let after = renewed(grant(), &brought(key));
            assert_eq!(after.identity.as_deref(), key);
            assert_eq!(after.provider_user_id.as_deref(), key);
            assert_eq!(after.external_id.as_deref(), Some("kept"));
            assert_eq!(after.status, GrantStatus::Valid);
        }
    }
}
