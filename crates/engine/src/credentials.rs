//! Credentials: the provider applications behind a connector.

use crate::applications::changed_meanwhile;
use crate::borrowing::{borrowed_client, is_borrowed, refuse_stranding};
use crate::caller::Caller;
use crate::connectors::{self, NewCredentialRows, connector_change};
use crate::credential_data::{self, provider_project};
use crate::engine::{ChangeOf, Engine};
use crate::error::{Error, ErrorKind};
use crate::name::check_name;
use crate::shared_apps::{read_only, refuse_lent_primary};
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::connector::Connector;
use keyway_core::credential::{Credential, CredentialType, Health, Owner};
use keyway_core::ids::CredentialId;
use keyway_core::page::Page;
use keyway_core::provider::Provider;
use keyway_core::sealed::Digest;
use keyway_core::time::UnixMillis;
use keyway_store::{Constraint, Session, StoreError};
use serde_json::{Map, Value, json};

/// A credential to make.
#[derive(Clone)]
pub struct NewCredential {
    /// Its name; unique on its connector.
    pub name: String,
    /// Its type.
    pub credential_type: CredentialType,
    /// Its data; unknown members are kept.
    pub data: Map<String, Value>,
}

impl std::fmt::Debug for NewCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewCredential")
            .field("name", &self.name)
            .field("credential_type", &self.credential_type)
            .finish_non_exhaustive()
    }
}

/// What to change of a credential. Absent members keep their values; `data` is replaced whole.
#[derive(Clone, Default)]
pub struct CredentialPatch {
    /// The name.
    pub name: Option<String>,
    /// The data.
    pub data: Option<Map<String, Value>>,
}

impl std::fmt::Debug for CredentialPatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CredentialPatch")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn missing() -> Error {
    Error::not_found("No credential of this connector has this id.")
}

fn name_taken() -> Error {
    Error::field(
        "name",
        "another credential of this connector has this name and other data",
    )
}

impl Engine {
    pub(crate) async fn live_credential(
        &self,
        caller: &Caller,
        id: CredentialId,
    ) -> Result<Option<Credential>, Error> {
        let application_id = caller.application_id;
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.credential(application_id, id).await }));
        Ok(job.await?)
    }

    /// Adds a credential to a connector. One equal in type, name and data is returned instead of made.
    ///
    /// # Errors
    /// If there is no connector, a member is wrong, or the name is taken.
    pub async fn create_credential(
        &self,
        caller: &Caller,
        provider: Provider,
        mut new: NewCredential,
    ) -> Result<Credential, Error> {
        check_name(&new.name)?;
        new.data = credential_data::unmangled(new.data);
        let connector = self.connector(caller, provider).await?;
        let rows = match self.lent_rows(&connector, &new) {
            Some(lent) => lent,
            None => self.own_rows(&connector, &new)?,
        };
        self.refuse_lent_lender(caller, &rows.credential).await?;
        let digest = rows.credential.data_digest;
        if let Some(existing) = self.equal_credential(&connector, digest).await? {
            return Ok(existing);
        }
        let credential = rows.credential.clone();
        let connector_now = connector.clone();
        if let Err(error) = self.store_credential(caller, connector, rows).await {
            // An equal one made at the same moment is as good as this one.
            let made = self.equal_credential(&connector_now, digest).await?;
            return made.ok_or(error);
        }
        self.probe_in_background(credential.clone());
        Ok(credential)
    }

    async fn equal_credential(
        &self,
        connector: &Connector,
        digest: Digest,
    ) -> Result<Option<Credential>, Error> {
        let (application_id, connector_id) = (connector.application_id, connector.id);
        let job = self.store().read(move |s| {
            Box::pin(async move {
                s.credential_by_digest(application_id, connector_id, &digest)
                    .await
            })
        });
        Ok(job.await?)
    }

    fn own_rows(
        &self,
        connector: &Connector,
        new: &NewCredential,
    ) -> Result<NewCredentialRows, Error> {
        let provider = connector.provider;
        let members = credential_data::check(provider, new.credential_type, &new.data)?;
        let credential = Credential {
            credential_type: new.credential_type,
            provider_project: provider_project(provider, members.client_id.as_deref(), &new.data),
            borrows_from: borrowed_client(connector, new.credential_type, &members)?,
            client_id: members.client_id,
            tenant: members.tenant,
            data_digest: self.data_digest(new.credential_type, &new.name, &new.data),
            ..self.blank_credential(connector, &new.name)
        };
        let secret = self.new_secret(credential.application_id, credential.id, &new.data)?;
        Ok(NewCredentialRows {
            credential,
            secret: Some(secret),
        })
    }

    /// A new credential of a connector, of its application's own and without data.
    pub(crate) fn blank_credential(&self, connector: &Connector, name: &str) -> Credential {
        let now = self.now();
        Credential {
            id: CredentialId::generate(now, self.entropy()),
            application_id: connector.application_id,
            connector_id: connector.id,
            provider: connector.provider,
            name: name.to_owned(),
            credential_type: CredentialType::Connector,
            owner: Owner::Application,
            client_id: None,
            provider_project: None,
            tenant: connector.tenant().map(str::to_owned),
            borrows_from: None,
            labels: Map::new(),
            data_digest: self.data_digest(CredentialType::Connector, name, &Map::new()),
            health: Health::default(),
            created_at: now,
            updated_at: now,
            deleted_at: None,
            version: 1,
        }
    }

    /// Stores a new credential; the first OAuth client of a connector without a default becomes it.
    async fn store_credential(
        &self,
        caller: &Caller,
        mut connector: Connector,
        rows: NewCredentialRows,
    ) -> Result<(), Error> {
        let now = rows.credential.created_at;
        let first = connector.active_credential_id.is_none()
            && rows.credential.credential_type == CredentialType::Connector;
        connector.active_credential_id =
            connector.active_credential_id.or(Some(rows.credential.id));
        connector.updated_at = now;
        connector.version += 1;
        let actor = caller.actor();
        let mut changes = vec![credential_change(
            &rows.credential,
            Action::Created,
            &actor,
            now,
        )];
        if first {
            changes.push(connector_change(&connector, Action::Updated, &actor, now));
        }
        self.commit(move |s| {
            Box::pin(async move {
                // Before the hold: two holders who both want to write would wait for each other.
                let is_written = !first
                    || s.update_connector(&connector, connector.version - 1)
                        .await?;
                hold_ground(s, &rows.credential).await?;
                if !is_written {
                    return Err(changed_meanwhile());
                }
                insert_rows(s, &rows).await?;
                Ok(((), changes))
            })
        })
        .await
    }

    /// A connector's credentials.
    ///
    /// # Errors
    /// If there is no connector.
    pub async fn credentials(
        &self,
        caller: &Caller,
        provider: Provider,
        page: Page,
    ) -> Result<Vec<Credential>, Error> {
        let connector = self.connector(caller, provider).await?;
        let (application_id, id) = (caller.application_id, connector.id);
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.credentials(application_id, id, page).await }));
        Ok(job.await?)
    }

    /// One credential.
    ///
    /// # Errors
    /// If the connector has none with this id.
    pub async fn credential(
        &self,
        caller: &Caller,
        provider: Provider,
        id: CredentialId,
    ) -> Result<Credential, Error> {
        let connector = self.connector(caller, provider).await?;
        let found = self.live_credential(caller, id).await?;
        found
            .filter(|c| c.connector_id == connector.id)
            .ok_or_else(missing)
    }

    /// Changes name or data. New data is used from the next provider call on, for all its grants.
    ///
    /// # Errors
    /// If there is none, a member is wrong, the name is taken, the client is the operator's, or `client_id` changes
    /// while grants use the credential: their tokens belong to the old client and would all die.
    pub async fn update_credential(
        &self,
        caller: &Caller,
        provider: Provider,
        id: CredentialId,
        mut patch: CredentialPatch,
    ) -> Result<Credential, Error> {
        let mut edited = self.credential(caller, provider, id).await?;
        if patch.name.is_none() && patch.data.is_none() {
            return Ok(edited);
        }
        patch.data = patch.data.map(credential_data::unmangled);
        let connector = self.connector(caller, provider).await?;
        refuse_lent_primary(&connector, &edited)?;
        let current = self.data_of(&edited).await?;
        let data = patch.data.as_ref().unwrap_or(&current);
        if let Some(name) = patch.name {
            check_name(&name)?;
            edited.name = name;
        }
        if let Some(data) = &patch.data {
            if edited.owner == Owner::Operator {
                return Err(read_only());
            }
            let members = credential_data::check(provider, edited.credential_type, data)?;
            let before = edited.clone();
            edited.borrows_from =
                match borrowed_client(&connector, edited.credential_type, &members)? {
                    // Pinned when it was made: a later default moves nothing (rule 2).
                    Some(_) if edited.borrows_from.is_some() => edited.borrows_from,
                    other => other,
                };
            self.refuse_lent_lender(caller, &edited).await?;
            edited.provider_project =
                provider_project(provider, members.client_id.as_deref(), data);
            edited.client_id = members.client_id;
            edited.tenant = members.tenant;
            self.refuse_other_client("credential_data.client_id", &before, &edited)
                .await?;
        }
        edited.data_digest = self.data_digest(edited.credential_type, &edited.name, data);
        edited.updated_at = self.now();
        edited.version += 1;
        let secret = match &patch.data {
            Some(data) => Some(self.new_secret(edited.application_id, edited.id, data)?),
            None => None,
        };
        self.store_edit(
            caller,
            NewCredentialRows {
                credential: edited.clone(),
                secret,
            },
        )
        .await?;
        Ok(edited)
    }

    async fn data_of(&self, credential: &Credential) -> Result<Map<String, Value>, Error> {
        if credential.owner == Owner::Operator {
            // The client is in the configuration, and nothing is kept here.
            return Ok(Map::new());
        }
        let bytes = self
            .open_data(credential.application_id, credential.id)
            .await?;
        serde_json::from_slice(&bytes).map_err(Error::internal)
    }

    async fn store_edit(&self, caller: &Caller, rows: NewCredentialRows) -> Result<(), Error> {
        let credential = rows.credential.clone();
        let change = credential_change(
            &credential,
            Action::Updated,
            &caller.actor(),
            credential.updated_at,
        );
        let renewed = rows.secret.is_some();
        self.commit(move |s| {
            Box::pin(async move {
                hold_ground(s, &rows.credential).await?;
                replace_rows(s, &rows).await?;
                Ok(((), vec![change]))
            })
        })
        .await?;
        if renewed {
            self.probe_client_in_background(credential);
        }
        Ok(())
    }

    /// Deletes a credential. Its grants end at once, by standing on nothing.
    ///
    /// # Errors
    /// If there is none, it is the connector's default or a primary that the operator lends, or another credential
    /// borrows its client.
    pub async fn delete_credential(
        &self,
        caller: &Caller,
        provider: Provider,
        id: CredentialId,
    ) -> Result<(), Error> {
        let credential = self.credential(caller, provider, id).await?;
        let mut connector = self.connector(caller, provider).await?;
        if connector.active_credential_id == Some(id) {
            return Err(is_default(provider));
        }
        refuse_lent_primary(&connector, &credential)?;
        let now = self.now();
        connector.primary_credential_id = connector.primary_credential_id.filter(|p| *p != id);
        connector.updated_at = now;
        connector.version += 1;
        let actor = caller.actor();
        let changes = vec![
            credential_change(&credential, Action::Deleted, &actor, now),
            connector_change(&connector, Action::Updated, &actor, now),
        ];
        self.commit(move |s| {
            Box::pin(async move {
                // The connector's version fences a change of the default at the same moment.
                if !s
                    .update_connector(&connector, connector.version - 1)
                    .await?
                {
                    return Err(changed_meanwhile());
                }
                if let Some(by) = s.credential_borrower(connector.application_id, id).await? {
                    return Err(is_borrowed(&by.name));
                }
                if !s
                    .delete_credential(connector.application_id, id, now)
                    .await?
                {
                    return Err(missing());
                }
                Ok(((), changes))
            })
        })
        .await
    }
}

/// What a credential stands on must be there when it is written, and stay: its connector, and whoever
/// lends it a client.
async fn hold_ground(s: &mut Session<'_>, credential: &Credential) -> Result<(), Error> {
    let application_id = credential.application_id;
    if !s
        .hold_connector(application_id, credential.connector_id)
        .await?
    {
        return Err(connectors::missing(credential.provider));
    }
    match credential.borrows_from {
        // Whoever deletes a lender writes the connector first.
        Some(lender) if s.credential(application_id, lender).await?.is_none() => {
            Err(changed_meanwhile())
        }
        _ => Ok(()),
    }
}

fn is_default(provider: Provider) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "This credential is the connector's default; point active_credential_id of /v3/connectors/{provider} at another one first."
        ),
    )
}

pub(crate) async fn insert_rows(
    s: &mut Session<'_>,
    rows: &NewCredentialRows,
) -> Result<(), Error> {
    match s.insert_credential(&rows.credential).await {
        Err(StoreError::Conflict(Constraint::CredentialName)) => return Err(name_taken()),
        other => other?,
    }
    if let Some(secret) = &rows.secret {
        s.insert_credential_secret(secret).await?;
    }
    Ok(())
}

pub(crate) async fn replace_rows(
    s: &mut Session<'_>,
    rows: &NewCredentialRows,
) -> Result<(), Error> {
    let credential = &rows.credential;
    let before = s
        .credential(credential.application_id, credential.id)
        .await?;
    match s
        .update_credential(credential, credential.version - 1)
        .await
    {
        Ok(true) => {}
        Ok(false) => return Err(changed_meanwhile()),
        Err(StoreError::Conflict(Constraint::CredentialName)) => return Err(name_taken()),
        Err(other) => return Err(other.into()),
    }
    if let Some(before) = &before {
        refuse_stranding(s, before, credential).await?;
    }
    if let Some(secret) = &rows.secret {
        s.retire_credential_secrets(credential.application_id, credential.id)
            .await?;
        s.insert_credential_secret(secret).await?;
    }
    Ok(())
}

pub(crate) fn credential_change(
    row: &Credential,
    action: Action,
    actor: &str,
    at: UnixMillis,
) -> NewChange {
    let change = ChangeOf {
        application_id: row.application_id,
        entity: Entity::Credential,
        id: &row.id,
        action,
        actor,
    };
    let connector = row.connector_id.to_string();
    change.with(
        at,
        json!({"name": row.name, "provider": row.provider.as_str(), "connector_id": connector}),
    )
}
