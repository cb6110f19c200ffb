//! Grants: read, adjusted and ended by their application.

use crate::applications::changed_meanwhile;
use crate::cache::KnownGrant;
use crate::caller::{Caller, Principal};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::transfer::{grant_change, grant_conflict};
use keyway_core::change::Action;
use keyway_core::email::email_key;
use keyway_core::grant::{Grant, GrantLocator};
use keyway_core::ids::{ApplicationId, GrantId};
use keyway_core::page::Page;
use keyway_core::scope::Scopes;
use keyway_core::token_set::{TokenSet, TokenSetState};
use keyway_store::{GrantFilter, Session};
use serde_json::{Map, Value};
use std::sync::Arc;

/// What to change of a grant. Absent members keep their values.
#[derive(Clone, Debug, Default)]
pub struct GrantPatch {
    /// For OAuth grants: `refresh_token`, verified at the provider before it is taken.
    pub settings: Option<Map<String, Value>>,
    /// A label; the provider's permissions stay what they are.
    pub scope: Option<Scopes>,
    /// The application's own id; `Some(None)` removes it.
    pub external_id: Option<Option<String>>,
}

pub(crate) fn grant_missing() -> Error {
    Error::new(ErrorKind::GrantNotFound, "No Grant found for this Grant ID")
}

impl Engine {
    /// An application's grants. Sign-ins that were never exchanged are not among them.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn grants(
        &self,
        caller: &Caller,
        filter: GrantFilter,
        page: Page,
    ) -> Result<Vec<Grant>, Error> {
        let id = caller.application_id;
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
        let application_id = principal.application_id();
        let locator = match (locator, principal) {
            (GrantLocator::Me, Principal::Token(bearer)) => GrantLocator::Id(bearer.grant_id),
            (GrantLocator::Me, Principal::Key(_)) => {
                let message =
                    "'me' is the grant of an access token; with an API key name the grant";
                return Err(Error::field("grant_id", message));
            }
            (locator, _) => locator,
        };
        let grant = self.find_grant(application_id, locator).await?;
        match principal {
            Principal::Token(bearer) if bearer.grant_id != grant.id => Err(grant_missing()),
            _ => Ok(grant),
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

    /// Changes a grant. A new refresh token is tried at the provider first and makes the grant valid.
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
        let mut grant = self.grant(&Principal::Key(*caller), locator).await?;
        if let Some(settings) = &patch.settings {
            grant = self.replace_settings(caller, grant, settings).await?;
        }
        if patch.scope.is_none() && patch.external_id.is_none() {
            return Ok(grant);
        }
        if let Some(scope) = patch.scope {
            grant.scope = scope;
        }
        if let Some(external_id) = patch.external_id {
            grant.external_id = external_id;
        }
        self.store_grant(caller, grant).await
    }

    pub(crate) async fn store_grant(
        &self,
        caller: &Caller,
        mut grant: Grant,
    ) -> Result<Grant, Error> {
        grant.version += 1;
        let change = grant_change(&grant, Action::Updated, &caller.actor(), self.now());
        self.commit(move |s| {
            Box::pin(async move {
                match s
                    .update_grant(&grant, grant.version - 1)
                    .await
                    .map_err(grant_conflict)?
                {
                    true => Ok((grant, vec![change])),
                    false => Err(changed_meanwhile()),
                }
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
        self.commit(move |s| {
            Box::pin(async move {
                if let Some(set) = s.current_token_set(grant.application_id, grant.id).await? {
                    cut_off(s, set, now).await?;
                }
                match s.delete_grant(grant.application_id, grant.id).await? {
                    true => Ok(((), vec![change])),
                    false => Err(grant_missing()),
                }
            })
        })
        .await?;
        self.revoke_in_background();
        Ok(())
    }
}

/// Takes a token set from its grant; what the provider is to be told of waits in its row.
async fn cut_off(
    s: &mut Session<'_>,
    mut set: TokenSet,
    now: keyway_core::time::UnixMillis,
) -> Result<(), Error> {
    set.state = TokenSetState::Revoking;
    set.grant_id = None;
    set.updated_at = now;
    // Attempts at revoking are counted from here.
    let version = set.version;
    set.version += 1;
    match s.update_token_set(&set, version).await? {
        true => Ok(()),
        false => Err(changed_meanwhile()),
    }
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
