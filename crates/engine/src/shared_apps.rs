//! The operator's shared apps: provider applications lent to applications, beside or instead of their own.

use crate::applications::changed_meanwhile;
use crate::connectors::NewCredentialRows;
use crate::credential_data::provider_project;
use crate::credentials::{NewCredential, credential_change};
use crate::engine::{Engine, SharedApp};
use crate::error::{Error, ErrorKind};
use keyway_core::change::Action;
use keyway_core::connector::Connector;
use keyway_core::credential::{Credential, CredentialType, Owner};
use keyway_core::provider::Provider;
use keyway_store::Session;

/// Members by which an application brings a client of its own.
const CLIENT_MEMBERS: [&str; 2] = ["client_id", "client_secret"];

/// A shared app was given another client while grants live by the former one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientChanged {
    /// Whose app.
    pub provider: Provider,
    /// The client the grants were made through.
    pub former: String,
    /// How many they are.
    pub grants: i64,
}

/// A lent primary is the operator's to change. One that an application added beside it bears the application's name
/// for it, and goes when the application says so.
pub(crate) fn refuse_lent_primary(
    connector: &Connector,
    credential: &Credential,
) -> Result<(), Error> {
    let is_primary = connector.primary_credential_id == Some(credential.id);
    match credential.owner == Owner::Operator && is_primary {
        true => Err(read_only()),
        false => Ok(()),
    }
}

pub(crate) fn read_only() -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        "This credential is the operator's shared app; its client is changed in the server's configuration. One that was added beside the primary can be renamed and deleted.",
    )
}

impl Engine {
    /// The operator's app for a connector's provider, if its application may use it.
    pub(crate) fn lent_to(&self, connector: &Connector) -> Option<&SharedApp> {
        let shared = self.settings().shared_apps.get(&connector.provider)?;
        shared.allows(connector.application_id).then_some(shared)
    }

    /// The rows of a credential that is asked for without a client, where the operator lends one.
    pub(crate) fn lent_rows(
        &self,
        connector: &Connector,
        new: &NewCredential,
    ) -> Option<NewCredentialRows> {
        let brings_own = CLIENT_MEMBERS
            .iter()
            .any(|name| new.data.contains_key(*name));
        if brings_own || new.credential_type != CredentialType::Connector {
            return None;
        }
        let app = self.lent_to(connector)?;
        let credential = self.lent_credential(connector, &new.name, app);
        Some(NewCredentialRows {
            credential,
            secret: None,
        })
    }

    /// A shared app as a credential: its client's data stays in the configuration.
    pub(crate) fn lent_credential(
        &self,
        connector: &Connector,
        name: &str,
        app: &SharedApp,
    ) -> Credential {
        let client_id = app.client_id.clone();
        Credential {
            owner: Owner::Operator,
            provider_project: provider_project(
                connector.provider,
                Some(&client_id),
                &connector.settings,
            ),
            client_id: Some(client_id),
            ..self.blank_credential(connector, name)
        }
    }

    /// Takes up what the configuration says of shared apps now: their credentials keep their ids and speak as the
    /// client that is configured.
    ///
    /// # Errors
    /// If the database fails; inside, if a client was replaced while grants live by the former: their refresh tokens
    /// are good for no other (RFC 6749, 6).
    pub async fn settle_shared_apps(&self) -> Result<Result<(), ClientChanged>, Error> {
        for (provider, app) in &self.settings().shared_apps {
            let (provider, client_id) = (*provider, app.client_id.clone());
            let job = self.store().read(move |s| {
                Box::pin(async move { s.lent_with_other_client(provider, &client_id).await })
            });
            for credential in job.await? {
                if let Some(changed) = self.adopt_client(credential, &app.client_id).await? {
                    return Ok(Err(changed));
                }
            }
        }
        Ok(Ok(()))
    }

    async fn adopt_client(
        &self,
        mut credential: Credential,
        client_id: &str,
    ) -> Result<Option<ClientChanged>, Error> {
        let former = credential.client_id.replace(client_id.to_owned());
        credential.updated_at = self.now();
        credential.version += 1;
        let change = credential_change(&credential, Action::Updated, "engine", self.now());
        let provider = credential.provider;
        let grants = self
            .commit(move |s| {
                Box::pin(async move {
                    let counts = s
                        .grant_counts(credential.application_id, credential.id)
                        .await?;
                    let grants = counts.valid + counts.invalid;
                    if grants > 0 {
                        return Ok((grants, Vec::new()));
                    }
                    credential.provider_project = project_of(s, &credential).await?;
                    match s
                        .update_credential(&credential, credential.version - 1)
                        .await?
                    {
                        true => Ok((0, vec![change])),
                        false => Err(changed_meanwhile()),
                    }
                })
            })
            .await?;
        Ok((grants > 0).then(|| ClientChanged {
            provider,
            former: former.unwrap_or_default(),
            grants,
        }))
    }
}

/// The provider's project of a credential that speaks for the operator's app: the connector may name it, as where the
/// credential is made.
async fn project_of(s: &mut Session<'_>, credential: &Credential) -> Result<Option<String>, Error> {
    let (application_id, id) = (credential.application_id, credential.connector_id);
    let connector = s.connector_by_id(application_id, id).await?;
    let connector = connector.ok_or_else(changed_meanwhile)?;
    let client_id = credential.client_id.as_deref();
    Ok(provider_project(
        connector.provider,
        client_id,
        &connector.settings,
    ))
}
