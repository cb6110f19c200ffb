//! API keys: made, listed, rotated and revoked. The command line's use cases are here, those of service
//! accounts in [`crate::admin_keys`].

use crate::engine::{ChangeOf, Engine};
use crate::error::{Error, ErrorKind};
use crate::name::check_name;
use keyway_core::application::ApiKey;
use keyway_core::bearer::{BearerKind, hint, new_bearer};
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::ids::{ApiKeyId, ApplicationId};
use keyway_core::sealed::DigestKind;
use keyway_core::time::UnixMillis;
use keyway_store::Session;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

/// Who the sequence of changes says it was.
const ACTOR: &str = "cli";
/// Live API keys of one application.
const KEYS_MAX: i64 = 200;

/// How a key is replaced by a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// How long the old key goes on working, in seconds.
    pub overlap_secs: i64,
    /// When the new key ends; `None` for as long after now as the old key was made for, if it was made to end.
    pub expires_at: Option<UnixMillis>,
}

/// A key that was replaced, and its successor.
#[derive(Debug)]
pub struct RotatedKey {
    /// The old key, which ends by itself.
    pub old: ApiKey,
    /// The new key.
    pub new: ApiKey,
    /// The new key itself, shown this once.
    pub secret: SecretString,
}

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
            updated_at: now,
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
        self.store_key(key.clone(), ACTOR.to_owned()).await?;
        Ok((key, secret))
    }

    /// Stores a new key, unless the application has too many.
    pub(crate) async fn store_key(&self, key: ApiKey, actor: String) -> Result<(), Error> {
        self.commit(move |s| {
            Box::pin(async move {
                insert(s, &key).await?;
                let created = key_change(&key, Action::Created, &actor, key.created_at);
                Ok(((), vec![created]))
            })
        })
        .await
    }

    /// Makes a key that takes the place of another, which goes on working for a while: both are good until
    /// then, so that programs can be given the new one in their own time.
    ///
    /// # Errors
    /// If there is no such live key; or it was rotated before, and when the new one ends is not said.
    pub async fn rotate_key(
        &self,
        application_id: ApplicationId,
        key_id: ApiKeyId,
        rotation: Rotation,
    ) -> Result<RotatedKey, Error> {
        let now = self.now();
        let keys = self.keys(application_id).await?;
        let old = keys.into_iter().find(|key| key.id == key_id);
        let old = old.filter(|key| key.is_live(now)).ok_or_else(no_live_key)?;
        let expires_at = match rotation.expires_at {
            None => same_lifetime(&old, now)?,
            told => told,
        };
        let (new, secret) = self.new_key(application_id, &old.name, expires_at);
        let end = now.plus_secs(rotation.overlap_secs);
        let row = new.clone();
        let old = self
            .commit(move |s| Box::pin(async move { replace(s, key_id, &row, end).await }))
            .await?;
        Ok(RotatedKey { old, new, secret })
    }

    /// An application's keys, oldest first, revoked ones included.
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
        self.revoke_key_as(application_id, key_id, ACTOR.to_owned())
            .await
    }

    /// The same for whoever `actor` names.
    pub(crate) async fn revoke_key_as(
        &self,
        application_id: ApplicationId,
        key_id: ApiKeyId,
        actor: String,
    ) -> Result<(), Error> {
        let now = self.now();
        self.commit(move |s| {
            Box::pin(async move {
                if !s.revoke_api_key(application_id, key_id, now).await? {
                    return Err(no_live_key());
                }
                let change = ChangeOf {
                    application_id,
                    entity: Entity::ApiKey,
                    id: &key_id,
                    action: Action::Revoked,
                    actor: &actor,
                };
                Ok(((), vec![change.with(now, json!({}))]))
            })
        })
        .await
    }
}

pub(crate) fn no_live_key() -> Error {
    Error::not_found("No live API key with this id.")
}

/// When a new key ends that is to live as long as `old` was made for.
///
/// # Errors
/// If that is not known any more, since an earlier rotation set its end.
fn same_lifetime(old: &ApiKey, now: UnixMillis) -> Result<Option<UnixMillis>, Error> {
    if old.updated_at != old.created_at {
        let message = "This API key was rotated before and ends soon: rotate its successor, or say after how \
            many days the new one is to end.";
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    let lifetime_ms = |end: UnixMillis| end.0.saturating_sub(old.created_at.0);
    Ok(old.expires_at.map(|end| now.plus_ms(lifetime_ms(end))))
}

async fn insert(s: &mut Session<'_>, key: &ApiKey) -> Result<(), Error> {
    let live = s.live_api_keys(key.application_id, key.created_at).await?;
    if live >= KEYS_MAX {
        let message = format!(
            "An application has at most {KEYS_MAX} live API keys: end one that nobody uses first."
        );
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    Ok(s.insert_api_key(key).await?)
}

/// Stores `new` and lets the key it replaces end at `end`, if that does not end sooner by itself.
async fn replace(
    s: &mut Session<'_>,
    old_id: ApiKeyId,
    new: &ApiKey,
    end: UnixMillis,
) -> Result<(ApiKey, Vec<NewChange>), Error> {
    let (application_id, now) = (new.application_id, new.created_at);
    let ends_sooner = s.expire_api_key(application_id, old_id, end, now).await?;
    let old = s.api_key(application_id, old_id).await?;
    // Revoked by somebody else in this very moment.
    let old = old
        .filter(|key| key.revoked_at.is_none())
        .ok_or_else(no_live_key)?;
    insert(s, new).await?;
    let mut changes = vec![key_change(new, Action::Created, ACTOR, now)];
    if ends_sooner {
        changes.push(key_change(&old, Action::Updated, ACTOR, now));
    }
    Ok((old, changes))
}

pub(crate) fn key_change(key: &ApiKey, action: Action, actor: &str, at: UnixMillis) -> NewChange {
    let change = ChangeOf {
        application_id: key.application_id,
        entity: Entity::ApiKey,
        id: &key.id,
        action,
        actor,
    };
    let expires_at = key.expires_at.map(UnixMillis::as_secs);
    change.with(at, json!({"name": key.name, "expires_at": expires_at}))
}
