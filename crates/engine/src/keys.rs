//! API keys: made, listed and revoked from the command line.

use crate::engine::{ChangeOf, Engine};
use crate::error::Error;
use crate::name::check_name;
use keyway_core::application::ApiKey;
use keyway_core::bearer::{BearerKind, hint, new_bearer};
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::ids::{ApiKeyId, ApplicationId};
use keyway_core::sealed::DigestKind;
use keyway_core::time::UnixMillis;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

/// Who the sequence of changes says it was.
const ACTOR: &str = "cli";

impl Engine {
    /// A key and its row; not stored yet.
    pub(crate) fn new_key(
        &self,
        application_id: ApplicationId,
        name: &str,
        expires_at: Option<UnixMillis>,
    ) -> (ApiKey, SecretString) {
        let now = self.now();
        let secret = new_bearer(BearerKind::ApiKey, self.entropy());
        let text = secret.expose_secret();
        let key = ApiKey {
            id: ApiKeyId::generate(now, self.entropy()),
            application_id,
            name: name.to_owned(),
            digest: self.vault().digest(DigestKind::ApiKey, text.as_bytes()),
            hint: hint(BearerKind::ApiKey, text),
            created_at: now,
            expires_at,
            revoked_at: None,
        };
        (key, secret)
    }

    /// Makes an API key. The secret is shown now and never again.
    ///
    /// # Errors
    /// If the application does not exist or the name is empty.
    pub async fn create_key(
        &self,
        application_id: ApplicationId,
        name: &str,
        expires_at: Option<UnixMillis>,
    ) -> Result<(ApiKey, SecretString), Error> {
        check_name(name)?;
        self.application(application_id).await?;
        let (key, secret) = self.new_key(application_id, name, expires_at);
        let row = key.clone();
        let created = key_change(&key, Action::Created, key.created_at);
        self.commit(move |s| {
            Box::pin(async move {
                s.insert_api_key(&row).await?;
                Ok(((), vec![created]))
            })
        })
        .await?;
        Ok((key, secret))
    }

    /// An application's keys, newest first, revoked ones included.
    ///
    /// # Errors
    /// If the application does not exist.
    pub async fn keys(&self, application_id: ApplicationId) -> Result<Vec<ApiKey>, Error> {
        self.application(application_id).await?;
        let keys = self
            .store()
            .read(move |s| Box::pin(async move { s.api_keys(application_id).await }))
            .await?;
        Ok(keys)
    }

    /// Revokes a key: it opens nothing from now on, here and in every other process.
    ///
    /// # Errors
    /// If there is no such live key.
    pub async fn revoke_key(
        &self,
        application_id: ApplicationId,
        key_id: ApiKeyId,
    ) -> Result<(), Error> {
        let now = self.now();
        self.commit(move |s| {
            Box::pin(async move {
                if !s.revoke_api_key(application_id, key_id, now).await? {
                    return Err(Error::not_found("No live API key with this id."));
                }
                let change = ChangeOf {
                    application_id,
                    entity: Entity::ApiKey,
                    id: &key_id,
                    action: Action::Revoked,
                    actor: ACTOR,
                };
                Ok(((), vec![change.with(now, json!({}))]))
            })
        })
        .await
    }
}

pub(crate) fn key_change(key: &ApiKey, action: Action, at: UnixMillis) -> NewChange {
    let change = ChangeOf {
        application_id: key.application_id,
        entity: Entity::ApiKey,
        id: &key.id,
        action,
        actor: ACTOR,
    };
    change.with(at, json!({"name": key.name}))
}
