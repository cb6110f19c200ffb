//! API keys as service accounts manage them, over HTTP.

use crate::engine::Engine;
use crate::error::Error;
use crate::name::check_name;
use crate::service_accounts::ServiceCaller;
use keyway_core::application::ApiKey;
use keyway_core::ids::{ApiKeyId, ApplicationId};
use keyway_core::service_account::Permission;
use keyway_core::time::UnixMillis;
use secrecy::SecretString;

/// The longest a key may be made for, in days.
pub const KEY_DAYS_MAX: i64 = 36_500;
/// A key that has expired is shown for so long, in seconds; one that was deleted is gone at once.
const EXPIRED_SHOWN_SECS: i64 = 30 * 24 * 3600;
const SECS_PER_DAY: i64 = 86_400;

/// An API key to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiKey {
    /// A name for people.
    pub name: String,
    /// After how many days it ends by itself; `None` for never.
    pub expires_in_days: Option<i64>,
}

fn no_key() -> Error {
    Error::not_found("No API key with this id.")
}

fn is_shown(key: &ApiKey, now: UnixMillis) -> bool {
    let shown_until = key.expires_at.map(|end| end.plus_secs(EXPIRED_SHOWN_SECS));
    key.revoked_at.is_none() && shown_until.is_none_or(|end| now < end)
}

impl Engine {
    /// Makes an API key for an application. The secret is shown now and never again.
    ///
    /// # Errors
    /// If the caller may not do that, or a member is not acceptable.
    pub async fn issue_key(
        &self,
        caller: &ServiceCaller,
        application_id: ApplicationId,
        new: NewApiKey,
    ) -> Result<(ApiKey, SecretString), Error> {
        let permission = Permission::CreateKeys;
        self.let_manage(caller, application_id, permission).await?;
        check_name(&new.name)?;
        let days = new.expires_in_days;
        if days.is_some_and(|days| !(1..=KEY_DAYS_MAX).contains(&days)) {
            let bounds = format_args!("must be 1 to {KEY_DAYS_MAX} days");
            return Err(Error::field("expires_in", bounds));
        }
        let expires_at = days.map(|days| self.now().plus_secs(days.saturating_mul(SECS_PER_DAY)));
        let (key, secret) = self.new_key(application_id, &new.name, expires_at);
        self.store_key(key.clone(), caller.actor()).await?;
        Ok((key, secret))
    }

    /// An application's API keys, oldest first, those that expired lately included.
    ///
    /// # Errors
    /// If the caller may not see them.
    pub async fn issued_keys(
        &self,
        caller: &ServiceCaller,
        application_id: ApplicationId,
    ) -> Result<Vec<ApiKey>, Error> {
        let permission = Permission::ReadKeys;
        self.let_manage(caller, application_id, permission).await?;
        let mut keys = self.keys(application_id).await?;
        let now = self.now();
        keys.retain(|key| is_shown(key, now));
        Ok(keys)
    }

    /// One of them.
    ///
    /// # Errors
    /// If the caller may not see it, or there is none with this id.
    pub async fn issued_key(
        &self,
        caller: &ServiceCaller,
        application_id: ApplicationId,
        id: ApiKeyId,
    ) -> Result<ApiKey, Error> {
        let permission = Permission::ReadKeys;
        self.let_manage(caller, application_id, permission).await?;
        self.shown_key(application_id, id).await
    }

    async fn shown_key(
        &self,
        application_id: ApplicationId,
        id: ApiKeyId,
    ) -> Result<ApiKey, Error> {
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.api_key(application_id, id).await }));
        let (found, now) = (job.await?, self.now());
        found.filter(|key| is_shown(key, now)).ok_or_else(no_key)
    }

    /// Ends an API key: it opens nothing from now on, here and in every other process.
    ///
    /// # Errors
    /// If the caller may not do that, or there is none with this id.
    pub async fn delete_key(
        &self,
        caller: &ServiceCaller,
        application_id: ApplicationId,
        id: ApiKeyId,
    ) -> Result<(), Error> {
        let permission = Permission::DeleteKeys;
        self.let_manage(caller, application_id, permission).await?;
        self.shown_key(application_id, id).await?;
        self.revoke_key_as(application_id, id, caller.actor()).await
    }
}
