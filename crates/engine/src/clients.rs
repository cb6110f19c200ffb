//! From a credential to the OAuth client it stands for: the one place where a client secret is opened.

use crate::engine::Engine;
use crate::error::Error;
use keyway_core::credential::{Credential, CredentialSecret, Owner, SlotState};
use keyway_core::ids::{ApplicationId, CredentialId, SecretId};
use keyway_core::oauth::Client;
use keyway_core::provider::Provider;
use keyway_core::sealed::{DigestKind, SealContext};
use keyway_store::SealedColumn;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

#[derive(Deserialize)]
struct StoredClient {
    client_id: Option<String>,
    client_secret: Option<String>,
}

impl Engine {
    /// The OAuth client of `credential`: its own, the one it borrows, or the operator's.
    pub(crate) async fn client(&self, credential: &Credential) -> Result<Client, Error> {
        let tenant = self.tenant(credential).await?;
        if credential.owner == Owner::Operator {
            return self.shared_client(credential, tenant);
        }
        let holder = credential.borrows_from.unwrap_or(credential.id);
        let (client_id, client_secret) =
            self.open_client(credential.application_id, holder).await?;
        Ok(Client {
            client_id,
            client_secret,
            tenant,
        })
    }

    /// The credential's own tenant, else the connector's; Microsoft alone has any.
    async fn tenant(&self, credential: &Credential) -> Result<Option<String>, Error> {
        if credential.tenant.is_some() || credential.provider != Provider::Microsoft {
            return Ok(credential.tenant.clone());
        }
        let (application_id, id) = (credential.application_id, credential.connector_id);
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.connector_by_id(application_id, id).await }));
        let connector = job.await?;
        Ok(connector.and_then(|connector| connector.tenant().map(str::to_owned)))
    }

    fn shared_client(
        &self,
        credential: &Credential,
        tenant: Option<String>,
    ) -> Result<Client, Error> {
        let shared = self.settings().shared_apps.get(&credential.provider);
        let shared = shared.filter(|app| app.allows(credential.application_id)).ok_or_else(|| {
            Error::new(
                crate::ErrorKind::InvalidRequest,
                "The operator of this server no longer lends a provider application for this connector; add a credential of your own and make it the default.",
            )
        })?;
        Ok(Client {
            client_id: shared.client_id.clone(),
            client_secret: shared.client_secret.clone(),
            tenant,
        })
    }

    async fn open_client(
        &self,
        application_id: ApplicationId,
        holder: CredentialId,
    ) -> Result<(String, SecretString), Error> {
        let data = self.open_data(application_id, holder).await?;
        let stored: StoredClient = serde_json::from_slice(&data).map_err(Error::internal)?;
        match (stored.client_id, stored.client_secret) {
            (Some(id), Some(secret)) => Ok((id, SecretString::from(secret))),
            _ => Err(Error::field(
                "credential_id",
                "this credential has no OAuth client",
            )),
        }
    }

    /// The opened `credential_data` of a credential.
    pub(crate) async fn open_data(
        &self,
        application_id: ApplicationId,
        credential_id: CredentialId,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let now = self.now();
        let job = self.store().read(move |s| {
            Box::pin(async move {
                s.current_credential_secret(application_id, credential_id, now)
                    .await
            })
        });
        let slot = job.await?.ok_or_else(|| {
            Error::field(
                "credential_id",
                "this credential has no secret that is valid now",
            )
        })?;
        let row = slot.id.to_string();
        let context = SealContext {
            purpose: SealedColumn::CredentialSecrets.as_str(),
            row: &row,
        };
        self.open_sealed(&context, &slot.sealed)
    }

    /// A slot with `data`, sealed and bound to the slot.
    pub(crate) fn new_secret(
        &self,
        application_id: ApplicationId,
        credential_id: CredentialId,
        data: &Map<String, Value>,
    ) -> Result<CredentialSecret, Error> {
        let now = self.now();
        let id = SecretId::generate(now, self.entropy());
        let plain = Zeroizing::new(serde_json::to_vec(data).map_err(Error::internal)?);
        let row = id.to_string();
        let context = SealContext {
            purpose: SealedColumn::CredentialSecrets.as_str(),
            row: &row,
        };
        Ok(CredentialSecret {
            id,
            application_id,
            credential_id,
            sealed: self.vault().seal(&context, &plain),
            state: SlotState::Active,
            not_before: now,
            expires_at: None,
            created_at: now,
        })
    }

    /// The digest by which an equal creation is recognised: type, name and data, members sorted.
    pub(crate) fn data_digest(
        &self,
        credential_type: keyway_core::credential::CredentialType,
        name: &str,
        data: &Map<String, Value>,
    ) -> keyway_core::sealed::Digest {
        // serde_json's maps are sorted, so equal objects have equal texts.
        let all = json!([credential_type.as_str(), name, data]);
        let text = Zeroizing::new(all.to_string());
        self.vault()
            .digest(DigestKind::CredentialData, text.as_bytes())
    }
}
