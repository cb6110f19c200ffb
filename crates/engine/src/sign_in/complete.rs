//! The provider's code becomes a pending token set and a code of Keyway's own.
//!
//! Nothing a grant uses is touched here (rule 4): the new tokens wait, sealed, for the exchange.

use super::Returned;
use super::callback::ours;
use crate::engine::Engine;
use crate::error::Error;
use crate::known::KnownCredential;
use crate::provider_calls::ProviderFailure;
use crate::transfer::{Found, granted_scopes};
use keyway_core::bearer::{BearerKind, new_named};
use keyway_core::catalogue::ProviderEntry;
use keyway_core::credential::Credential;
use keyway_core::email::email_key;
use keyway_core::ids::{ApplicationId, GrantId, SignInId, TokenSetId};
use keyway_core::oauth::{Client, TokenGrant, TokenResponse};
use keyway_core::reauth::Voucher;
use keyway_core::sealed::{Digest, DigestKind, SealContext, Sealed};
use keyway_core::sign_in::{CODE_LIFETIME_SECS, Identity, Outcome, Started};
use keyway_core::token_set::{ActsFor, ProviderTokens, TokenSet, TokenSetState, consent_key};
use keyway_outbound::CallErrorKind;
use keyway_store::SealedColumn;
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a provider gave, and to whom.
pub(crate) struct Issued<'a> {
    pub(crate) credential: &'a Credential,
    pub(crate) client: &'a Client,
    pub(crate) tokens: &'a TokenResponse,
    pub(crate) identity: &'a Identity,
    /// Whom the credential acts for by itself, where the user did not sign in.
    pub(crate) acts_for: Option<&'a ActsFor>,
}

impl Engine {
    pub(super) async fn complete(
        &self,
        started: Started,
        known: &KnownCredential,
        code: SecretString,
    ) -> Result<SecretString, Returned> {
        let entry = self.entry(started.provider).map_err(|error| ours(&error))?;
        let (credential, client) = (&known.credential, &known.client);
        let redirect_uri = self.callback_uri();
        let grant = TokenGrant::AuthorizationCode {
            code: &code,
            redirect_uri: &redirect_uri,
            code_verifier: started.provider_verifier.as_deref(),
        };
        let tokens = match self.provider_tokens(entry, client, grant).await {
            Ok(tokens) => tokens,
            Err(failure) => return Err(self.refused_code(credential, failure).await),
        };
        self.note_healthy(credential).await;
        let identity = self
            .provider_identity(entry, client, &tokens, Some(&started.nonce))
            .await
            .map_err(|failure| no_identity(credential, &failure))?;
        check_grant(entry, credential, &started, &tokens)?;
        let checked = self.check_person(&started, &identity).await;
        let expected = checked.map_err(|error| ours(&error))??;
        let issued = Issued {
            credential,
            client,
            tokens: &tokens,
            identity: &identity,
            acts_for: None,
        };
        let scope = granted_scopes(entry, &started.scope, &tokens);
        // A sign-in's pending set has the sign-in's own id, and so needs no index to be found by it.
        let id = TokenSetId::from_u128(started.id.as_uuid().as_u128());
        let set = TokenSet {
            sign_in_id: Some(started.id),
            ..self.new_token_set(&issued, scope, TokenSetState::Pending, id)
        };
        self.store_outcome(
            started,
            identity,
            set,
            credential.client_id.clone(),
            expected,
        )
        .await
        .map_err(|error| ours(&error))
    }

    /// The credential named at the start, if it is still there (rule 3).
    pub(super) async fn credential_of(
        &self,
        started: &Started,
    ) -> Result<Arc<KnownCredential>, Returned> {
        let found = match started.credential_id {
            Some(id) => self.known_credential(started.application_id, id).await,
            None => Ok(None),
        };
        let found = found.map_err(|error| ours(&error))?;
        found.ok_or_else(|| {
            let words = "The provider application this sign-in went through was removed while you were signing in. Please start again.";
            Returned::new("access_denied", 45002, words)
        })
    }

    async fn refused_code(&self, credential: &Credential, failure: ProviderFailure) -> Returned {
        failure.log(credential, "code of a sign-in");
        match failure {
            ProviderFailure::Refused(error) => {
                if crate::health::client_fault(credential, &error) {
                    self.note_client_fault(credential, &error).await;
                    let words = "the provider refuses the client id or secret of this credential; see its health";
                    return Returned::new("unauthorized_client", 45001, words);
                }
                let said = error.description.as_deref().unwrap_or("no description");
                let words = format!("the provider refused its code: {} ({said})", error.error);
                Returned::new("server_error", 45001, words)
            }
            ProviderFailure::Unreachable(cause) if cause.kind == CallErrorKind::TooLarge => {
                Returned::new("server_error", 45001, TOO_LARGE)
            }
            ProviderFailure::Unreachable(_) => {
                let words = "the provider did not answer; start the sign-in again";
                Returned::new("temporarily_unavailable", 45001, words)
            }
            ProviderFailure::Overloaded { status, .. } => {
                let words =
                    format!("the provider answers status {status}; start the sign-in again");
                Returned::new("temporarily_unavailable", 45001, words)
            }
            ProviderFailure::Nonsense(why) => {
                let words = format!("the provider's token endpoint sent {why}");
                Returned::new("server_error", 45001, words)
            }
            ProviderFailure::Ours(error) => ours(&error),
        }
    }

    /// Rule 12, decided already so that the user hears of it; the exchange decides again. The grant that
    /// `login_hint` names is looked up here and not at the start, where anybody could learn whether an
    /// address has one.
    ///
    /// # Errors
    /// If it cannot be looked up; and, within, if it is another account than it may be.
    async fn check_person(
        &self,
        started: &Started,
        identity: &Identity,
    ) -> Result<Result<Option<GrantId>, Returned>, Error> {
        let (found, expected) = self.look_up_person(started, identity).await?;
        Ok(decided(&found, identity, expected).map(|()| expected))
    }

    /// The grants that an account could be, and the one that `login_hint` names.
    pub(super) async fn look_up_person(
        &self,
        started: &Started,
        identity: &Identity,
    ) -> Result<(Found, Option<GrantId>), Error> {
        let (application_id, provider) = (started.application_id, started.provider);
        let person = identity.clone();
        let hint = started.login_hint.as_deref().map(email_key);
        let job = self.store().read(move |s| {
            Box::pin(async move {
                let found = Found::read(s, application_id, provider, &person).await?;
                let hinted = match hint {
                    Some(key) => {
                        s.grant_by_provider_email(application_id, provider, &key)
                            .await?
                    }
                    None => None,
                };
                Ok((found, hinted.map(|grant| grant.id)))
            })
        });
        Ok(job.await?)
    }

    /// The tokens of `issued` as a row, sealed and bound to its id.
    pub(crate) fn new_token_set(
        &self,
        issued: &Issued<'_>,
        scope: keyway_core::scope::Scopes,
        state: TokenSetState,
        id: TokenSetId,
    ) -> TokenSet {
        let now = self.now();
        let Issued {
            credential,
            client,
            tokens,
            identity,
            acts_for,
        } = issued;
        let secrets = ProviderTokens {
            access_token: tokens.access_token.clone(),
            refresh_token: tokens.refresh_token.clone(),
            acts_for: acts_for.cloned(),
        };
        let consent_key = match acts_for {
            None => consent_key(
                credential.provider,
                credential.provider_project.as_deref(),
                Some(&client.client_id),
                identity.key.as_deref(),
            ),
            // It is an administrator's, and no user's grant may end it.
            Some(_) => None,
        };
        TokenSet {
            id,
            application_id: credential.application_id,
            grant_id: None,
            credential_id: credential.id,
            sign_in_id: None,
            provider: credential.provider,
            state,
            sealed: self.seal_tokens(id, &secrets),
            has_refresh_token: tokens.refresh_token.is_some(),
            scope,
            access_expires_at: tokens.expires_at(now),
            consent_key,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    pub(crate) fn seal_tokens(&self, id: TokenSetId, tokens: &ProviderTokens) -> Sealed {
        let row = id.to_string();
        let context = SealContext {
            purpose: SealedColumn::TokenSets.as_str(),
            row: &row,
        };
        self.vault().seal(&context, &tokens.to_bytes())
    }

    pub(crate) fn open_tokens(&self, set: &TokenSet) -> Result<ProviderTokens, Error> {
        let row = set.id.to_string();
        let context = SealContext {
            purpose: SealedColumn::TokenSets.as_str(),
            row: &row,
        };
        let plain = self.open_sealed(&context, &set.sealed)?;
        ProviderTokens::from_bytes(&plain).ok_or_else(|| Error::internal("unreadable token set"))
    }

    async fn store_outcome(
        &self,
        started: Started,
        identity: Identity,
        set: TokenSet,
        client_id: Option<String>,
        expected_grant_id: Option<GrantId>,
    ) -> Result<SecretString, Error> {
        let (application_id, id) = (started.application_id, started.id);
        let scope = set.scope.clone();
        let outcome = Outcome {
            started,
            identity,
            scope,
            token_set_id: Some(set.id),
            account: None,
            client_id,
            expected_grant_id,
        };
        let sealed = self.seal_outcome(id, &outcome)?;
        let (code, digest) = self.new_code(application_id, id);
        let expires_at = self.now().plus_secs(CODE_LIFETIME_SECS);
        self.store()
            .write(move |s| {
                Box::pin(async move {
                    s.insert_token_set(&set).await?;
                    match s
                        .complete_sign_in(application_id, id, &digest, &sealed, expires_at)
                        .await?
                    {
                        true => Ok(()),
                        false => Err(Error::internal("the sign-in was swept while under way")),
                    }
                })
            })
            .await?;
        Ok(code)
    }

    /// A code of Keyway's own, and what it is known by.
    pub(super) fn new_code(
        &self,
        application_id: ApplicationId,
        id: SignInId,
    ) -> (SecretString, Digest) {
        let code = new_named(
            BearerKind::Code,
            application_id,
            id.as_uuid(),
            self.entropy(),
        );
        let vault = self.vault();
        let digest = vault.digest(DigestKind::Code, code.expose_secret().as_bytes());
        (code, digest)
    }

    pub(super) fn seal_outcome(&self, id: SignInId, outcome: &Outcome) -> Result<Sealed, Error> {
        let plain = Zeroizing::new(serde_json::to_vec(outcome).map_err(Error::internal)?);
        let row = id.to_string();
        Ok(self.vault().seal(
            &SealContext {
                purpose: SealedColumn::SignIns.as_str(),
                row: &row,
            },
            &plain,
        ))
    }

    pub(crate) fn open_outcome(&self, id: SignInId, sealed: &Sealed) -> Result<Outcome, Error> {
        let row = id.to_string();
        let context = SealContext {
            purpose: SealedColumn::SignIns.as_str(),
            row: &row,
        };
        let plain = self.open_sealed(&context, sealed)?;
        serde_json::from_slice(&plain).map_err(Error::internal)
    }
}

/// Whether the account may be what it would be, in the words the application hears.
pub(super) fn decided(
    found: &Found,
    identity: &Identity,
    expected: Option<GrantId>,
) -> Result<(), Returned> {
    let decision = found.decide(Voucher::Provider, identity, expected);
    decision.map(|_| ()).map_err(|error| {
        let words = format!("grant.reauth_email_invalid: {error}");
        Returned::new("access_denied", 25022, words)
    })
}

const TOO_LARGE: &str = "the provider's answer is too large";

fn no_identity(credential: &Credential, failure: &ProviderFailure) -> Returned {
    failure.log(credential, "identity of a sign-in");
    match failure {
        ProviderFailure::Unreachable(cause) if cause.kind == CallErrorKind::TooLarge => {
            Returned::new("server_error", 45001, TOO_LARGE)
        }
        ProviderFailure::Unreachable(_) | ProviderFailure::Overloaded { .. } => {
            let words = "the provider did not say who signed in; start the sign-in again";
            Returned::new("temporarily_unavailable", 45001, words)
        }
        other => Returned::new("server_error", 45001, other.to_string()),
    }
}

/// The tokens must be able to last, and cover what was asked.
fn check_grant(
    entry: &ProviderEntry,
    credential: &Credential,
    started: &Started,
    tokens: &TokenResponse,
) -> Result<(), Returned> {
    if entry.refresh_tokens && tokens.refresh_token.is_none() {
        tracing::warn!(
            credential_id = %credential.id, provider = %credential.provider, fault = "no refresh token",
            "a provider did not do what was asked"
        );
        let words = "the provider gave no refresh token for its code; allow offline access for the provider application";
        return Err(Returned::new("server_error", 45001, words));
    }
    let missing = entry.missing_scopes(&started.scope, tokens.scope.as_ref());
    if missing.is_empty() {
        return Ok(());
    }
    let words = format!(
        "grant.scopes_conflict: some requested scopes were not granted: {missing}; start again and allow all of them"
    );
    Err(Returned::new("invalid_scope", 25016, words))
}
