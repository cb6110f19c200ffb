//! Service accounts: made and revoked from the command line, proved by signed requests.

use crate::applications::no_application;
use crate::caller::application_blocked;
use crate::engine::{ChangeOf, Engine};
use crate::error::{Error, ErrorKind};
use crate::name::check_name;
use keyway_core::application::Application;
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::ids::{ApplicationId, ServiceAccountId};
use keyway_core::rate::Bucket;
use keyway_core::service_account::{Permission, RequestProof, ServiceAccount, SignedRequest};
use keyway_core::time::UnixMillis;
use keyway_store::StoreError;
use keyway_vault::request_key::{RequestKey, is_signed_by};
use secrecy::SecretString;
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

/// Signed requests a service account may make in a second, in each process.
const REQUESTS_PER_SECOND: u32 = 10;
/// How long a nonce is remembered, in seconds: while its timestamp may count anywhere, also where a clock
/// is half an hour slow.
const NONCE_KEPT_SECS: i64 = 3600;
/// Who the sequence of changes says it was.
const ACTOR: &str = "cli";

/// A service account to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewServiceAccount {
    /// A name for people.
    pub name: String,
    /// The applications it may act on: at least one.
    pub applications: Vec<ApplicationId>,
    /// What it may do there: at least one thing.
    pub permissions: Vec<Permission>,
}

/// A service account just made, with what is shown this once.
#[derive(Debug)]
pub struct MadeServiceAccount {
    /// The account.
    pub account: ServiceAccount,
    /// The first application it may act on, whose organization and region its file names.
    pub application: Application,
    /// The private key, as PEM. Kept nowhere.
    pub private_key: SecretString,
}

/// Proof of a signed request. Every use case a service account has takes one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCaller {
    /// The account that signed.
    pub account_id: ServiceAccountId,
    permissions: Vec<Permission>,
}

impl ServiceCaller {
    /// How the sequence of changes names this caller.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("service_account:{}", self.account_id)
    }

    /// # Errors
    /// `Unauthorized` if the account may not do that, in any application.
    pub(crate) fn require(&self, permission: Permission) -> Result<(), Error> {
        if self.permissions.contains(&permission) {
            return Ok(());
        }
        let word = permission.as_str();
        Err(unauthorized(format!(
            "This service account does not have the permission {word}."
        )))
    }
}

fn unauthorized(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Unauthorized, message)
}

/// One text for whatever a stranger may try.
fn refused() -> Error {
    unauthorized("Service account signature invalid")
}

fn used_before() -> Error {
    unauthorized("X-Nylas-Nonce was used before: make a new one for every request.")
}

fn check_new(new: &NewServiceAccount) -> Result<(), Error> {
    check_name(&new.name)?;
    if new.applications.is_empty() {
        return Err(Error::field("applications", "name at least one"));
    }
    if new.permissions.is_empty() {
        return Err(Error::field("permissions", "name at least one"));
    }
    Ok(())
}

/// How many requests each account has made lately. Only proved ones count, so that nobody uses up another's.
#[derive(Default)]
pub(crate) struct SignedRequestLimiter(Mutex<HashMap<ServiceAccountId, Bucket>>);

impl SignedRequestLimiter {
    fn admit(&self, id: ServiceAccountId, now: UnixMillis) -> Result<(), Error> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(id);
        let bucket = bucket.or_insert_with(|| Bucket::full(REQUESTS_PER_SECOND, now));
        if bucket.take(REQUESTS_PER_SECOND, now) {
            return Ok(());
        }
        let message = "Too many requests, please try again shortly.";
        Err(Error::new(ErrorKind::RateLimited, message).retry_after(1))
    }
}

/// One entry in each application the account may act on: whoever reads about one learns who has keys to it.
fn account_changes(
    account: &ServiceAccount,
    applications: &[ApplicationId],
    action: Action,
    at: UnixMillis,
) -> Vec<NewChange> {
    let entry = |application_id: &ApplicationId| {
        let change = ChangeOf {
            application_id: *application_id,
            entity: Entity::ServiceAccount,
            id: &account.id,
            action,
            actor: ACTOR,
        };
        change.with(
            at,
            json!({"name": account.name, "permissions": account.permissions}),
        )
    };
    applications.iter().map(entry).collect()
}

impl Engine {
    /// Makes a service account with a key of its own. The private key is shown now and never again.
    ///
    /// # Errors
    /// If the name is empty, an application does not exist, or nothing is permitted.
    pub async fn create_service_account(
        &self,
        new: NewServiceAccount,
    ) -> Result<MadeServiceAccount, Error> {
        check_new(&new)?;
        let applications: BTreeSet<_> = new.applications.iter().copied().collect();
        let mut found = Vec::with_capacity(applications.len());
        for id in &applications {
            found.push(self.application(*id).await?.0);
        }
        let first = |application: &Application| Some(&application.id) == new.applications.first();
        let application = found.into_iter().find(first).ok_or_else(no_application)?;
        let key = RequestKey::generate().map_err(Error::internal)?;
        let private_key = key.to_pem().map_err(Error::internal)?;
        let permissions: BTreeSet<_> = new.permissions.into_iter().collect();
        let account = ServiceAccount {
            id: ServiceAccountId::generate(self.now(), self.entropy()),
            name: new.name,
            public_key: key.public_der(),
            permissions: permissions.into_iter().collect(),
            created_at: self.now(),
            revoked_at: None,
        };
        let applications = applications.into_iter().collect();
        self.store_account(account.clone(), applications).await?;
        Ok(MadeServiceAccount {
            account,
            application,
            private_key,
        })
    }

    async fn store_account(
        &self,
        account: ServiceAccount,
        applications: Vec<ApplicationId>,
    ) -> Result<(), Error> {
        self.commit(move |s| {
            Box::pin(async move {
                s.insert_service_account(&account, &applications).await?;
                let at = account.created_at;
                let changes = account_changes(&account, &applications, Action::Created, at);
                Ok(((), changes))
            })
        })
        .await
    }

    /// All service accounts with the applications they may act on, oldest first, revoked ones too.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn service_accounts(
        &self,
    ) -> Result<Vec<(ServiceAccount, Vec<ApplicationId>)>, Error> {
        let job = self.store().read(|s| {
            Box::pin(async move {
                let mut accounts = Vec::new();
                for account in s.service_accounts().await? {
                    let applications = s.service_account_applications(account.id).await?;
                    accounts.push((account, applications));
                }
                Ok::<_, StoreError>(accounts)
            })
        });
        Ok(job.await?)
    }

    /// Revokes a service account: its signatures prove nothing from now on, here and in every other process.
    ///
    /// # Errors
    /// If there is no such account, or it is revoked already.
    pub async fn revoke_service_account(&self, id: ServiceAccountId) -> Result<(), Error> {
        let now = self.now();
        self.commit(move |s| {
            Box::pin(async move {
                let no_account = || Error::not_found("No live service account with this id.");
                if !s.revoke_service_account(id, now).await? {
                    return Err(no_account());
                }
                let account = s.service_account(id).await?.ok_or_else(no_account)?;
                let applications = s.service_account_applications(id).await?;
                let changes = account_changes(&account, &applications, Action::Revoked, now);
                Ok(((), changes))
            })
        })
        .await
    }

    /// Whoever signed `request`, which uses the proof's nonce up.
    ///
    /// Nothing of an account is remembered between requests: what is revoked elsewhere counts at once.
    ///
    /// # Errors
    /// `Unauthorized`, in the same words, for an account that is unknown or revoked and for a wrong
    /// signature; in others for a nonce that was used before; `RateLimited`.
    pub async fn service_caller(
        &self,
        proof: RequestProof,
        request: SignedRequest<'_>,
    ) -> Result<ServiceCaller, Error> {
        let account = self.signer(&proof).await?.ok_or_else(refused)?;
        let text = request.canonical(&proof);
        if !is_signed_by(&account.public_key, &text, &proof.signature) {
            return Err(refused());
        }
        // Before it is counted: whoever sends a request again that was overheard takes nothing from its account.
        self.refuse_used(account.id, proof.nonce.clone()).await?;
        self.inner.signed_requests.admit(account.id, self.now())?;
        self.use_nonce(account.id, proof.nonce).await?;
        Ok(ServiceCaller {
            account_id: account.id,
            permissions: account.permissions,
        })
    }

    async fn signer(&self, proof: &RequestProof) -> Result<Option<ServiceAccount>, Error> {
        let Some(id) = proof.account_id else {
            return Ok(None);
        };
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.service_account(id).await }));
        Ok(job.await?.filter(|account| account.revoked_at.is_none()))
    }

    async fn refuse_used(&self, id: ServiceAccountId, nonce: String) -> Result<(), Error> {
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.is_nonce_used(id, &nonce).await }));
        match job.await? {
            true => Err(used_before()),
            false => Ok(()),
        }
    }

    /// In a transaction of its own, before anything is done: whatever becomes of the request, it cannot be
    /// sent again.
    async fn use_nonce(&self, id: ServiceAccountId, nonce: String) -> Result<(), Error> {
        let until = self.now().plus_secs(NONCE_KEPT_SECS);
        let job = self
            .store()
            .write(move |s| Box::pin(async move { s.use_nonce(id, &nonce, until).await }));
        match job.await? {
            true => Ok(()),
            false => Err(used_before()),
        }
    }

    /// Lets `caller` do what takes `permission` to an application. One it may not act on is answered as
    /// one that does not exist (rule 8).
    pub(crate) async fn let_manage(
        &self,
        caller: &ServiceCaller,
        application_id: ApplicationId,
        permission: Permission,
    ) -> Result<(), Error> {
        caller.require(permission)?;
        let account_id = caller.account_id;
        let job = self.store().read(move |s| {
            Box::pin(async move {
                let may = s.may_act_on(application_id, account_id).await?;
                let application = s.application(application_id).await?;
                Ok::<_, StoreError>(application.filter(|_| may))
            })
        });
        let application = job.await?.ok_or_else(no_application)?;
        if application.blocked {
            return Err(application_blocked());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_its_share_of_each_second_and_nobody_uses_up_anothers() {
        let limiter = SignedRequestLimiter::default();
        let admit = |id, ms| limiter.admit(ServiceAccountId::from_u128(id), UnixMillis(ms));
        for _ in 0..REQUESTS_PER_SECOND {
            assert!(admit(1, 5).is_ok());
        }
        let refused = admit(1, 5).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::RateLimited);
        assert_eq!(refused.retry_after_secs(), Some(1));
        assert!(admit(2, 5).is_ok());
        assert!(admit(1, 1005).is_ok());
    }
}
