//! A credential's health: what the provider last said of the provider application itself.

use crate::caller::Caller;
use crate::credentials::credential_change;
use crate::directory::READ_USERS;
use crate::engine::Engine;
use crate::error::Error;
use crate::provider_calls::ProviderFailure;
use keyway_core::catalogue::{Probe, ProviderEntry};
use keyway_core::change::Action;
use keyway_core::connector::Connector;
use keyway_core::credential::{Credential, CredentialType, GrantCounts, Health, HealthStatus};
use keyway_core::ids::{ApplicationId, CredentialId};
use keyway_core::oauth::{Client, ProviderError, TokenGrant};
use keyway_core::page::LIMIT_MAX;
use keyway_core::provider::Provider;
use keyway_core::refusal::{Blame, blame_of};
use keyway_core::scope::Scopes;
use secrecy::SecretString;

/// A credential that is not known to be healthy is probed again when asked about, at most this often.
const PROBE_PAUSE_SECS: i64 = 5;

/// What `GET …/creds/{id}/health` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthReport {
    /// What the provider last said.
    pub health: Health,
    /// How many grants depend on it.
    pub grants: GrantCounts,
    /// What to register at the provider as redirect URI.
    pub redirect_uri: String,
    /// What must be enabled at the provider: the scopes sign-ins through it ask for by default; where an
    /// administrator consents, the application permission that finds users.
    pub scope: Scopes,
}

/// Whether a provider's refusal says something of the client itself, as against the user.
pub(crate) fn client_fault(credential: &Credential, error: &ProviderError) -> bool {
    blame_of(credential.provider, credential.credential_type, error) == Blame::Credential
}

fn failing(credential: &Credential, error: &ProviderError) -> Health {
    let words = match (error.error.as_str(), credential.credential_type) {
        (_, CredentialType::ServiceAccount) => {
            "The provider refuses the service account: its key was deleted or is another's, or the account is disabled or deleted. Make a new key in the Cloud console and PATCH the credential with its file."
        }
        ("deleted_client", _) => {
            "The provider application was deleted; restore it at the provider or add another credential."
        }
        ("disabled_client", _) => {
            "The provider application is disabled; enable it at the provider."
        }
        _ => {
            "The provider refuses the client id or secret; copy both again from the provider's console and PATCH the credential."
        }
    };
    Health {
        status: HealthStatus::Failing,
        error: Some(error.error.clone()),
        message: Some(words.to_owned()),
        since: None,
    }
}

impl Engine {
    /// A credential's health. One that is not known to be healthy is asked about at the provider first.
    ///
    /// # Errors
    /// If there is no such credential.
    pub async fn credential_health(
        &self,
        caller: &Caller,
        provider: Provider,
        id: CredentialId,
    ) -> Result<HealthReport, Error> {
        let mut credential = self.credential(caller, provider, id).await?;
        if credential.health.status != HealthStatus::Healthy && self.may_probe(&credential) {
            let (engine, probed) = (self.clone(), credential);
            self.finishing(async move { engine.probe(&probed).await })
                .await?;
            credential = self.credential(caller, provider, id).await?;
        }
        let connector = self.connector(caller, provider).await?;
        let application_id = caller.application_id;
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.grant_counts(application_id, id).await }));
        let scope = self.scope_to_enable(&credential, connector);
        Ok(HealthReport {
            health: credential.health,
            grants: job.await?,
            redirect_uri: self.callback_uri(),
            scope,
        })
    }

    /// What must be enabled at the provider for a credential: what its sign-ins ask for; or, where nobody signs in
    /// through it, what Keyway's own calls take, for what the application's take it alone knows.
    fn scope_to_enable(&self, credential: &Credential, connector: Connector) -> Scopes {
        match (credential.credential_type, self.entry(connector.provider)) {
            (CredentialType::AdminConsent, _) => {
                Scopes::from_items([READ_USERS]).unwrap_or_default()
            }
            (_, Ok(entry)) => entry.request_scopes(&connector.scope),
            (_, Err(_)) => connector.scope,
        }
    }

    fn may_probe(&self, credential: &Credential) -> bool {
        let last = self.inner.probes.get(&credential.id);
        let rested = last.is_none_or(|at| self.now() >= at.plus_secs(PROBE_PAUSE_SECS));
        rested && self.settings().probe_credentials
    }

    /// Probes a credential that was just stored, without making anyone wait.
    pub(crate) fn probe_in_background(&self, credential: Credential) {
        if self.settings().probe_credentials {
            let engine = self.clone();
            self.in_background(async move { engine.probe(&credential).await });
        }
    }

    /// Probes a credential whose client was changed and, one after the other, those that borrow it.
    pub(crate) fn probe_client_in_background(&self, credential: Credential) {
        if self.settings().probe_credentials {
            let engine = self.clone();
            self.in_background(async move {
                engine.probe(&credential).await;
                engine.probe_borrowers(&credential).await;
            });
        }
    }

    async fn probe_borrowers(&self, lender: &Credential) {
        let (application_id, id) = (lender.application_id, lender.id);
        let mut after = CredentialId::from_u128(0);
        loop {
            let job = self.store().read(move |s| {
                Box::pin(async move {
                    s.credential_borrowers(application_id, id, after, LIMIT_MAX)
                        .await
                })
            });
            let Ok(borrowers) = job.await else { return };
            let Some(last) = borrowers.last() else { return };
            after = last.id;
            for borrower in &borrowers {
                if self.is_stopping() {
                    return;
                }
                self.probe(borrower).await;
            }
        }
    }

    /// Asks the provider, harmlessly, whether it knows the client. Nothing conclusive changes nothing.
    async fn probe(&self, credential: &Credential) {
        self.inner.probes.insert(credential.id, self.now());
        let Ok(entry) = self.entry(credential.provider) else {
            return;
        };
        let asked = match credential.credential_type {
            CredentialType::ServiceAccount => self.ask_with_assertion(entry, credential).await,
            // Nothing harmless would tell.
            _ if entry.probe.is_none() => return,
            CredentialType::Connector | CredentialType::AdminConsent => {
                match self.client(credential).await {
                    Ok(client) => self.ask_provider(entry, &client).await,
                    Err(_) => return,
                }
            }
        };
        match asked {
            Some(ProviderFailure::Refused(error)) if client_fault(credential, &error) => {
                self.note_health(credential, failing(credential, &error))
                    .await;
            }
            // The code or grant was refused, so the client was not.
            Some(ProviderFailure::Refused(error)) if accepts_client(&error) => {
                self.note_healthy(credential).await;
            }
            Some(_) => {}
            None => self.note_healthy(credential).await,
        }
    }

    /// Probes a credential whose breaker is open, unless that was done just now.
    pub(crate) async fn probe_by_id(&self, application_id: ApplicationId, id: CredentialId) {
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.credential(application_id, id).await }));
        match job.await {
            Ok(Some(credential)) if self.may_probe(&credential) => self.probe(&credential).await,
            _ => {}
        }
    }

    /// Asks for a token of the service account's own, which needs nobody's delegation.
    async fn ask_with_assertion(
        &self,
        entry: &ProviderEntry,
        credential: &Credential,
    ) -> Option<ProviderFailure> {
        let scope = Scopes::from_items(&entry.identity_scopes).unwrap_or_default();
        let signed = self.signed_assertion(credential, None, &scope).await;
        let (client, assertion) = match signed {
            Ok(signed) => signed,
            Err(error) => return Some(ProviderFailure::Ours(error)),
        };
        let grant = TokenGrant::Assertion {
            assertion: &assertion,
        };
        self.provider_tokens(entry, &client, grant).await.err()
    }

    /// What stands in the way of the client, if anything does; of a provider that can be asked.
    async fn ask_provider(
        &self,
        entry: &ProviderEntry,
        client: &Client,
    ) -> Option<ProviderFailure> {
        let redirect_uri = self.callback_uri();
        let code = SecretString::from("keyway-probe".to_owned());
        let grant = match entry.probe.as_ref()? {
            Probe::ImpossibleCode => TokenGrant::AuthorizationCode {
                code: &code,
                redirect_uri: &redirect_uri,
                // Some providers ask for a verifier before they look at anything else.
                code_verifier: Some("keyway-probe-keyway-probe-keyway-probe-keyway"),
            },
            Probe::ClientCredentials { scope } if client.own_tenant().is_some() => {
                TokenGrant::ClientCredentials { scope }
            }
            Probe::ClientCredentials { .. } => {
                return Some(ProviderFailure::Nonsense(
                    "no tenant to probe in".to_owned(),
                ));
            }
        };
        self.provider_tokens(entry, client, grant).await.err()
    }

    /// The provider accepted the client: recorded if that is news.
    pub(crate) async fn note_healthy(&self, credential: &Credential) {
        self.inner.breakers.succeeded(credential.id, self.now());
        let healthy = Health {
            status: HealthStatus::Healthy,
            ..Health::default()
        };
        self.note_health(credential, healthy).await;
    }

    /// The provider refused the client itself: the credential's fault, not a user's (rule 6).
    pub(crate) async fn note_client_fault(&self, credential: &Credential, error: &ProviderError) {
        self.note_health(credential, failing(credential, error))
            .await;
    }

    async fn note_health(&self, credential: &Credential, health: Health) {
        let known = &credential.health;
        if known.status == health.status && known.error == health.error {
            return;
        }
        let now = self.now();
        let health = Health {
            since: Some(now),
            ..health
        };
        let change = credential_change(credential, Action::HealthChanged, "engine", now);
        let (application_id, id) = (credential.application_id, credential.id);
        let stored = self.commit(move |s| {
            Box::pin(async move {
                s.set_credential_health(application_id, id, &health).await?;
                Ok(((), vec![change]))
            })
        });
        if let Err(error) = stored.await {
            tracing::warn!(credential = %id, %error, "a credential's health could not be stored");
        }
    }
}

fn accepts_client(error: &ProviderError) -> bool {
    matches!(
        error.error.as_str(),
        "invalid_grant" | "redirect_uri_mismatch" | "bad_verification_code"
    )
}
