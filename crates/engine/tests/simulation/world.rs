//! What a simulation is made of: processes on one database, users at one provider, one application.

use crate::board::{Board, ProcessId, ProcessStage};
use crate::provider::{Book, Line, lock};
use keyway_core::catalogue::Catalogue;
use keyway_core::credential::CredentialType;
use keyway_core::entropy::{Entropy, SeededEntropy, random_bytes};
use keyway_core::grant::Grant;
use keyway_core::ids::{CredentialId, GrantId};
use keyway_core::provider::Provider;
use keyway_core::scope::Scopes;
use keyway_core::sealed::SealContext;
use keyway_core::time::{Clock, UnixMillis};
use keyway_core::token_set::{ProviderTokens, TokenSet};
use keyway_engine::applications::NewApplication;
use keyway_engine::connectors::NewConnector;
use keyway_engine::credentials::NewCredential;
use keyway_engine::custom::CustomAuthentication;
use keyway_engine::unlock::{MasterKey, open_vault};
use keyway_engine::{Caller, Engine, Parts, Settings};
use keyway_store::Store;
use keyway_store::testing::TestDatabase;
use keyway_testkit::{FakeMailboxes, KeptMasterKeys, object};
use keyway_vault::Vault;
use secrecy::ExposeSecret as _;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::runtime::Handle;
use tokio::time::Instant;
use url::Url;

/// Processes alive at a time.
pub(crate) const PROCESSES: usize = 3;
/// Users, each with one grant.
pub(crate) const USERS: usize = 3;
/// The two provider applications.
pub(crate) const CLIENTS: [&str; 2] = ["dev-app", "prod-app"];

/// The runtime's time, which stands still while anything can go on. The threads that write to the database
/// do not know it: they are told of it with every turn.
pub(crate) struct SimTime {
    began: Instant,
    told_ms: AtomicI64,
}

impl SimTime {
    pub(crate) fn tell(&self) -> i64 {
        let ms = i64::try_from(self.began.elapsed().as_millis()).unwrap();
        self.told_ms.store(ms, Ordering::SeqCst);
        ms
    }
}

/// A clock that may be set wrong.
pub(crate) struct SimClock {
    time: Arc<SimTime>,
    pub(crate) skew_ms: AtomicI64,
}

impl SimClock {
    fn of(time: &Arc<SimTime>) -> Arc<Self> {
        Arc::new(Self {
            time: Arc::clone(time),
            skew_ms: AtomicI64::new(0),
        })
    }
}

impl Clock for SimClock {
    fn now(&self) -> UnixMillis {
        let ms = match Handle::try_current() {
            Ok(_) => self.time.tell(),
            Err(_) => self.time.told_ms.load(Ordering::SeqCst),
        };
        UnixMillis(1_800_000_000_000 + ms + self.skew_ms.load(Ordering::SeqCst))
    }
}

/// One process.
pub(crate) struct Process {
    pub(crate) id: ProcessId,
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<SimClock>,
}

/// A grant's row and its tokens, as they are stored.
pub(crate) struct Stored {
    pub(crate) grant: Grant,
    pub(crate) set: TokenSet,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

pub(crate) struct World {
    pub(crate) board: Arc<Board>,
    pub(crate) book: Arc<Mutex<Book>>,
    pub(crate) processes: Vec<Process>,
    pub(crate) caller: Caller,
    pub(crate) credentials: BTreeMap<CredentialId, &'static str>,
    pub(crate) grants: Vec<GrantId>,
    /// Looks at the database without waiting for a turn.
    pub(crate) watcher: Store,
    vault: Vault,
    master: String,
    entropy: Arc<dyn Entropy>,
    database: TestDatabase,
    /// The clock of the database, and of processes that are set right.
    pub(crate) clock: Arc<SimClock>,
    pub(crate) time: Arc<SimTime>,
    next_process: ProcessId,
}

impl World {
    /// A world with a grant for each user, all processes running.
    pub(crate) async fn new(seed: u64) -> Self {
        let time = Arc::new(SimTime {
            began: Instant::now(),
            told_ms: AtomicI64::new(0),
        });
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
        let clock = SimClock::of(&time);
        let database = TestDatabase::sqlite();
        let watcher = database.open(clock.clone()).await.unwrap();
        watcher.migrate().await.unwrap();
        let master = MasterKey::generate(&*entropy);
        let text = master.to_base64().to_string();
        let masters = KeptMasterKeys::new([text.clone()]);
        let vault = open_vault(&watcher, &masters, &*clock, Arc::clone(&entropy));
        let vault = vault.await.unwrap();
        let board = Arc::new(Board::default());
        board.open(true);
        let mut world = Self {
            board,
            book: Arc::default(),
            processes: Vec::new(),
            caller: Caller {
                application_id: keyway_core::ids::ApplicationId::from_u128(0),
                key_id: keyway_core::ids::ApiKeyId::from_u128(0),
            },
            credentials: BTreeMap::new(),
            grants: Vec::new(),
            watcher,
            vault,
            master: text,
            entropy,
            database,
            clock,
            time,
            next_process: 0,
        };
        for _ in 0..PROCESSES {
            world.start_process().await;
        }
        world.set_up().await;
        world
    }

    /// Bits that are the same for the same seed.
    pub(crate) fn random(&self) -> u64 {
        u64::from_le_bytes(random_bytes(&*self.entropy))
    }

    pub(crate) async fn start_process(&mut self) {
        let id = self.next_process;
        self.next_process += 1;
        let stage = Arc::new(ProcessStage {
            process: id,
            board: Arc::clone(&self.board),
            time: Arc::clone(&self.time),
        });
        let clock = SimClock::of(&self.time);
        let masters = KeptMasterKeys::new([self.master.clone()]);
        let entropy = Arc::clone(&self.entropy);
        // It reads its keys before anything else: nothing waits for its turn yet.
        let vault = open_vault(&self.watcher, &masters, &*self.clock, Arc::clone(&entropy));
        let vault = vault.await.unwrap();
        let staged = self.database.open_staged(self.clock.clone(), stage);
        let engine = Engine::new(Parts {
            store: staged.await.unwrap(),
            vault,
            mail_exchangers: Arc::new(keyway_outbound::NotAsked),
            master_keys: Arc::new(masters),
            transport: Arc::new(Line {
                process: id,
                board: Arc::clone(&self.board),
                book: Arc::clone(&self.book),
            }),
            mailboxes: Arc::new(FakeMailboxes::default()),
            catalogue: Catalogue::default(),
            clock: clock.clone(),
            entropy,
            settings: Settings {
                public_url: Url::parse("https://keyway.example").unwrap(),
                issuer: "https://keyway.example".to_owned(),
                shared_apps: BTreeMap::new(),
                probe_credentials: false,
                serve_through_outage: std::time::Duration::ZERO,
            },
            runtime: Handle::current(),
        });
        engine.run_background();
        self.processes.push(Process { id, engine, clock });
    }

    async fn set_up(&mut self) {
        let engine = self.processes[0].engine.clone();
        let new = NewApplication {
            name: "simulated".to_owned(),
            region: "us".to_owned(),
            environment: "sandbox".to_owned(),
            redirect_uris: Vec::new(),
        };
        let (_, api_key, _) = engine.create_application(new).await.unwrap();
        self.caller = engine.caller(api_key.expose_secret()).await.unwrap();
        let data = |client| object(json!({"client_id": client, "client_secret": "secret"}));
        let connector = NewConnector {
            provider: Provider::Google,
            name: None,
            settings: data(CLIENTS[0]),
            scope: Scopes::parse("mail.read").unwrap(),
        };
        let connector = engine.create_connector(&self.caller, connector).await;
        let primary = connector.unwrap().active_credential_id.unwrap();
        let second = NewCredential {
            name: "second".to_owned(),
            credential_type: CredentialType::Connector,
            data: data(CLIENTS[1]),
        };
        let second = engine.create_credential(&self.caller, Provider::Google, second);
        let second = second.await.unwrap().id;
        self.credentials = BTreeMap::from([(primary, CLIENTS[0]), (second, CLIENTS[1])]);
        for user in 0..USERS {
            let request = self.authentication(user, primary);
            let grant = engine.custom_authentication(&self.caller, request).await;
            self.grants.push(grant.unwrap().id);
        }
    }

    /// The application brings a refresh token of `user`'s for the client of `credential`.
    pub(crate) fn authentication(
        &self,
        user: usize,
        credential: CredentialId,
    ) -> CustomAuthentication {
        let token = lock(&self.book).consent(user, self.credentials[&credential]);
        CustomAuthentication {
            provider: Some(Provider::Google),
            settings: object(json!({"refresh_token": token})),
            credential_id: Some(credential),
            ..CustomAuthentication::default()
        }
    }

    /// A grant as it is stored now.
    pub(crate) async fn stored(&self, id: GrantId) -> Stored {
        let application_id = self.caller.application_id;
        let job = self.watcher.read(move |s| {
            Box::pin(async move {
                let grant = s.grant(application_id, id).await?;
                Ok((grant, s.current_token_set(application_id, id).await?))
            })
        });
        let (grant, set) = job.await.unwrap();
        let set = set.unwrap();
        let row = set.id.to_string();
        let context = SealContext {
            purpose: "token_sets.sealed",
            row: &row,
        };
        let plain = self.vault.open(&context, &set.sealed).unwrap();
        let tokens = ProviderTokens::from_bytes(&plain).unwrap();
        Stored {
            grant: grant.unwrap(),
            set,
            access_token: tokens.access_token.expose_secret().to_owned(),
            refresh_token: tokens.refresh_token.unwrap().expose_secret().to_owned(),
        }
    }

    /// Why a grant ended last, as the sequence of changes has it.
    pub(crate) async fn cause_of_end(&self, id: GrantId) -> Option<String> {
        let job = self
            .watcher
            .read(|s| Box::pin(async move { s.changes_since(0, 100_000).await }));
        let changes = job.await.unwrap();
        let name = id.to_string();
        let ended = changes.iter().rev().find(|c| {
            c.change.entity_id == name && c.change.action == keyway_core::change::Action::Expired
        })?;
        Some(ended.change.detail["cause"].as_str()?.to_owned())
    }
}
