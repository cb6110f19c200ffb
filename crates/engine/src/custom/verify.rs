//! Asking the provider: whether it honours what an application brings, and whose it is.

use super::proof::{Member, Proof};
use super::{Brought, WHOSE, address_only};
use crate::engine::Engine;
use crate::error::Error;
use crate::provider_calls::{ProviderFailure, custom_error};
use crate::refresh::TokenSource;
use keyway_core::credential::{Credential, CredentialType};
use keyway_core::email::email_key;
use keyway_core::oauth::{Client, TokenResponse};
use keyway_core::sign_in::Identity;
use keyway_core::token_set::ActsFor;
use secrecy::ExposeSecret as _;
use std::time::Duration;
use tokio::time::Instant;

/// Pause before the provider is asked again whose a token is that it has replaced; doubles.
const IDENTITY_PAUSE: Duration = Duration::from_millis(500);
/// It is asked no more after that time.
const IDENTITY_PATIENCE: Duration = Duration::from_secs(30);

/// What the provider gave.
pub(super) struct Verified {
    /// The credential's client the tokens were issued to.
    pub(super) client: Client,
    pub(super) tokens: TokenResponse,
    /// The provider has replaced the token that was sent: nobody else has the new one.
    pub(super) is_replaced: bool,
}

impl Engine {
    /// Has the provider honour what was brought, through the credential.
    pub(super) async fn verify(&self, brought: &Brought) -> Result<Verified, Error> {
        let credential = &brought.credential;
        let (client, source) = self.source_of(brought).await?;
        let answer = self.obtain(credential.provider, &client, &source).await;
        let mut tokens = match answer {
            Ok(tokens) => tokens,
            Err(failure) => return Err(self.refused_proof(brought, failure).await),
        };
        self.note_healthy(credential).await;
        tokens.refresh_token = source.kept(&tokens);
        Ok(Verified {
            is_replaced: is_replaced(&brought.proof, &tokens),
            client,
            tokens,
        })
    }

    async fn source_of(&self, brought: &Brought) -> Result<(Client, TokenSource), Error> {
        let credential = &brought.credential;
        let member = match &brought.proof {
            Proof::RefreshToken(token) => {
                let source = TokenSource::RefreshToken(token.clone());
                return Ok((self.client(credential).await?, source));
            }
            Proof::Address(member) => member,
        };
        if credential.credential_type == CredentialType::ServiceAccount {
            let source = self.assertion_source(credential, &member.email, &member.scope);
            return source.await;
        }
        let entry = self.entry(credential.provider)?;
        let client = self.client_in_tenant(entry, credential, &member.email);
        let client = client.await.map_err(custom_error)?;
        Ok((client, self.consent_source(credential.provider)?))
    }

    /// Asks whose the tokens are: again and again where the answer is the only way to keep a token the
    /// provider has replaced.
    pub(super) async fn identify(
        &self,
        brought: &Brought,
        verified: &Verified,
    ) -> Result<Identity, Error> {
        let began = Instant::now();
        let mut pause = IDENTITY_PAUSE;
        loop {
            let failure = match self.ask_whose(brought, verified).await {
                Ok(identity) => return Ok(identity),
                Err(failure) => failure,
            };
            failure.log(&brought.credential, "identity, custom authentication");
            let is_transient = failure.is_transient();
            if verified.is_replaced && is_transient && began.elapsed() + pause < IDENTITY_PATIENCE {
                tokio::time::sleep(pause).await;
                pause *= 2;
                continue;
            }
            let error = custom_error(failure);
            return Err(match is_transient {
                true => error.adding(WHOSE),
                false => error,
            });
        }
    }

    async fn ask_whose(
        &self,
        brought: &Brought,
        verified: &Verified,
    ) -> Result<Identity, ProviderFailure> {
        let entry = self
            .entry(brought.connector.provider)
            .map_err(ProviderFailure::Ours)?;
        let (client, tokens) = (&verified.client, &verified.tokens);
        let Proof::Address(member) = &brought.proof else {
            return self.provider_identity(entry, client, tokens, None).await;
        };
        if brought.credential.credential_type == CredentialType::AdminConsent {
            return self
                .tenant_member(entry, client, tokens, &member.email)
                .await;
        }
        let address = entry.canonical_scope("email");
        let may_ask = member
            .scope
            .iter()
            .any(|scope| entry.canonical_scope(scope) == address);
        if !may_ask {
            // The application vouches (rule 12), and the provider took the address for a user's.
            return Ok(address_only(&member.email));
        }
        let identity = self.provider_identity(entry, client, tokens, None).await?;
        same_address(member, identity).map_err(ProviderFailure::Ours)
    }

    /// What the provider's refusal says of the credential, and to the application.
    async fn refused_proof(&self, brought: &Brought, failure: ProviderFailure) -> Error {
        let credential = &brought.credential;
        failure.log(credential, "custom authentication");
        if let ProviderFailure::Refused(error) = &failure
            && crate::health::client_fault(credential, error)
        {
            self.note_client_fault(credential, error).await;
        }
        match &brought.proof {
            Proof::RefreshToken(_) => custom_error(failure),
            Proof::Address(_) => member_error(credential, failure),
        }
    }
}

fn is_replaced(proof: &Proof, tokens: &TokenResponse) -> bool {
    match (proof, &tokens.refresh_token) {
        (Proof::RefreshToken(old), Some(new)) => new.expose_secret() != old.expose_secret(),
        _ => false,
    }
}

/// Whom the credential acts for by itself, once the provider has said who that is.
pub(super) fn acts_for(
    brought: &Brought,
    verified: &Verified,
    identity: &Identity,
) -> Option<ActsFor> {
    let Proof::Address(member) = &brought.proof else {
        return None;
    };
    if brought.credential.credential_type == CredentialType::ServiceAccount {
        return Some(ActsFor::Subject(member.email.clone()));
    }
    Some(ActsFor::Member {
        tenant: verified.client.tenant.clone()?,
        user_id: identity.provider_user_id.clone()?,
    })
}

/// An address that the provider calls by another name is an alias: the grant would be found by neither.
fn same_address(member: &Member, identity: Identity) -> Result<Identity, Error> {
    if email_key(&identity.email) == email_key(&member.email) {
        return Ok(identity);
    }
    Err(Error::field(
        "settings.email_address",
        "is an alias: the provider knows this user by another address; give the primary one",
    ))
}

/// What a refusal means to an application that named a user.
fn member_error(credential: &Credential, failure: ProviderFailure) -> Error {
    use crate::error::ErrorKind::InvalidAuthentication;
    use keyway_core::refusal::{Blame, blame_of};
    let ProviderFailure::Refused(error) = failure else {
        return custom_error(failure);
    };
    let is_robot = credential.credential_type == CredentialType::ServiceAccount;
    let words = match blame_of(credential.provider, credential.credential_type, &error) {
        Blame::OtherClient | Blame::TenantAdmin if is_robot => {
            "The service account may not act for this user with these scopes. The Workspace administrator has to delegate exactly these scopes to its numeric client id (Admin console, API controls, domain-wide delegation); it may take up to a day to count."
        }
        Blame::OtherClient | Blame::TenantAdmin => {
            "The administrator of this address's tenant has not consented to the credential's application. Send the administrator through /v3/connect/auth with response_type=adminconsent first."
        }
        Blame::User if is_robot => {
            "The provider has no such user: settings.email_address must be the primary address of an active account of the Workspace, not an alias."
        }
        Blame::Credential if is_robot => {
            "The provider refuses the service account itself: its key was deleted, or the account disabled. PATCH the credential with a new key file."
        }
        Blame::Credential => {
            "The provider refuses the credential's application in the tenant of this address: its client id or secret is wrong, or the tenant does not know it. Mend the credential (see its health), or have the tenant's administrator consent."
        }
        Blame::Ours if is_robot => {
            "The provider does not take what was asked for; settings.scopes must be scopes that it knows."
        }
        _ => return custom_error(ProviderFailure::Refused(error)),
    };
    Error::new(InvalidAuthentication, words).with_provider_error(error)
}
