//! `response_type=adminconsent`: a tenant's administrator consents to an application, once for all users.
//! <https://learn.microsoft.com/entra/identity-platform/v2-admin-consent>

use super::guesses::Whose;
use super::resolve::{NamedProviders, Route};
use super::{CallbackParams, Returned};
use crate::credential_data::is_tenant;
use crate::credentials::credential_change;
use crate::directory::is_uuid;
use crate::engine::Engine;
use crate::error::Error;
use crate::known::{KnownApplication, KnownCredential};
use crate::provider_calls::ProviderFailure;
use keyway_core::catalogue::ProviderEntry;
use keyway_core::change::Action;
use keyway_core::connector::Connector;
use keyway_core::credential::{Credential, CredentialType, TenantConsent};
use keyway_core::ids::CredentialId;
use keyway_core::oauth::Client;
use keyway_core::refusal::{Blame, blame_of};
use keyway_core::sign_in::{CredentialChoice, Started};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// A consent given a moment ago may not have reached every part of the provider: asked so often for a token.
const TRIES: u32 = 4;
/// The pause before the second try; doubles.
const PAUSE: Duration = Duration::from_millis(500);

fn refused(description: impl Into<String>) -> Returned {
    Returned::invalid_request(description)
}

impl Engine {
    /// The credential whose application is to be consented to: the one that is named, or the connector's
    /// only one of its type.
    pub(super) async fn consent_route(
        &self,
        known: &KnownApplication,
        providers: &NamedProviders,
        named: Option<CredentialId>,
    ) -> Result<Result<Route, Returned>, Error> {
        let connector = match self.consent_connector(known, providers) {
            Ok(connector) => connector,
            Err(returned) => return Ok(Err(returned)),
        };
        let (id, choice) = match named {
            Some(id) => (id, CredentialChoice::Named),
            None => match self.only_consent_credential(connector).await? {
                Some(only) => (only.id, CredentialChoice::Default),
                None => {
                    let words = "credential_id: is required: the connector does not have exactly one credential of type adminconsent";
                    return Ok(Err(refused(words)));
                }
            },
        };
        let found = self.known_credential(connector.application_id, id).await?;
        let found = found.filter(|known| known.credential.connector_id == connector.id);
        Ok(match found {
            None => Err(refused(format!(
                "credential_id: the {} connector has no credential with this id",
                connector.provider
            ))),
            Some(other) if other.credential.credential_type != CredentialType::AdminConsent => {
                Err(refused(
                    "credential_id: an administrator consents through a credential of type adminconsent",
                ))
            }
            Some(credential) => Ok(Route {
                connector: connector.clone(),
                credential,
                choice,
            }),
        })
    }

    fn consent_connector<'a>(
        &self,
        known: &'a KnownApplication,
        providers: &NamedProviders,
    ) -> Result<&'a Connector, Returned> {
        let takes_consent = |connector: &&Connector| {
            let entry = self.entry(connector.provider);
            entry.is_ok_and(|entry| entry.consent_scope.is_some())
        };
        let is_named = |connector: &&Connector| {
            providers.known.is_empty() || providers.known.contains(&connector.provider)
        };
        let mut connectors = known.connectors.iter().filter(takes_consent);
        connectors.find(is_named).ok_or_else(|| {
            refused("provider: administrators consent for microsoft connectors only, and this application has none")
        })
    }

    async fn only_consent_credential(
        &self,
        connector: &Connector,
    ) -> Result<Option<Credential>, Error> {
        let (application_id, id) = (connector.application_id, connector.id);
        let job = self.store().read(move |s| {
            Box::pin(async move {
                s.only_credential_of_type(application_id, id, CredentialType::AdminConsent)
                    .await
            })
        });
        Ok(job.await?)
    }

    /// Whether an administrator has consented indeed: anybody can forge the way back, nobody the token that the
    /// provider gives only then. Whoever forges it learns whether a tenant has consented, and has this server ask:
    /// so tries are counted.
    pub(super) async fn consented(
        &self,
        started: &Started,
        known: &Arc<KnownCredential>,
        params: &CallbackParams,
    ) -> Result<(), Returned> {
        let tenant = claimed_tenant(&known.client, params)?;
        let whose = whose(started);
        let began_at = self.now();
        let guesses = &self.inner.guesses;
        guesses.begin(&whose, began_at).map_err(too_many)?;
        let asked = self.proved_tenant(known, tenant).await?;
        guesses.forgive(&whose, began_at);
        self.note_consent(known, asked).await
    }

    /// The tenant for which the provider gives a token.
    async fn proved_tenant(
        &self,
        known: &KnownCredential,
        tenant: &str,
    ) -> Result<String, Returned> {
        let (credential, client) = (&known.credential, &known.client);
        let entry = self
            .entry(credential.provider)
            .map_err(|error| super::callback::ours(&error))?;
        let asked = self.asked_tenant(entry, client, tenant).await?;
        match self.token_of_tenant(credential, client, &asked).await {
            Ok(()) => Ok(asked),
            Err(failure) => {
                failure.log(credential, "an administrator's consent");
                Err(not_consented(credential, failure))
            }
        }
    }

    /// The tenant to ask for a token in: the credential's own, which must be the one that consented.
    async fn asked_tenant(
        &self,
        entry: &ProviderEntry,
        client: &Client,
        tenant: &str,
    ) -> Result<String, Returned> {
        let Some(own) = client.own_tenant() else {
            return Ok(tenant.to_ascii_lowercase());
        };
        let found = self.tenant_id(entry, own).await;
        let found = found.map_err(|failure| {
            let words =
                format!("the tenant {own} of the credential could not be looked up: {failure}");
            Returned::new("temporarily_unavailable", 45001, words)
        })?;
        // A name without an id (a stand-in's) cannot be compared; the token is asked for in it all the same.
        let is_same = |id: &String| !is_uuid(id) || id.eq_ignore_ascii_case(tenant);
        found.filter(is_same).ok_or_else(|| {
            let words = format!(
                "the administrator belongs to another tenant than {own}, which the credential names"
            );
            Returned::new("access_denied", 45002, words)
        })
    }

    async fn token_of_tenant(
        &self,
        credential: &Credential,
        client: &Client,
        tenant: &str,
    ) -> Result<(), ProviderFailure> {
        let client = client.clone().in_tenant(tenant);
        let source = self.consent_source(credential.provider);
        let source = source.map_err(ProviderFailure::Ours)?;
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.obtain(credential.provider, &client, &source).await {
                Ok(_) => return Ok(()),
                Err(failure) if may_come(credential, &failure) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(failure) => return Err(failure),
            }
        }
        let last = self.obtain(credential.provider, &client, &source).await;
        last.map(|_| ())
    }

    /// Notes the consent of a tenant that is not known to have given it.
    async fn note_consent(&self, known: &KnownCredential, tenant: String) -> Result<(), Returned> {
        let credential = &known.credential;
        self.note_healthy(credential).await;
        let now = self.now();
        let mut change = credential_change(credential, Action::Consented, "engine", now);
        change.detail.insert("tenant".to_owned(), json!(tenant));
        let consent = TenantConsent {
            application_id: credential.application_id,
            credential_id: credential.id,
            client_id: known.client.client_id.clone(),
            tenant,
            noted_at: now,
        };
        let noted = self.commit(move |s| {
            Box::pin(async move {
                let is_new = s.note_tenant_consent(&consent).await?;
                Ok(((), is_new.then_some(change).into_iter().collect()))
            })
        });
        noted.await.map_err(|error| super::callback::ours(&error))
    }
}

/// Who is counted: the client that began the sign-in, as its handle has it. Neither tenant nor credential is: a
/// stranger could use up the tries of an administrator.
fn whose(started: &Started) -> Vec<Whose> {
    let ip = started.ip.as_deref().and_then(|ip| ip.parse().ok());
    Whose::of(started.application_id, &[], ip)
}

fn too_many(wait_secs: u32) -> Returned {
    let words = format!(
        "consents of administrators were tried too often from this network; start again in {wait_secs} seconds"
    );
    Returned::new("temporarily_unavailable", 429, words)
}

/// The tenant that is said to have consented, if that is said as the provider says it: by its id, since domains it has
/// many. A credential that names its tenant is asked for that one alone, whatever a stand-in calls it.
fn claimed_tenant<'a>(client: &Client, params: &'a CallbackParams) -> Result<&'a str, Returned> {
    let is_given = params.admin_consent.as_deref();
    if !is_given.is_some_and(|given| given.eq_ignore_ascii_case("true")) {
        let words = "the provider did not say that an administrator consented";
        return Err(Returned::new("server_error", 45002, words));
    }
    let is_known = |name: &&str| match client.own_tenant() {
        Some(_) => is_tenant(name),
        None => is_uuid(name),
    };
    let tenant = params.tenant.as_deref().filter(is_known);
    tenant.ok_or_else(|| {
        let words = "the provider did not say which tenant consented";
        Returned::new("server_error", 45002, words)
    })
}

/// Where the administrator consents: for the tenant the credential names to what is asked for (version 2), else for
/// the administrator's own to all that the application lists (version 1).
pub(super) fn consent_url(
    entry: &ProviderEntry,
    client: &Client,
    redirect_uri: &str,
    state: &str,
) -> Result<Url, Error> {
    let is_tied = client.own_tenant().is_some();
    let endpoint = match is_tied {
        true => &entry.admin_consent_endpoint,
        false => &entry.admin_consent_v1_endpoint,
    };
    let missing = || Error::internal("the provider has no page for administrators");
    let endpoint = endpoint.as_ref().ok_or_else(missing)?;
    let endpoint = entry.endpoint(endpoint, client.tenant.as_deref());
    let mut url = Url::parse(&endpoint).map_err(Error::internal)?;
    let mut query = url.query_pairs_mut();
    query
        .append_pair("client_id", &client.client_id)
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("state", state);
    query.extend_pairs(
        entry
            .consent_scope
            .as_deref()
            .filter(|_| is_tied)
            .map(|s| ("scope", s)),
    );
    drop(query);
    Ok(url)
}

/// Whether a refusal may be one of a provider that does not know yet.
fn may_come(credential: &Credential, failure: &ProviderFailure) -> bool {
    match failure {
        ProviderFailure::Refused(error) => matches!(
            blame_of(credential.provider, credential.credential_type, error),
            Blame::TenantAdmin | Blame::OtherClient
        ),
        other => other.is_transient(),
    }
}

fn not_consented(credential: &Credential, failure: ProviderFailure) -> Returned {
    match failure {
        ProviderFailure::Refused(error) if crate::health::client_fault(credential, &error) => {
            let words =
                "the provider refuses the client id or secret of this credential; see its health";
            Returned::new("unauthorized_client", 45001, words)
        }
        ProviderFailure::Refused(error) => {
            let words = format!(
                "the provider gives no token for this tenant ({}), so its administrator has not consented",
                error.error
            );
            Returned::new("access_denied", 45002, words)
        }
        ProviderFailure::Ours(error) => super::callback::ours(&error),
        other => {
            let words =
                format!("whether the administrator consented could not be found out: {other}");
            Returned::new("temporarily_unavailable", 45001, words)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::catalogue::Catalogue;
    use keyway_core::provider::Provider;
    use secrecy::SecretString;

    fn url(tenant: Option<&str>) -> String {
        let catalogue = Catalogue::default();
        let client = Client {
            client_id: "c".into(),
            client_secret: SecretString::default(),
            tenant: tenant.map(str::to_owned),
        };
        let entry = catalogue.entry(Provider::Microsoft).unwrap();
        consent_url(entry, &client, "https://k/cb", "s")
            .unwrap()
            .into()
    }

    #[test]
    fn a_tenant_decides_the_version_of_the_page() {
        let rest = "adminconsent?client_id=c&redirect_uri=https%3A%2F%2Fk%2Fcb&state=s";
        let host = "https://login.microsoftonline.com";
        assert_eq!(url(None), format!("{host}/common/{rest}"));
        assert_eq!(url(Some("common")), format!("{host}/common/{rest}"));
        let scope = "&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default";
        assert_eq!(
            url(Some("contoso.com")),
            format!("{host}/contoso.com/v2.0/{rest}{scope}")
        );
    }
}
