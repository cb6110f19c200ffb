//! Grants: read, adjusted and ended by their application.

use crate::applications::changed_meanwhile;
use crate::cache::KnownGrant;
use crate::caller::{Bearer, Caller, Principal};
use crate::custom::check_ews_scope;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::revocations::cut_off;
use crate::tenant_json::check_member;
use crate::transfer::{grant_change, grant_conflict, label_taken};
use keyway_core::change::Action;
use keyway_core::email::email_key;
use keyway_core::grant::{Grant, GrantLocator};
use keyway_core::ids::{ApplicationId, CredentialId, GrantId};
use keyway_core::page::Page;
use keyway_core::provider::Provider;
use keyway_core::scope::Scopes;
use keyway_store::{GrantFilter, Session};
use serde_json::{Map, Value};
use std::sync::Arc;

/// What to change of a grant. Absent members keep their values.
#[derive(Clone, Default)]
pub struct GrantPatch {
    /// For OAuth grants: `refresh_token`; for mail accounts the password, with what else is to change. Both
    /// are verified at the provider before they are taken.
    pub settings: Option<Map<String, Value>>,
    /// A label; the provider's permissions stay what they are.
    pub scope: Option<Scopes>,
    /// The application's own id; `Some(None)` removes it.
    pub external_id: Option<Option<String>>,
    /// The credential it has; no other may be named.
    pub credential_id: Option<CredentialId>,
}

impl std::fmt::Debug for GrantPatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrantPatch")
            .field("scope", &self.scope)
            .field("external_id", &self.external_id)
            .finish_non_exhaustive()
    }
}

fn refuse_other_credential(grant: &Grant, named: Option<CredentialId>) -> Result<(), Error> {
    if named.is_none() || named == grant.credential_id {
        return Ok(());
    }
    Err(Error::field(
        "credential_id",
        "a grant moves to another credential by authenticating again with it, hosted or custom",
    ))
}

/// The members of a patch that are the application's own words.
#[derive(Clone, Default)]
pub(crate) struct Labels {
    scope: Option<Scopes>,
    external_id: Option<Option<String>>,
}

impl Labels {
    pub(crate) fn is_empty(&self) -> bool {
        self.scope.is_none() && self.external_id.is_none()
    }

    pub(crate) fn write_on(self, grant: &mut Grant) {
        if let Some(scope) = self.scope {
            grant.scope = scope;
        }
        if let Some(external_id) = self.external_id {
            grant.external_id = external_id;
        }
    }
}

/// Stores a grant that was read before and has been changed since.
pub(crate) async fn store_changed(s: &mut Session<'_>, grant: &mut Grant) -> Result<(), Error> {
    grant.version += 1;
    let stored = s.update_grant(grant, grant.version - 1).await;
    match stored.map_err(grant_conflict)? {
        true => Ok(()),
        false => Err(changed_meanwhile()),
    }
}

pub(crate) fn grant_missing() -> Error {
    Error::new(ErrorKind::GrantNotFound, "No Grant found for this Grant ID")
}

impl Engine {
    /// An application's grants. Sign-ins that were never exchanged are not among them.
    ///
    /// # Errors
    /// If the filter names a provider that nothing describes, or the database does not answer.
    pub async fn grants(
        &self,
        caller: &Caller,
        filter: GrantFilter,
        page: Page,
    ) -> Result<Vec<Grant>, Error> {
        let id = caller.application_id;
        let catalogue = self.catalogue();
        if filter.provider.is_some_and(|p| !catalogue.knows(p)) {
            let message = format!("provider: {}", crate::connectors::unknown(catalogue));
            return Err(Error::new(ErrorKind::InvalidQuery, message));
        }
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.grants(id, &filter, page).await }));
        Ok(job.await?)
    }

    /// One grant. An access token opens its own grant alone, by whatever name.
    ///
    /// # Errors
    /// If there is none, or the address names several.
    pub async fn grant(
        &self,
        principal: &Principal,
        locator: GrantLocator,
    ) -> Result<Grant, Error> {
        match (principal, locator) {
            (Principal::Token(bearer), locator) => self.own_grant(bearer, &locator).await,
            (Principal::Key(_), GrantLocator::Me) => {
                let message =
                    "'me' is the grant of an access token; with an API key name the grant";
                Err(Error::field("grant_id", message))
            }
            (Principal::Key(caller), locator) => {
                self.find_grant(caller.application_id, locator).await
            }
        }
    }

    /// The grant of an access token, if that is what `locator` names. No other grant is read: what the
    /// token may not open, it must not learn of.
    async fn own_grant(&self, bearer: &Bearer, locator: &GrantLocator) -> Result<Grant, Error> {
        let (application_id, id) = (bearer.application_id, bearer.grant_id);
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.grant(application_id, id).await }));
        let grant = job.await?.ok_or_else(grant_missing)?;
        let is_named = match locator {
            GrantLocator::Me => true,
            GrantLocator::Id(named) => *named == grant.id,
            GrantLocator::Email(named) => email_key(named) == email_key(&grant.email),
            GrantLocator::External(named) => grant.external_id.as_ref() == Some(named),
        };
        if is_named {
            Ok(grant)
        } else {
            Err(grant_missing())
        }
    }

    /// A grant by id that is remembered, if the caller may read it: no database, no waiting.
    #[must_use]
    pub fn known_grant(&self, principal: &Principal, id: GrantId) -> Option<Arc<KnownGrant>> {
        let known = self.inner.cache.grant(&id).ok()?;
        let own = match principal {
            Principal::Token(bearer) => bearer.grant_id == id,
            Principal::Key(_) => true,
        };
        (own && known.grant.application_id == principal.application_id()).then_some(known)
    }

    /// One grant, remembered for the next time.
    ///
    /// # Errors
    /// As [`Engine::grant`].
    pub async fn shared_grant(
        &self,
        principal: &Principal,
        locator: GrantLocator,
    ) -> Result<Arc<KnownGrant>, Error> {
        let id = match (&locator, principal) {
            (GrantLocator::Id(id), _) => Some(*id),
            (GrantLocator::Me, Principal::Token(bearer)) => Some(bearer.grant_id),
            _ => None,
        };
        if let Some(known) = id.and_then(|id| self.known_grant(principal, id)) {
            return Ok(known);
        }
        let before = id.and_then(|id| self.inner.cache.grant(&id).err());
        let grant = self.grant(principal, locator).await?;
        Ok(match before {
            Some(miss) => self.inner.cache.remember_grant(miss, grant),
            None => Arc::new(KnownGrant {
                grant,
                rendered: std::sync::OnceLock::new(),
            }),
        })
    }

    async fn find_grant(
        &self,
        application_id: ApplicationId,
        locator: GrantLocator,
    ) -> Result<Grant, Error> {
        let job = self.store().read(move |s| {
            Box::pin(async move {
                Ok(match locator {
                    GrantLocator::Id(id) => {
                        s.grant(application_id, id).await?.into_iter().collect()
                    }
                    GrantLocator::Email(email) => {
                        s.grants_by_email(application_id, &email_key(&email))
                            .await?
                    }
                    GrantLocator::External(id) => s
                        .grant_by_external_id(application_id, &id)
                        .await?
                        .into_iter()
                        .collect(),
                    GrantLocator::Me => Vec::new(),
                })
            })
        });
        let mut found: Vec<Grant> = job.await?;
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(grant_missing()),
            (Some(grant), true) => Ok(grant),
            (Some(last), false) => {
                found.push(last);
                let providers: Vec<_> = found.iter().map(|g| g.provider.as_str()).collect();
                Err(Error::field(
                    "grant_id",
                    format_args!(
                        "this address has grants at several providers ({}); name one by id",
                        providers.join(", ")
                    ),
                ))
            }
        }
    }

    /// Changes a grant. A new refresh token or password is tried at the provider first and makes
    /// the grant valid.
    ///
    /// # Errors
    /// If there is none, a member is wrong, or the provider refuses; then nothing is changed.
    pub async fn update_grant(
        &self,
        caller: &Caller,
        locator: GrantLocator,
        patch: GrantPatch,
    ) -> Result<Grant, Error> {
        if let Some(Some(id)) = &patch.external_id {
            check_external_id(id)?;
        }
        if let Some(settings) = &patch.settings {
            check_member("settings", settings)?;
        }
        let mut grant = self.grant(&Principal::Key(*caller), locator).await?;
        refuse_other_credential(&grant, patch.credential_id)?;
        let labels = Labels {
            scope: patch.scope,
            external_id: patch.external_id,
        };
        if let (Provider::Ews, Some(scope)) = (grant.provider, &labels.scope) {
            check_ews_scope(scope)?;
        }
        match patch.settings {
            Some(settings) if has_opener(grant.provider) => {
                // Known before the provider is asked, so that a refused label leaves the account alone.
                if let Some(Some(id)) = &labels.external_id {
                    self.refuse_taken_label(&grant, id).await?;
                }
                return Box::pin(self.replace_opener(caller, grant, settings, labels)).await;
            }
            Some(settings) => grant.settings = settings,
            None if labels.is_empty() => return Ok(grant),
            None => {}
        }
        labels.write_on(&mut grant);
        self.store_grant(caller, grant).await
    }

    async fn replace_opener(
        &self,
        caller: &Caller,
        grant: Grant,
        settings: Map<String, Value>,
        labels: Labels,
    ) -> Result<Grant, Error> {
        match grant.provider.is_oauth() {
            true => self.replace_token(caller, grant, settings, labels).await,
            false => self.replace_password(caller, grant, settings, labels).await,
        }
    }

    async fn refuse_taken_label(&self, grant: &Grant, external_id: &str) -> Result<(), Error> {
        let (application_id, label) = (grant.application_id, external_id.to_owned());
        let job = self.store().read(move |s| {
            Box::pin(async move { s.grant_by_external_id(application_id, &label).await })
        });
        match job.await? {
            Some(other) if other.id != grant.id => Err(label_taken()),
            _ => Ok(()),
        }
    }

    async fn store_grant(&self, caller: &Caller, mut grant: Grant) -> Result<Grant, Error> {
        let change = grant_change(&grant, Action::Updated, &caller.actor(), self.now());
        self.commit(move |s| {
            Box::pin(async move {
                store_changed(s, &mut grant).await?;
                Ok((grant, vec![change]))
            })
        })
        .await
    }

    /// Ends a grant for good: a later sign-in makes another. The provider is told, unless another live
    /// token set lives by the same consent (rule 13).
    ///
    /// # Errors
    /// If there is none.
    pub async fn delete_grant(&self, caller: &Caller, locator: GrantLocator) -> Result<(), Error> {
        let grant = self.grant(&Principal::Key(*caller), locator).await?;
        let change = grant_change(&grant, Action::Deleted, &caller.actor(), self.now());
        let now = self.now();
        let cut = self
            .commit(move |s| {
                Box::pin(async move {
                    let set = s.current_token_set(grant.application_id, grant.id).await?;
                    let cut = set.as_ref().map(|set| set.id);
                    if let Some(set) = set {
                        cut_off(s, set, now).await?;
                    }
                    match s.delete_grant(grant.application_id, grant.id).await? {
                        true => Ok((cut, vec![change])),
                        false => Err(grant_missing()),
                    }
                })
            })
            .await?;
        if let Some(id) = cut {
            self.revoke_in_background(caller.application_id, id);
        }
        Ok(())
    }
}

/// Whether something opens the accounts of a provider that is tried before it is kept.
const fn has_opener(provider: Provider) -> bool {
    provider.is_oauth() || provider.is_mail() || matches!(provider, Provider::Ews)
}

/// An external id is any short text of the application's own.
pub(crate) fn check_external_id(id: &str) -> Result<(), Error> {
    let max = crate::sign_in::EXTERNAL_ID_MAX_BYTES;
    let fine = !id.is_empty() && id.len() <= max && !id.chars().any(char::is_control);
    if fine {
        Ok(())
    } else {
        Err(Error::field(
            "external_id",
            "must be 1 to 255 printable bytes",
        ))
    }
}
