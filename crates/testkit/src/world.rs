//! The whole application in one process.

use crate::application::TestApplication;
use crate::database::TestDatabase;
use crate::mailboxes::FakeMailboxes;
use crate::master_keys::KeptMasterKeys;
use crate::options::WorldOptions;
use crate::recorder::Recorder;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keyway_core::catalogue::{Catalogue, EndpointOverrides};
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::entropy::Entropy;
use keyway_core::grant::Grant;
use keyway_core::mail_services::ServiceRecord;
use keyway_core::provider::Provider;
use keyway_core::sealed::SealContext;
use keyway_core::time::{ManualClock, UnixMillis};
use keyway_core::token_set::{ProviderTokens, TokenSet};
use keyway_engine::unlock::open_vault;
use keyway_engine::{Engine, Parts, Settings, SharedApp};
use keyway_outbound::{HttpTransport, MailExchangers, NetworkPolicy, Roots};
use keyway_sandbox::{
    ClientConfig, Control, DEFAULT_TENANT_ID, Dialect, Sandbox, SandboxConfig, Signing,
};
use keyway_store::testing::Stage;
use keyway_store::{Backend, Store, StoreError};
use keyway_vault::{MasterKey, SystemEntropy, Vault};
use secrecy::ExposeSecret as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

/// A client of the sandbox; its secret is its id followed by `-secret`, its project is itself.
pub const DEV: &str = "dev-app";
/// Another client of the sandbox.
pub const STAGING: &str = "staging-app";
/// A third client of the sandbox.
pub const PROD: &str = "production-app";
/// A user.
pub const ALICE: &str = "alice@example.com";
/// Another user.
pub const BOB: &str = "bob@example.com";
/// What the sandbox's clients have registered.
pub const CALLBACK_URI: &str = "http://127.0.0.1:8080/v3/connect/callback";
/// When every story begins.
const START: UnixMillis = UnixMillis(1_800_000_000_000);

/// An engine, its database, its provider and an application.
pub struct World {
    /// The use cases.
    pub engine: Engine,
    /// The engine's database.
    pub store: Store,
    /// The time of engine and provider alike.
    pub clock: Arc<ManualClock>,
    /// The provider, which stands in for all of them.
    pub provider: Control,
    /// What was said to the provider.
    pub recorder: Arc<Recorder>,
    /// The mail servers there are.
    pub mailboxes: Arc<FakeMailboxes>,
    /// The first application.
    pub app: TestApplication,
    vault: Vault,
    master_key: String,
    /// Where the engine finds the master key; a test may replace what is there.
    pub masters: KeptMasterKeys,
    entropy: Arc<dyn Entropy>,
    database: TestDatabase,
    options: WorldOptions,
    provider_url: Url,
    _stop: DropGuard,
}

/// A grant's current token set, opened.
pub struct OpenedTokens {
    /// The row.
    pub set: TokenSet,
    /// The access token.
    pub access_token: String,
    /// The refresh token.
    pub refresh_token: Option<String>,
}

impl World {
    /// The usual kind of world, to be changed.
    #[must_use]
    pub fn options() -> WorldOptions {
        WorldOptions::default()
    }

    /// A world on that kind of database; `None` if there is no PostgreSQL server to test on.
    ///
    /// # Panics
    /// If something cannot be set up.
    pub async fn create(backend: Backend, options: WorldOptions) -> Option<Self> {
        let database = TestDatabase::create(backend).await?;
        let clock = Arc::new(ManualClock::at(START));
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let stop = CancellationToken::new();
        let (provider, provider_url) = start_provider(&options, &clock, &stop).await;
        let store = database.open(clock.clone()).await.unwrap();
        store.migrate().await.unwrap();
        let master = MasterKey::generate(&*entropy);
        let master_key = master.to_base64().to_string();
        let masters = KeptMasterKeys::new([master_key.clone()]);
        let vault = open_vault(&store, &masters, &*clock, Arc::clone(&entropy))
            .await
            .unwrap();
        let recorder = Arc::new(Recorder::new(transport()));
        let mailboxes = Arc::new(FakeMailboxes::default());
        let parts = Parts {
            store: store.clone(),
            vault: open_vault(&store, &masters, &*clock, Arc::clone(&entropy))
                .await
                .unwrap(),
            master_keys: Arc::new(masters.clone()),
            transport: recorder.clone(),
            mail_exchangers: Arc::new(TestMailExchangers),
            mailboxes: mailboxes.clone(),
            catalogue: catalogue(&provider_url, &options),
            clock: clock.clone(),
            entropy: Arc::clone(&entropy),
            settings: settings(&options),
            runtime: Handle::current(),
        };
        let engine = Engine::new(parts);
        let app = TestApplication::create(&engine, &provider, "acme").await;
        Some(Self {
            engine,
            store,
            clock,
            provider,
            recorder,
            mailboxes,
            app,
            vault,
            master_key,
            masters,
            entropy,
            database,
            options,
            provider_url,
            _stop: stop.drop_guard(),
        })
    }

    /// One more application.
    pub async fn application(&self, name: &str) -> TestApplication {
        TestApplication::create(&self.engine, &self.provider, name).await
    }

    /// One more engine on the same database, as another process would have it.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn second_engine(&self) -> Engine {
        let store = self.database.open(self.clock.clone()).await.unwrap();
        self.engine_on(store).await
    }

    /// The same, with jobs that wait for `stage` once the engine has its keys; and its store.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn staged_engine(&self, stage: Arc<dyn Stage>) -> (Engine, Store) {
        let store = self.database.open_staged(self.clock.clone(), stage);
        let store = store.await.unwrap();
        (self.engine_on(store.clone()).await, store)
    }

    /// The same, where the operator lends `app`.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn engine_lending(&self, provider: Provider, app: SharedApp) -> Engine {
        let store = self.database.open(self.clock.clone()).await.unwrap();
        let mut settings = settings(&self.options);
        settings.shared_apps.insert(provider, app);
        self.engine_with(store, settings, &self.options).await
    }

    /// The same, where the operator's configuration describes no providers.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn engine_without_entries(&self) -> Engine {
        let store = self.database.open(self.clock.clone()).await.unwrap();
        let options = WorldOptions {
            entries: BTreeMap::new(),
            ..self.options.clone()
        };
        self.engine_with(store, settings(&options), &options).await
    }

    async fn engine_on(&self, store: Store) -> Engine {
        self.engine_with(store, settings(&self.options), &self.options)
            .await
    }

    async fn engine_with(
        &self,
        store: Store,
        settings: Settings,
        options: &WorldOptions,
    ) -> Engine {
        let masters = KeptMasterKeys::new([self.master_key.clone()]);
        let entropy = Arc::clone(&self.entropy);
        let vault = open_vault(&self.store, &masters, &*self.clock, entropy);
        let vault = vault.await.unwrap();
        Engine::new(Parts {
            store,
            vault,
            master_keys: Arc::new(masters),
            transport: self.recorder.clone(),
            mail_exchangers: Arc::new(TestMailExchangers),
            mailboxes: self.mailboxes.clone(),
            catalogue: catalogue(&self.provider_url, options),
            clock: self.clock.clone(),
            entropy: Arc::clone(&self.entropy),
            settings,
            runtime: Handle::current(),
        })
    }

    /// The database's own address, for looking at its file.
    #[must_use]
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// The master key, as the operator's file holds it.
    #[must_use]
    pub fn master_key(&self) -> &str {
        &self.master_key
    }

    /// Bars an application from the API or lets it in again, as an operator may in another process.
    ///
    /// # Panics
    /// If there is none such.
    pub async fn set_blocked(&self, app: &TestApplication, blocked: bool) {
        let (id, at) = (app.id, self.engine.now());
        let job = self.store.write(move |s| {
            Box::pin(async move {
                let mut row = s.application(id).await?.unwrap();
                row.blocked = blocked;
                s.update_application(&row, row.version).await?;
                let change = NewChange {
                    at,
                    application_id: id,
                    entity: Entity::Application,
                    entity_id: id.to_string(),
                    action: Action::Updated,
                    actor: "operator".into(),
                    detail: serde_json::Map::new(),
                };
                s.append_change(&change).await?;
                Ok::<_, StoreError>(())
            })
        });
        job.await.unwrap();
    }

    /// Lets `secs` seconds pass, for engine and provider.
    pub fn pass_secs(&self, secs: i64) {
        self.clock.advance_ms(secs * 1000);
    }

    /// The current tokens of `grant`.
    ///
    /// # Panics
    /// If it has none, or they do not open.
    pub async fn tokens(&self, grant: &Grant) -> OpenedTokens {
        let (application_id, id) = (grant.application_id, grant.id);
        let job = self
            .store
            .read(move |s| Box::pin(async move { s.current_token_set(application_id, id).await }));
        let set = job.await.unwrap().expect("the grant has a current set");
        let row = set.id.to_string();
        let context = SealContext {
            purpose: "token_sets.sealed",
            row: &row,
        };
        let plain = self.vault.open(&context, &set.sealed).unwrap();
        let tokens = ProviderTokens::from_bytes(&plain).expect("a token set");
        let shown = |token: secrecy::SecretString| token.expose_secret().to_owned();
        OpenedTokens {
            set,
            access_token: shown(tokens.access_token),
            refresh_token: tokens.refresh_token.map(shown),
        }
    }

    pub(crate) async fn remove(self) {
        self.store.close().await;
        self.database.remove().await;
    }
}

async fn start_provider(
    options: &WorldOptions,
    clock: &Arc<ManualClock>,
    stop: &CancellationToken,
) -> (Control, Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let mut config = SandboxConfig::demo(url.clone());
    config.clients = [DEV, STAGING, PROD].map(|id| client(options, id)).to_vec();
    config.signing = Signing::Es256;
    config.dialect = options.dialect;
    config.other_tenants.clone_from(&options.tenants);
    config.rotation = options.rotation;
    config.revocation = options.revocation;
    let sandbox = Sandbox::new(config, clock.clone(), Arc::new(SystemEntropy)).unwrap();
    let control = sandbox.control();
    let until = stop.clone().cancelled_owned();
    Handle::current().spawn(async move { sandbox.serve(listener, until).await });
    (control, url)
}

fn client(options: &WorldOptions, id: &str) -> ClientConfig {
    let callback_uri = format!("{}/v3/connect/callback", options.public_url);
    let mut client = ClientConfig::new(id, &format!("{id}-secret"), &[&callback_uri]);
    if let Some(project) = &options.project {
        client.project.clone_from(project);
    }
    client
}

/// Domains named after the host that takes their mail: `google.test`, `microsoft.test`.
struct TestMailExchangers;

impl MailExchangers for TestMailExchangers {
    fn of(&self, domain: &str) -> BoxFuture<'static, Vec<String>> {
        let hosts: &[&str] = match domain {
            "google.test" => &["aspmx.l.google.com", "alt1.aspmx.l.google.com"],
            "microsoft.test" => &["microsoft-test.mail.protection.outlook.com"],
            "filtered.test" => &["filter.example", "aspmx.l.google.com"],
            _ => &[],
        };
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        std::future::ready(hosts).boxed()
    }

    fn services(
        &self,
        service: &'static str,
        domain: &str,
    ) -> BoxFuture<'static, Vec<ServiceRecord>> {
        std::future::ready(test_services(service, domain)).boxed()
    }
}

/// Domains named after what they publish of their services.
fn test_services(service: &str, domain: &str) -> Vec<ServiceRecord> {
    let record = |priority, port, target: &str| ServiceRecord {
        priority,
        weight: 0,
        port,
        target: target.to_owned(),
    };
    match (domain, service) {
        ("served.test", "_imaps._tcp") => vec![
            record(20, 993, "second.served.test"),
            record(10, 993, "imap.served.test"),
        ],
        ("served.test", "_submission._tcp") => vec![record(0, 587, "smtp.served.test")],
        ("served.test", "_autodiscover._tcp") => vec![record(0, 443, "mail.served.test")],
        ("ported.test", "_autodiscover._tcp") => vec![record(0, 8443, "mail.ported.test")],
        // Not over TLS from the first byte, decidedly.
        ("starttls.test", "_imaps._tcp") => vec![record(0, 0, "")],
        ("starttls.test", "_imap._tcp") => vec![record(0, 143, "mail.starttls.test")],
        ("hosted.test", "_imaps._tcp") => vec![record(0, 993, "imap.hoster.invalid")],
        ("hosted.test", "_autodiscover._tcp") => vec![record(0, 443, "mail.hoster.invalid")],
        ("odd.test", "_imaps._tcp") => vec![record(0, 22, "imap.odd.test")],
        _ => Vec::new(),
    }
}

fn transport() -> HttpTransport {
    let policy = NetworkPolicy::new(false, ["127.0.0.1".to_owned()]);
    HttpTransport::new(policy, Handle::current(), Roots::default()).unwrap()
}

fn settings(options: &WorldOptions) -> Settings {
    Settings {
        public_url: Url::parse(options.public_url).unwrap(),
        issuer: options.public_url.to_owned(),
        shared_apps: options.shared_apps.clone(),
        probe_credentials: options.probe_credentials,
        serve_through_outage: std::time::Duration::ZERO,
    }
}

/// The public clouds' endpoints and GitLab's are the sandbox's.
fn catalogue(sandbox: &Url, options: &WorldOptions) -> Catalogue {
    let dialect = options.dialect;
    let base = sandbox.as_str().trim_end_matches('/');
    let mut catalogue = Catalogue::default();
    for provider in [
        Provider::Google,
        Provider::Microsoft,
        Provider::Yahoo,
        Provider::Zoom,
        "gitlab".parse().unwrap(),
    ] {
        catalogue.apply(provider, endpoints(base, provider, dialect));
    }
    for (provider, form) in &options.entries {
        catalogue.configure(*provider, form).unwrap();
    }
    catalogue
}

fn endpoints(base: &str, provider: Provider, dialect: Dialect) -> EndpointOverrides {
    let at = |path: &str| Some(format!("{base}{path}"));
    let tenant = |path: &str| Some(format!("{base}/{{tenant}}{path}"));
    let common = EndpointOverrides {
        issuer: at(""),
        authorization_endpoint: at("/auth"),
        token_endpoint: at("/token"),
        revocation_endpoint: at("/token/revocation"),
        userinfo_endpoint: at("/me"),
        jwks_uri: at("/jwks"),
        api_base_url: at("/api"),
        ..EndpointOverrides::default()
    };
    match (provider, dialect) {
        (Provider::Microsoft, Dialect::Microsoft) => EndpointOverrides {
            issuer: tenant("/v2.0"),
            authorization_endpoint: tenant("/oauth2/v2.0/authorize"),
            token_endpoint: tenant("/oauth2/v2.0/token"),
            admin_consent_endpoint: tenant("/v2.0/adminconsent"),
            admin_consent_v1_endpoint: tenant("/adminconsent"),
            revocation_endpoint: None,
            ..common
        },
        (_, Dialect::Microsoft) => EndpointOverrides {
            issuer: at(&format!("/{DEFAULT_TENANT_ID}/v2.0")),
            ..common
        },
        _ => common,
    }
}
