//! Connectors: one provider in one application.

use crate::applications::changed_meanwhile;
use crate::caller::Caller;
use crate::credential_data::{ClientMembers, check_settings, provider_project, public_settings};
use crate::engine::{ChangeOf, Engine};
use crate::error::{Error, ErrorKind};
use crate::name::check_name;
use crate::tenant_json::check_member;
use keyway_core::catalogue::Catalogue;
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::connector::Connector;
use keyway_core::credential::{Credential, CredentialSecret, CredentialType, Owner};
use keyway_core::ids::{ConnectorId, CredentialId};
use keyway_core::page::{LIMIT_MAX, Page};
use keyway_core::provider::Provider;
use keyway_core::scope::Scopes;
use keyway_core::time::UnixMillis;
use keyway_store::{Constraint, StoreError};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

/// A connector to make.
#[derive(Clone, PartialEq)]
pub struct NewConnector {
    /// Its provider.
    pub provider: Provider,
    /// Its name; the provider's when absent.
    pub name: Option<String>,
    /// Settings, client members included.
    pub settings: Map<String, Value>,
    /// Default scopes.
    pub scope: Scopes,
}

impl std::fmt::Debug for NewConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewConnector")
            .field("provider", &self.provider)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What to change of a connector. Absent members keep their values.
#[derive(Clone, Default, PartialEq)]
pub struct ConnectorPatch {
    /// The name.
    pub name: Option<String>,
    /// The settings, replaced whole, save client members, which stay when left out.
    pub settings: Option<Map<String, Value>>,
    /// Default scopes, replaced whole.
    pub scope: Option<Scopes>,
    /// The default credential of later sign-ins.
    pub active_credential_id: Option<CredentialId>,
}

impl std::fmt::Debug for ConnectorPatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectorPatch")
            .field("name", &self.name)
            .field("scope", &self.scope)
            .field("active_credential_id", &self.active_credential_id)
            .finish_non_exhaustive()
    }
}

/// Exchange mailboxes have a few scopes; of providers' own only the provider knows.
fn check_default_scope(provider: Provider, scope: &Scopes) -> Result<(), Error> {
    match provider {
        Provider::Ews => crate::custom::check_ews_scope(scope),
        _ => Ok(()),
    }
}

pub(crate) fn missing(provider: Provider) -> Error {
    Error::not_found(format!(
        "This application has no {provider} connector; create one with POST /v3/connectors."
    ))
}

/// What is wrong with the name of a provider that nothing describes.
pub(crate) fn unknown(catalogue: &Catalogue) -> String {
    format!("unknown provider; use one of: {}", catalogue.names())
}

/// A credential about to be stored with its first secret, if it has one of its own.
pub(crate) struct NewCredentialRows {
    pub(crate) credential: Credential,
    pub(crate) secret: Option<CredentialSecret>,
}

impl Engine {
    /// Makes a connector, and from its client settings the primary credential, which becomes the
    /// default. Without client settings an operator's shared app serves, where one is lent.
    ///
    /// # Errors
    /// If there is one for the provider already, or a setting is wrong.
    pub async fn create_connector(
        &self,
        caller: &Caller,
        new: NewConnector,
    ) -> Result<Connector, Error> {
        if !self.catalogue().knows(new.provider) {
            return Err(Error::field("provider", unknown(self.catalogue())));
        }
        let members = check_settings(new.provider, &new.settings)?;
        check_default_scope(new.provider, &new.scope)?;
        let title = self.catalogue().title(&new.provider);
        let name = new.name.clone().unwrap_or_else(|| title.to_owned());
        check_name(&name)?;
        let mut connector = self.connector_row(caller, &new, name);
        check_member("settings", &connector.settings)?;
        let primary = self.primary_rows(&connector, &members)?;
        if let Some(rows) = &primary {
            connector.active_credential_id = Some(rows.credential.id);
            connector.primary_credential_id = Some(rows.credential.id);
        }
        let probe = primary.as_ref().map(|rows| rows.credential.clone());
        self.store_connector(caller, connector.clone(), primary)
            .await?;
        if let Some(credential) = probe {
            self.probe_in_background(credential);
        }
        Ok(connector)
    }

    async fn store_connector(
        &self,
        caller: &Caller,
        connector: Connector,
        primary: Option<NewCredentialRows>,
    ) -> Result<(), Error> {
        let actor = caller.actor();
        let now = connector.created_at;
        let mut changes = vec![connector_change(&connector, Action::Created, &actor, now)];
        changes.extend(primary.iter().map(|rows| {
            crate::credentials::credential_change(&rows.credential, Action::Created, &actor, now)
        }));
        self.commit(move |s| {
            Box::pin(async move {
                match s.insert_connector(&connector).await {
                    Err(StoreError::Conflict(Constraint::Connector)) => {
                        return Err(duplicate(connector.provider));
                    }
                    other => other?,
                }
                if let Some(rows) = primary {
                    crate::credentials::insert_rows(s, &rows).await?;
                }
                Ok(((), changes))
            })
        })
        .await
    }

    fn connector_row(&self, caller: &Caller, new: &NewConnector, name: String) -> Connector {
        let now = self.now();
        Connector {
            id: ConnectorId::generate(now, self.entropy()),
            application_id: caller.application_id,
            provider: new.provider,
            name,
            settings: public_settings(&new.settings),
            scope: new.scope.clone(),
            active_credential_id: None,
            primary_credential_id: None,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// The primary credential of a connector: its own client, else the operator's, else none.
    fn primary_rows(
        &self,
        connector: &Connector,
        members: &ClientMembers,
    ) -> Result<Option<NewCredentialRows>, Error> {
        let Some(client_id) = &members.client_id else {
            let lent = self.lent_to(connector);
            return Ok(lent.map(|app| NewCredentialRows {
                credential: self.lent_credential(connector, &connector.name, app),
                secret: None,
            }));
        };
        let data = client_data(members);
        let credential = Credential {
            owner: Owner::Application,
            provider_project: provider_project(
                connector.provider,
                Some(client_id),
                &connector.settings,
            ),
            client_id: Some(client_id.clone()),
            data_digest: self.data_digest(CredentialType::Connector, &connector.name, &data),
            ..self.blank_credential(connector, &connector.name)
        };
        let secret = self.new_secret(credential.application_id, credential.id, &data)?;
        Ok(Some(NewCredentialRows {
            credential,
            secret: Some(secret),
        }))
    }

    /// An application's connectors, newest first.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn connectors(
        &self,
        caller: &Caller,
        limit: i64,
        offset: i64,
    ) -> Result<Vec<Connector>, Error> {
        let id = caller.application_id;
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.connectors(id, limit, offset).await }));
        Ok(job.await?)
    }

    /// The connector of a provider.
    ///
    /// # Errors
    /// If there is none.
    pub async fn connector(&self, caller: &Caller, provider: Provider) -> Result<Connector, Error> {
        let id = caller.application_id;
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.connector(id, provider).await }));
        job.await?
            .ok_or_else(|| match self.catalogue().knows(provider) {
                true => missing(provider),
                false => Error::field("provider", unknown(self.catalogue())),
            })
    }

    /// Changes a connector. A new default decides later sign-ins only: no grant moves (rule 2).
    ///
    /// # Errors
    /// If the default is no live `connector` credential of this connector, or another `client_id` is
    /// given while grants use the primary credential; then nothing is changed.
    pub async fn update_connector(
        &self,
        caller: &Caller,
        provider: Provider,
        patch: ConnectorPatch,
    ) -> Result<Connector, Error> {
        let current = self.connector(caller, provider).await?;
        if patch == ConnectorPatch::default() {
            return Ok(current);
        }
        let mut updated = current.clone();
        if let Some(name) = patch.name {
            check_name(&name)?;
            updated.name = name;
        }
        if let Some(scope) = patch.scope {
            check_default_scope(provider, &scope)?;
            updated.scope = scope;
        }
        if let Some(id) = patch.active_credential_id {
            self.check_default(caller, &current, id).await?;
            updated.active_credential_id = Some(id);
        }
        updated.updated_at = self.now();
        updated.version += 1;
        let primary = match patch.settings {
            Some(settings) => self.patch_settings(caller, &mut updated, &settings).await?,
            None => PrimaryEdit::None,
        };
        self.store_update(caller, updated.clone(), primary).await?;
        Ok(updated)
    }

    async fn store_update(
        &self,
        caller: &Caller,
        updated: Connector,
        primary: PrimaryEdit,
    ) -> Result<(), Error> {
        let actor = caller.actor();
        let mut changes = vec![connector_change(
            &updated,
            Action::Updated,
            &actor,
            updated.updated_at,
        )];
        changes.extend(primary.change(&actor, updated.updated_at));
        let probe = primary.credential().cloned();
        self.commit(move |s| {
            Box::pin(async move {
                if !s.update_connector(&updated, updated.version - 1).await? {
                    return Err(changed_meanwhile());
                }
                primary.apply(s).await?;
                Ok(((), changes))
            })
        })
        .await?;
        if let Some(credential) = probe {
            self.probe_client_in_background(credential);
        }
        Ok(())
    }

    async fn check_default(
        &self,
        caller: &Caller,
        connector: &Connector,
        id: CredentialId,
    ) -> Result<(), Error> {
        let application_id = caller.application_id;
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.credential(application_id, id).await }));
        let name = "active_credential_id";
        match job.await?.filter(|c| c.connector_id == connector.id) {
            None => Err(Error::field(
                name,
                "no credential of this connector has this id",
            )),
            Some(c) if c.credential_type != CredentialType::Connector => Err(Error::field(
                name,
                "only a credential of type connector can be the default",
            )),
            Some(_) => Ok(()),
        }
    }

    /// Replaces the settings and carries client members over to the primary credential.
    async fn patch_settings(
        &self,
        caller: &Caller,
        connector: &mut Connector,
        settings: &Map<String, Value>,
    ) -> Result<PrimaryEdit, Error> {
        let members = ClientMembers::read("settings", settings)?;
        if !members.is_empty() && !connector.provider.is_oauth() {
            let what = format!("{} connectors take no client settings", connector.provider);
            return Err(Error::field("settings.client_id", what));
        }
        if connector.provider == Provider::Ews {
            crate::custom::check_ews_settings(settings)?;
        }
        let tenant = connector.settings.get("tenant").cloned();
        connector.settings = public_settings(settings);
        check_member("settings", &connector.settings)?;
        if let (Some(tenant), false) = (tenant, connector.settings.contains_key("tenant")) {
            connector.settings.insert("tenant".into(), tenant);
        }
        let primary = match connector.primary_credential_id {
            Some(id) => self.live_credential(caller, id).await?,
            None => None,
        };
        match primary {
            Some(primary) if primary.owner == Owner::Application => {
                self.edit_primary(connector, primary, &members).await
            }
            _ if members.is_empty() => Ok(PrimaryEdit::None),
            _ => self.add_primary(connector, settings).await,
        }
    }

    async fn add_primary(
        &self,
        connector: &mut Connector,
        settings: &Map<String, Value>,
    ) -> Result<PrimaryEdit, Error> {
        let members = check_settings(connector.provider, settings)?;
        let mut named = connector.clone();
        named.name = self.free_name(connector).await?;
        let Some(rows) = self.primary_rows(&named, &members)? else {
            return Ok(PrimaryEdit::None);
        };
        connector.primary_credential_id = Some(rows.credential.id);
        connector
            .active_credential_id
            .get_or_insert(rows.credential.id);
        Ok(PrimaryEdit::Add(Box::new(rows)))
    }

    /// The connector's name, or, where a credential of it is called so, the first free one of "<name> 2",
    /// "<name> 3" and so on.
    async fn free_name(&self, connector: &Connector) -> Result<String, Error> {
        let (application_id, id) = (connector.application_id, connector.id);
        let name = connector.name.clone();
        let job = self.store().read(move |s| {
            Box::pin(async move {
                let (mut free, mut number) = (name.clone(), 1_u32);
                while s
                    .credential_by_name(application_id, id, &free)
                    .await?
                    .is_some()
                {
                    number += 1;
                    free = format!("{name} {number}");
                }
                Ok(free)
            })
        });
        Ok(job.await?)
    }

    async fn edit_primary(
        &self,
        connector: &Connector,
        primary: Credential,
        members: &ClientMembers,
    ) -> Result<PrimaryEdit, Error> {
        if members.is_empty() && members.tenant.is_none() {
            return Ok(PrimaryEdit::None);
        }
        let old = self.open_data(primary.application_id, primary.id).await?;
        let mut data: Map<String, Value> = serde_json::from_slice(&old).map_err(Error::internal)?;
        data.extend(client_data(members));
        let client_id = data
            .get("client_id")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let mut edited = primary.clone();
        edited.provider_project =
            provider_project(edited.provider, client_id.as_deref(), &connector.settings);
        edited.client_id = client_id;
        self.refuse_other_client("settings.client_id", &primary, &edited)
            .await?;
        edited.tenant = members.tenant.clone().or(edited.tenant);
        edited.data_digest = self.data_digest(edited.credential_type, &edited.name, &data);
        edited.updated_at = self.now();
        edited.version += 1;
        let secret = self.new_secret(edited.application_id, edited.id, &data)?;
        let rows = NewCredentialRows {
            credential: edited,
            secret: Some(secret),
        };
        Ok(PrimaryEdit::Edit(Box::new(rows)))
    }

    /// Deletes a connector: all its grants end at once, by standing on nothing.
    ///
    /// # Errors
    /// If there is none.
    pub async fn delete_connector(&self, caller: &Caller, provider: Provider) -> Result<(), Error> {
        let connector = self.connector(caller, provider).await?;
        let (now, actor) = (self.now(), caller.actor());
        self.commit(move |s| {
            Box::pin(async move {
                let application_id = connector.application_id;
                if !s
                    .delete_connector(application_id, connector.id, now)
                    .await?
                {
                    return Err(missing(provider));
                }
                let mut changes = vec![connector_change(&connector, Action::Deleted, &actor, now)];
                for credential in all_credentials(s, &connector).await? {
                    changes.push(crate::credentials::credential_change(
                        &credential,
                        Action::Deleted,
                        &actor,
                        now,
                    ));
                }
                s.delete_credentials_of(application_id, connector.id, now)
                    .await?;
                Ok(((), changes))
            })
        })
        .await
    }
}

async fn all_credentials(
    s: &mut keyway_store::Session<'_>,
    connector: &Connector,
) -> Result<Vec<Credential>, StoreError> {
    let mut all = Vec::new();
    loop {
        let page = Page {
            limit: LIMIT_MAX,
            offset: i64::try_from(all.len()).unwrap_or(i64::MAX),
            ..Page::default()
        };
        let rows = s
            .credentials(connector.application_id, connector.id, page)
            .await?;
        if rows.is_empty() {
            return Ok(all);
        }
        all.extend(rows);
    }
}

/// What a change of settings does to the primary credential.
enum PrimaryEdit {
    None,
    Add(Box<NewCredentialRows>),
    Edit(Box<NewCredentialRows>),
}

impl PrimaryEdit {
    fn credential(&self) -> Option<&Credential> {
        match self {
            Self::None => None,
            Self::Add(rows) | Self::Edit(rows) => Some(&rows.credential),
        }
    }

    fn change(&self, actor: &str, at: UnixMillis) -> Option<NewChange> {
        let action = match self {
            Self::Add(_) => Action::Created,
            _ => Action::Updated,
        };
        let credential = self.credential()?;
        Some(crate::credentials::credential_change(
            credential, action, actor, at,
        ))
    }

    async fn apply(self, s: &mut keyway_store::Session<'_>) -> Result<(), Error> {
        match self {
            Self::None => Ok(()),
            Self::Add(rows) => crate::credentials::insert_rows(s, &rows).await,
            Self::Edit(rows) => crate::credentials::replace_rows(s, &rows).await,
        }
    }
}

fn client_data(members: &ClientMembers) -> Map<String, Value> {
    let mut data = Map::new();
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            data.insert(name.to_owned(), json!(value));
        }
    };
    put("client_id", members.client_id.as_deref());
    put(
        "client_secret",
        members.client_secret.as_ref().map(|s| s.expose_secret()),
    );
    put("tenant", members.tenant.as_deref());
    data
}

fn duplicate(provider: Provider) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "provider: this application has {} {provider} connector already; change it with PATCH /v3/connectors/{provider}, or add a credential to it",
            provider.article()
        ),
    )
}

pub(crate) fn connector_change(
    row: &Connector,
    action: Action,
    actor: &str,
    at: UnixMillis,
) -> NewChange {
    let change = ChangeOf {
        application_id: row.application_id,
        entity: Entity::Connector,
        id: &row.id,
        action,
        actor,
    };
    let active = row.active_credential_id.map(|id| id.to_string());
    change.with(
        at,
        json!({"provider": row.provider.as_str(), "active_credential_id": active}),
    )
}
