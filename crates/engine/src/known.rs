//! What every sign-in asks about its application, remembered: the application, its redirect URIs and
//! connectors, and its credentials with their opened clients. Small tables that change seldom; entries go
//! with the change that makes them stale.

use crate::engine::Engine;
use crate::error::Error;
use keyway_core::application::{Application, RedirectUri};
use keyway_core::change::{Entity, NewChange};
use keyway_core::connector::Connector;
use keyway_core::credential::Credential;
use keyway_core::ids::{ApplicationId, CredentialId};
use keyway_core::oauth::Client;
use keyway_core::page::LIMIT_MAX;
use keyway_core::time::UnixMillis;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Room for applications, in bytes; about 2,000 with a handful of redirect URIs.
const APPLICATIONS_BYTES: u64 = 8 * 1024 * 1024;
/// Applications the table is laid out for.
const APPLICATIONS_EXPECTED: usize = 1_000;
/// What an application or a part of it takes beside its texts, in bytes.
const PART_BYTES: usize = 500;
/// Credentials remembered, with their client secrets.
const CREDENTIALS_MAX: usize = 5_000;
/// A client secret stays open in memory this long at most, in milliseconds.
const CLIENT_KEPT_MS: i64 = 10 * 60_000;

/// An application and what its sign-ins go through.
#[derive(Debug)]
pub(crate) struct KnownApplication {
    pub(crate) application: Application,
    pub(crate) redirect_uris: Vec<RedirectUri>,
    pub(crate) connectors: Vec<Connector>,
}

/// A live credential and its client, opened.
pub(crate) struct KnownCredential {
    pub(crate) credential: Credential,
    pub(crate) client: Client,
    opened_at: UnixMillis,
}

impl KnownApplication {
    fn bytes(&self) -> u64 {
        let json = |map: &Map<String, Value>| {
            serde_json::to_string(map).map_or(usize::MAX / 1024, |text| 4 * text.len())
        };
        let uris = self
            .redirect_uris
            .iter()
            .map(|uri| PART_BYTES + uri.url.len() + json(&uri.settings));
        let scopes = |c: &Connector| c.scope.iter().map(|s| s.len() + 24).sum::<usize>();
        let connectors = self
            .connectors
            .iter()
            .map(|c| PART_BYTES + scopes(c) + json(&c.settings));
        let parts = uris.chain(connectors).fold(0_usize, usize::saturating_add);
        let all = PART_BYTES
            .saturating_add(json(&self.application.profile))
            .saturating_add(parts);
        u64::try_from(all).unwrap_or(u64::MAX)
    }
}

#[derive(Clone)]
struct ByBytes;

impl quick_cache::Weighter<ApplicationId, Arc<KnownApplication>> for ByBytes {
    fn weight(&self, _: &ApplicationId, known: &Arc<KnownApplication>) -> u64 {
        known.bytes()
    }
}

/// The tables.
pub(crate) struct KnownThings {
    applications: quick_cache::sync::Cache<ApplicationId, Arc<KnownApplication>, ByBytes>,
    credentials: quick_cache::sync::Cache<CredentialId, Arc<KnownCredential>>,
}

impl KnownThings {
    pub(crate) fn new() -> Self {
        Self {
            applications: quick_cache::sync::Cache::with_weighter(
                APPLICATIONS_EXPECTED,
                APPLICATIONS_BYTES,
                ByBytes,
            ),
            credentials: quick_cache::sync::Cache::new(CREDENTIALS_MAX),
        }
    }

    /// Drops what `change` makes stale. The caller excludes whoever is about to remember something.
    pub(crate) fn forget(&self, change: &NewChange) {
        match (change.entity, change.action) {
            (Entity::Application | Entity::RedirectUri, _) => {
                self.applications.remove(&change.application_id);
            }
            // A connector's tenant is that of credentials without one. A borrower's client is the lender's, of the same application: which borrows from which is
            // not known here.
            (Entity::Connector | Entity::Credential, _) => {
                self.applications.remove(&change.application_id);
                self.forget_credentials(change.application_id);
            }
            _ => {}
        }
    }

    fn forget_credentials(&self, of: ApplicationId) {
        self.credentials
            .retain(|_, known| known.credential.application_id != of);
    }

    /// Drops secrets that have been open long enough.
    pub(crate) fn drop_opened(&self, now: UnixMillis) {
        self.credentials
            .retain(|_, known| now < known.opened_at.plus_ms(CLIENT_KEPT_MS));
    }

    pub(crate) fn clear(&self) {
        self.applications.clear();
        self.credentials.clear();
    }
}

impl Engine {
    /// An application with its redirect URIs and connectors, or `None` if there is none.
    pub(crate) async fn known_application(
        &self,
        id: ApplicationId,
    ) -> Result<Option<Arc<KnownApplication>>, Error> {
        let miss = match self.inner.cache.known(|known| known.applications.get(&id)) {
            Ok(known) => return Ok(Some(known)),
            Err(miss) => miss,
        };
        let job = self.store().read(move |s| {
            Box::pin(async move {
                let Some(application) = s.application(id).await? else {
                    return Ok(None);
                };
                let redirect_uris = s.redirect_uris(id).await?;
                let connectors = s.connectors(id, LIMIT_MAX, 0).await?;
                Ok(Some(KnownApplication {
                    application,
                    redirect_uris,
                    connectors,
                }))
            })
        });
        let Some(known) = job.await?.map(Arc::new) else {
            return Ok(None);
        };
        let entry = Arc::clone(&known);
        self.inner
            .cache
            .remember_known(miss, |things| things.applications.insert(id, entry));
        Ok(Some(known))
    }

    /// A live credential of an application with its client, or `None` if there is none.
    pub(crate) async fn known_credential(
        &self,
        application_id: ApplicationId,
        id: CredentialId,
    ) -> Result<Option<Arc<KnownCredential>>, Error> {
        let now = self.now();
        let miss = match self.inner.cache.known(|known| known.credentials.get(&id)) {
            Ok(known) if now < known.opened_at.plus_ms(CLIENT_KEPT_MS) => {
                let own = known.credential.application_id == application_id;
                return Ok(own.then_some(known));
            }
            Ok(_) => self.inner.cache.known_miss(),
            Err(miss) => miss,
        };
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.credential(application_id, id).await }));
        let Some(credential) = job.await? else {
            return Ok(None);
        };
        let client = self.client(&credential).await?;
        let known = Arc::new(KnownCredential {
            credential,
            client,
            opened_at: now,
        });
        let entry = Arc::clone(&known);
        self.inner
            .cache
            .remember_known(miss, |things| things.credentials.insert(id, entry));
        Ok(Some(known))
    }
}
