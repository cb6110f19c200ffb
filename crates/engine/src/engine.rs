//! The engine itself: its parts, its way of committing, and its background work.

use crate::cache::Cache;
use crate::custom::Trials;
use crate::detect::DetectionLimiter;
use crate::error::{Error, ErrorKind};
use crate::follower::STALE_AFTER;
use crate::keyring::reseal::LastRun;
use crate::login_checks::SilentHosts;
use crate::provider_keys::ProviderKeyCache;
use crate::proxy::{ApiHosts, Refusals};
use crate::refresh::{Breakers, Flights, Outages, RefreshCounts};
use crate::service_accounts::SignedRequestLimiter;
use crate::sign_in::{Guesses, Repeats};
use crate::signing::Signing;
use crate::sweeps::LookThrough;
use crate::unlock::MasterKeys;
use futures_util::future::BoxFuture;
use keyway_core::catalogue::{Catalogue, ProviderEntry};
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::entropy::{Entropy, SeededEntropy, random_bytes};
use keyway_core::ids::ApplicationId;
use keyway_core::provider::Provider;
use keyway_core::scope::Scopes;
use keyway_core::time::{Clock, UnixMillis};
use keyway_outbound::{MailExchangers, Mailboxes, Transport};
use keyway_store::{Session, Store};
use keyway_vault::Vault;
use secrecy::SecretString;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

/// Which applications may use an operator's own provider application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedApplications {
    /// Every one.
    All,
    /// These.
    Listed(BTreeSet<ApplicationId>),
}

/// An operator's own provider application, lent to applications that bring none.
#[derive(Clone, Debug)]
pub struct SharedApp {
    /// Its client id at the provider.
    pub client_id: String,
    /// Its client secret.
    pub client_secret: SecretString,
    /// Who may use it.
    pub applications: AllowedApplications,
    /// The most it may ask for.
    pub scopes: Scopes,
}

impl SharedApp {
    /// Whether `application_id` may use it.
    #[must_use]
    pub fn allows(&self, application_id: ApplicationId) -> bool {
        match &self.applications {
            AllowedApplications::All => true,
            AllowedApplications::Listed(ids) => ids.contains(&application_id),
        }
    }
}

/// What an operator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where browsers and applications reach this server.
    pub public_url: Url,
    /// `iss` of Keyway's own id_tokens.
    pub issuer: String,
    /// Provider applications lent to applications.
    pub shared_apps: BTreeMap<Provider, SharedApp>,
    /// Ask the provider about a client secret when it is stored.
    pub probe_credentials: bool,
    /// How long what is remembered is served while the database cannot be reached; it is half a second at
    /// least. A key revoked meanwhile by another server opens for so long.
    pub serve_through_outage: Duration,
}

/// What an engine is made of.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The cryptography.
    pub vault: Vault,
    /// Where the key is that the vault's own keys are wrapped by.
    pub master_keys: Arc<dyn MasterKeys>,
    /// The way out.
    pub transport: Arc<dyn Transport>,
    /// Who takes whose mail.
    pub mail_exchangers: Arc<dyn MailExchangers>,
    /// The way to mail accounts.
    pub mailboxes: Arc<dyn Mailboxes>,
    /// What providers are like.
    pub catalogue: Catalogue,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What the operator decided.
    pub settings: Settings,
    /// Where work runs that outlives a request.
    pub runtime: Handle,
}

pub(crate) struct Inner {
    pub(crate) parts: Parts,
    pub(crate) cache: Cache,
    pub(crate) signing: Signing,
    pub(crate) provider_keys: ProviderKeyCache,
    pub(crate) probes: quick_cache::sync::Cache<keyway_core::ids::CredentialId, UnixMillis>,
    pub(crate) detections: DetectionLimiter,
    pub(crate) guesses: Guesses,
    pub(crate) pictures: crate::pictures::Pictures,
    pub(crate) repeats: Repeats,
    pub(crate) trials: Trials,
    pub(crate) signed_requests: SignedRequestLimiter,
    pub(crate) flights: Flights,
    pub(crate) breakers: Breakers,
    pub(crate) silent_hosts: SilentHosts,
    pub(crate) look_through: LookThrough,
    pub(crate) refresh_counts: RefreshCounts,
    pub(crate) outages: Outages,
    pub(crate) api_hosts: ApiHosts,
    pub(crate) refusals: Refusals,
    /// Told when the keys in the database are others than this process knows.
    pub(crate) keys_changed: Notify,
    /// Whether there are keys this process could not take up.
    pub(crate) keys_missing: AtomicBool,
    /// The last time everything was found sealed with the term that seals.
    pub(crate) last_run: LastRun,
    /// For request ids, which must differ and need not be secret: every request has one.
    request_bits: SeededEntropy,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// The use cases. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine(..)")
    }
}

/// Drops shared apps of providers that cannot be made to ask for consent again: users who consented for
/// one application would be signed in for another without a word (rule 8).
fn keep_lendable(settings: &mut Settings, catalogue: &Catalogue) {
    settings.shared_apps.retain(|provider, _| {
        let entry = catalogue.entry(*provider);
        entry.is_some_and(|entry| entry.consent_param.is_some())
    });
}

/// What is stored for a provider outlives its entry in the operator's configuration.
pub(crate) fn undescribed(provider: Provider) -> Error {
    let message = format!(
        "This server's configuration no longer describes the provider {provider}; contact its administrator."
    );
    Error::new(ErrorKind::Internal, message)
}

/// Credentials whose last probe is remembered.
const PROBES_REMEMBERED: usize = 1024;
/// How long a stop waits for work under way: longer than a provider may take to answer a refresh, since
/// an answer nobody hears may have rotated the token.
const LAST_WORK: Duration = Duration::from_secs(65);

impl Engine {
    /// An engine of `parts`. Nothing runs in the background until [`Engine::run_background`].
    #[must_use]
    pub fn new(mut parts: Parts) -> Self {
        keep_lendable(&mut parts.settings, &parts.catalogue);
        let api_hosts = ApiHosts::of(&parts.catalogue);
        let request_bits = u64::from_le_bytes(random_bytes(&*parts.entropy));
        let stale_after = parts.settings.serve_through_outage.max(STALE_AFTER);
        let inner = Inner {
            parts,
            cache: Cache::new(stale_after),
            signing: Signing::default(),
            provider_keys: ProviderKeyCache::default(),
            probes: quick_cache::sync::Cache::new(PROBES_REMEMBERED),
            detections: DetectionLimiter::default(),
            guesses: Guesses::default(),
            pictures: crate::pictures::pictures(),
            repeats: Repeats::default(),
            trials: Trials::default(),
            signed_requests: SignedRequestLimiter::default(),
            flights: Flights::default(),
            breakers: Breakers::default(),
            silent_hosts: SilentHosts::default(),
            look_through: LookThrough::default(),
            refresh_counts: RefreshCounts::default(),
            outages: Outages::default(),
            api_hosts,
            refusals: Refusals::default(),
            keys_changed: Notify::new(),
            keys_missing: AtomicBool::new(false),
            last_run: LastRun::default(),
            request_bits: SeededEntropy::new(request_bits),
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.inner.parts.vault
    }

    /// The way out, for what is no part of the engine's work.
    #[must_use]
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.inner.parts.transport
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        &*self.inner.parts.entropy
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.parts.settings
    }

    /// The present, as the engine sees it.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.inner.parts.clock.now()
    }

    /// A new request id.
    #[must_use]
    pub fn request_id(&self) -> keyway_core::ids::RequestId {
        keyway_core::ids::RequestId::generate(self.now(), &self.inner.request_bits)
    }

    /// The URI to register at every provider application.
    #[must_use]
    pub fn callback_uri(&self) -> String {
        let base = self
            .settings()
            .public_url
            .as_str()
            .trim_end_matches('/')
            .to_owned();
        base + "/v3/connect/callback"
    }

    /// Where browsers and applications reach this server.
    #[must_use]
    pub fn public_url(&self) -> &Url {
        &self.settings().public_url
    }

    /// Whether requests can be served: the database answers, or what is remembered may be served without it;
    /// and what is sealed can be opened.
    pub async fn is_ready(&self) -> bool {
        if self.inner.keys_missing.load(Ordering::Relaxed) {
            return false;
        }
        self.store().is_ready().await || self.serves_through_outage()
    }

    fn serves_through_outage(&self) -> bool {
        let following = &self.inner.cache.following;
        self.settings().serve_through_outage > STALE_AFTER && following.is_seen()
    }

    /// What providers are like.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.inner.parts.catalogue
    }

    /// The catalogue's entry of an OAuth provider.
    pub(crate) fn entry(&self, provider: Provider) -> Result<&ProviderEntry, Error> {
        let entry = self.catalogue().entry(provider);
        entry.ok_or_else(|| match provider {
            Provider::Other(_) => undescribed(provider),
            _ => Error::field(
                "provider",
                format_args!("{provider} users do not sign in through OAuth"),
            ),
        })
    }

    /// How long the provider keeps a refresh token that nobody uses, in days, where an end is known.
    pub(crate) fn idle_days(&self, provider: Provider) -> Option<u16> {
        self.catalogue().entry(provider)?.refresh_token_idle_days
    }

    /// Runs `job` in one transaction, appends the changes it names in that same transaction (rule 10),
    /// and drops what they make stale from memory before anyone is answered.
    pub(crate) async fn commit<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'a, 'b> FnOnce(
                &'a mut Session<'b>,
            ) -> BoxFuture<'a, Result<(T, Vec<NewChange>), Error>>
            + Send
            + 'static,
    {
        let (value, changes) = self
            .store()
            .write(move |s| {
                Box::pin(async move {
                    let (value, changes) = job(s).await?;
                    for change in &changes {
                        s.append_change(change).await?;
                    }
                    Ok::<_, Error>((value, changes))
                })
            })
            .await?;
        for change in &changes {
            self.inner.cache.forget(change);
        }
        Ok(value)
    }

    /// Runs `work` to its end, whatever becomes of the caller's connection.
    pub(crate) async fn finishing<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        // On the caller's own runtime, which outlives its connections: no thread has to be woken.
        let runtime = Handle::try_current();
        let runtime = runtime.as_ref().unwrap_or(&self.inner.parts.runtime);
        let handle = self.inner.tracker.spawn_on(work, runtime);
        handle.await.map_err(Error::internal)
    }

    /// Starts `work` that nobody waits for; a graceful stop still does.
    pub(crate) fn in_background<W>(&self, work: W)
    where
        W: Future<Output = ()> + Send + 'static,
    {
        self.inner.tracker.spawn_on(work, &self.inner.parts.runtime);
    }

    /// Starts what a server does by itself: a word of what the configuration lacks, following other processes' changes, telling providers of
    /// revocations, keeping grants alive, sweeping what has expired. Ends at [`Engine::shutdown`].
    pub fn run_background(&self) {
        self.inner.cache.following.begin();
        self.in_background(self.clone().follow_changes(self.inner.stop.clone()));
        self.in_background(self.clone().follow_keys());
        self.in_background(self.clone().warn_of_undescribed());
        self.start_rounds();
    }

    /// Providers that some application has a connector for, and that nothing describes: their entries were
    /// taken out of the operator's configuration.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn undescribed_providers(&self) -> Result<Vec<Provider>, Error> {
        let job = self
            .store()
            .read(|s| Box::pin(async move { s.connector_providers().await }));
        let mut used = job.await?;
        used.retain(|provider| !self.catalogue().knows(*provider));
        Ok(used)
    }

    async fn warn_of_undescribed(self) {
        for provider in self.undescribed_providers().await.unwrap_or_default() {
            tracing::warn!(
                %provider,
                "there are connectors for a provider that the configuration does not describe: nobody signs in through them, and no token of theirs is refreshed"
            );
        }
    }

    /// Whether background work is to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.inner.stop.is_cancelled()
    }

    /// Waits until background work is to end.
    pub(crate) async fn stopping(&self) {
        self.inner.stop.cancelled().await;
    }

    /// Stops background work and waits for everything under way, for at most 65 seconds.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tracker.close();
        let ended = tokio::time::timeout(LAST_WORK, self.inner.tracker.wait());
        if ended.await.is_err() {
            let left = self.inner.tracker.len();
            tracing::warn!(left, "stopping although some work has not ended");
        }
    }
}

/// One entry for the sequence of changes.
pub(crate) struct ChangeOf<'a> {
    pub(crate) application_id: ApplicationId,
    pub(crate) entity: Entity,
    pub(crate) id: &'a dyn std::fmt::Display,
    pub(crate) action: Action,
    pub(crate) actor: &'a str,
}

impl ChangeOf<'_> {
    /// The entry, with facts for audit and webhooks.
    pub(crate) fn with(self, at: UnixMillis, detail: Value) -> NewChange {
        let detail = match detail {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        NewChange {
            at,
            application_id: self.application_id,
            entity: self.entity,
            entity_id: self.id.to_string(),
            action: self.action,
            actor: self.actor.to_owned(),
            detail,
        }
    }
}
