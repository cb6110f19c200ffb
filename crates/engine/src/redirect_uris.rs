//! Redirect URIs of an application.

use crate::caller::Caller;
use crate::engine::{ChangeOf, Engine};
use crate::error::Error;
use crate::tenant_json::check_member;
use keyway_core::application::{Application, Platform, RedirectUri};
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::ids::{ApplicationId, RedirectUriId};
use keyway_core::redirect_uri::{check_redirect_uri, origin_setting};
use keyway_core::time::UnixMillis;
use keyway_store::{Constraint, Session};
use serde_json::{Map, Value, json};

/// Most redirect URIs of one application.
pub const REDIRECT_URIS_MAX: usize = 200;

/// A redirect URI to register.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRedirectUri {
    /// The URI.
    pub url: String,
    /// What kind of program it belongs to.
    pub platform: Platform,
    /// Members the platform asks for.
    pub settings: Map<String, Value>,
}

/// What to change of one; absent members keep their values, `settings` is replaced whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RedirectUriPatch {
    /// The URI.
    pub url: Option<String>,
    /// The platform.
    pub platform: Option<Platform>,
    /// The settings.
    pub settings: Option<Map<String, Value>>,
}

fn not_found() -> Error {
    Error::not_found("RedirectURI not found")
}

fn duplicate() -> Error {
    Error::field("url", "this redirect URI is already registered")
}

impl Engine {
    /// The row of a redirect URI, checked against the application's rules.
    pub(crate) fn check_new_redirect_uri(
        &self,
        application: &Application,
        new: NewRedirectUri,
    ) -> Result<RedirectUri, Error> {
        let allow_query = application.additional.allow_query_param_in_redirect_uri;
        let invalid = |error: keyway_core::redirect_uri::RedirectUriError| {
            Error::new(crate::ErrorKind::InvalidRequest, error.to_string())
        };
        check_member("settings", &new.settings)?;
        check_redirect_uri(&new.url, new.platform, &new.settings, allow_query).map_err(invalid)?;
        let now = self.now();
        let origin = match new.platform {
            Platform::Js => origin_setting(&new.settings).map_err(invalid)?,
            _ => None,
        };
        Ok(RedirectUri {
            id: RedirectUriId::generate(now, self.entropy()),
            application_id: application.id,
            url: new.url,
            platform: new.platform,
            settings: new.settings,
            origin,
            created_at: now,
            updated_at: now,
        })
    }

    /// The row of `current` as it is after `patch`, checked as a new one.
    pub(crate) fn patched_redirect_uri(
        &self,
        application: &Application,
        current: &RedirectUri,
        patch: RedirectUriPatch,
    ) -> Result<RedirectUri, Error> {
        let wanted = NewRedirectUri {
            url: patch.url.unwrap_or_else(|| current.url.clone()),
            platform: patch.platform.unwrap_or(current.platform),
            settings: patch.settings.unwrap_or_else(|| current.settings.clone()),
        };
        let checked = self.check_new_redirect_uri(application, wanted)?;
        Ok(RedirectUri {
            id: current.id,
            created_at: current.created_at,
            ..checked
        })
    }

    /// An application's redirect URIs, oldest first.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn redirect_uris(&self, caller: &Caller) -> Result<Vec<RedirectUri>, Error> {
        self.redirect_uris_of(caller.application_id).await
    }

    pub(crate) async fn redirect_uris_of(
        &self,
        application_id: ApplicationId,
    ) -> Result<Vec<RedirectUri>, Error> {
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.redirect_uris(application_id).await }));
        Ok(job.await?)
    }

    /// One redirect URI.
    ///
    /// # Errors
    /// If there is none with this id.
    pub async fn redirect_uri(
        &self,
        caller: &Caller,
        id: RedirectUriId,
    ) -> Result<RedirectUri, Error> {
        let application_id = caller.application_id;
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.redirect_uri(application_id, id).await }));
        job.await?.ok_or_else(not_found)
    }

    /// Registers a redirect URI.
    ///
    /// # Errors
    /// If the URI is not acceptable, already registered, or one too many.
    pub async fn create_redirect_uri(
        &self,
        caller: &Caller,
        new: NewRedirectUri,
    ) -> Result<RedirectUri, Error> {
        let (application, existing) = self.application(caller.application_id).await?;
        if existing.len() >= REDIRECT_URIS_MAX {
            let message =
                format!("url: an application has at most {REDIRECT_URIS_MAX} redirect URIs");
            return Err(Error::new(crate::ErrorKind::InvalidRequest, message));
        }
        let row = self.check_new_redirect_uri(&application, new)?;
        let change = uri_change(&row, Action::Created, &caller.actor(), row.created_at);
        let stored = row.clone();
        self.commit(move |s| {
            Box::pin(async move {
                insert(s, &stored).await?;
                Ok(((), vec![change]))
            })
        })
        .await?;
        Ok(row)
    }

    /// Changes a redirect URI.
    ///
    /// # Errors
    /// If there is none with this id, or the outcome is not acceptable.
    pub async fn update_redirect_uri(
        &self,
        caller: &Caller,
        id: RedirectUriId,
        patch: RedirectUriPatch,
    ) -> Result<RedirectUri, Error> {
        let (application, existing) = self.application(caller.application_id).await?;
        let current = existing
            .into_iter()
            .find(|uri| uri.id == id)
            .ok_or_else(not_found)?;
        let row = self.patched_redirect_uri(&application, &current, patch)?;
        let change = uri_change(&row, Action::Updated, &caller.actor(), row.updated_at);
        let stored = row.clone();
        self.commit(move |s| {
            Box::pin(async move {
                update(s, &stored).await?;
                Ok(((), vec![change]))
            })
        })
        .await?;
        Ok(row)
    }

    /// Removes a redirect URI: no sign-in can name it any more.
    ///
    /// # Errors
    /// If there is none with this id.
    pub async fn delete_redirect_uri(
        &self,
        caller: &Caller,
        id: RedirectUriId,
    ) -> Result<(), Error> {
        let now = self.now();
        let row = self.redirect_uri(caller, id).await?;
        let change = uri_change(&row, Action::Deleted, &caller.actor(), now);
        self.commit(move |s| {
            Box::pin(async move {
                if !s.delete_redirect_uri(row.application_id, id, now).await? {
                    return Err(not_found());
                }
                Ok(((), vec![change]))
            })
        })
        .await
    }
}

pub(crate) async fn insert(s: &mut Session<'_>, row: &RedirectUri) -> Result<(), Error> {
    s.insert_redirect_uri(row)
        .await
        .map_err(|error| match error {
            keyway_store::StoreError::Conflict(Constraint::RedirectUri) => duplicate(),
            other => other.into(),
        })
}

pub(crate) async fn update(s: &mut Session<'_>, row: &RedirectUri) -> Result<(), Error> {
    match s.update_redirect_uri(row).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(not_found()),
        Err(keyway_store::StoreError::Conflict(Constraint::RedirectUri)) => Err(duplicate()),
        Err(other) => Err(other.into()),
    }
}

pub(crate) fn uri_change(
    row: &RedirectUri,
    action: Action,
    actor: &str,
    at: UnixMillis,
) -> NewChange {
    let change = ChangeOf {
        application_id: row.application_id,
        entity: Entity::RedirectUri,
        id: &row.id,
        action,
        actor,
    };
    change.with(
        at,
        json!({"url": row.url, "platform": row.platform.as_str()}),
    )
}
