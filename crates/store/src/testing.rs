//! Throw-away databases for tests, and what tests may know that nobody else may.
//!
//! A test that is given a [`Place::Postgres`] makes a database of its own on the server that
//! `KEYWAY_TEST_POSTGRES` names, and drops it at the end. Without a server such a test is skipped, with
//! one line that says so, unless `KEYWAY_TEST_REQUIRE_POSTGRES` is `1`: then it fails.

mod never;

use crate::error::StoreError;
use crate::statement::{REGISTRY, Statement};
use crate::store::{Backend, Store};
use crate::url::DatabaseUrl;
use futures_util::future::BoxFuture;
use keyway_core::time::Clock;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// Where a job on stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A reading job has not begun.
    BeforeRead,
    /// A writing job has not begun.
    BeforeWrite,
    /// A writing job is committed, or rolled back, and its caller does not know yet.
    AfterWrite,
}

/// Decides when the jobs of a simulated process run.
pub trait Stage: Send + Sync {
    /// Ends when the job may go on. An error takes its place: before a job it does not run, after one
    /// nobody hears how it ended.
    fn turn(&self, moment: Moment) -> BoxFuture<'static, Result<(), StoreError>>;

    /// Whether nothing else runs on the thread while a writing job runs. Only SQLite's jobs can: their
    /// work is done by a thread of their own.
    fn is_alone(&self) -> bool {
        true
    }
}

/// Waits for `work`, which another thread does, and lets nothing else run on this one meanwhile.
pub(crate) fn alone<T>(work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return done;
        }
        std::thread::yield_now();
    }
}

/// What a job hears that is refused its turn.
#[must_use]
pub fn simulated_outage() -> StoreError {
    StoreError::down("a simulated outage")
}

/// A database that is there for one test.
#[derive(Debug)]
pub struct TestDatabase {
    url: DatabaseUrl,
    home: Home,
}

#[derive(Debug)]
enum Home {
    #[expect(dead_code, reason = "kept to be removed when dropped")]
    Directory(TempDir),
    Server {
        url: String,
        name: String,
    },
}

fn variable(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests have no configuration but the environment"
    )]
    let value = std::env::var(name).ok();
    value.filter(|value| !value.is_empty())
}

/// A name no other test of this or another process uses.
fn fresh_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
    hasher.write_u32(std::process::id());
    format!("kw_test_{:016x}", hasher.finish())
}

/// The server's URL with another database.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = base.split_once("://").unwrap_or(("postgres", base));
    let authority = rest.split('/').next().unwrap_or(rest);
    format!("{scheme}://{authority}/{name}?{query}")
}

impl TestDatabase {
    /// An empty database of that kind; `None` if there is no PostgreSQL server to test on.
    ///
    /// # Panics
    /// If it cannot be made, or a server is required and none named.
    pub async fn create(backend: Backend) -> Option<Self> {
        match backend {
            Backend::Sqlite => Some(Self::sqlite()),
            Backend::Postgres => Self::postgres().await,
        }
    }

    /// An empty SQLite file in a directory of its own.
    ///
    /// # Panics
    /// If the directory cannot be made.
    #[must_use]
    pub fn sqlite() -> Self {
        Self::sqlite_in(&std::env::temp_dir())
    }

    /// An empty SQLite file in a directory of its own below `parent`.
    ///
    /// # Panics
    /// If the directory cannot be made.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a test without its directory cannot go on"
    )]
    pub fn sqlite_in(parent: &std::path::Path) -> Self {
        let directory = tempfile::tempdir_in(parent).expect("a temporary directory");
        Self {
            url: DatabaseUrl::Sqlite(directory.path().join("keyway.db")),
            home: Home::Directory(directory),
        }
    }

    /// An empty PostgreSQL database; `None` if there is no server to test on.
    ///
    /// # Panics
    /// If it cannot be made, or a server is required and none named.
    #[expect(
        clippy::panic,
        reason = "a required server that is not named is a failure"
    )]
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub async fn postgres() -> Option<Self> {
        let Some(server) = variable("KEYWAY_TEST_POSTGRES") else {
            if variable("KEYWAY_TEST_REQUIRE_POSTGRES").as_deref() == Some("1") {
                panic!("KEYWAY_TEST_POSTGRES must name a PostgreSQL server");
            }
            eprintln!("skipped: KEYWAY_TEST_POSTGRES names no PostgreSQL server");
            return None;
        };
        let name = fresh_name();
        run(&server, &format!("CREATE DATABASE {name}")).await;
        Some(Self {
            url: DatabaseUrl::Postgres(with_database(&server, &name)),
            home: Home::Server { url: server, name },
        })
    }

    /// Where it is.
    #[must_use]
    pub const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Opens it; nothing is migrated yet.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open(&self, clock: Arc<dyn Clock>) -> Result<Store, StoreError> {
        Store::open(&self.url, clock).await
    }

    /// Opens it for a simulated process, whose jobs wait for `stage`; nothing is migrated.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_staged(
        &self,
        clock: Arc<dyn Clock>,
        stage: Arc<dyn Stage>,
    ) -> Result<Store, StoreError> {
        let store = self.open(clock).await?.staged(stage);
        store.ok_or_else(|| StoreError::bug("the store is in use already"))
    }

    /// Runs statements of the test's own, past the store.
    ///
    /// # Panics
    /// If they fail.
    #[expect(clippy::expect_used, reason = "a test whose set-up fails cannot go on")]
    pub async fn execute(&self, sql: &str) {
        match &self.url {
            DatabaseUrl::Postgres(url) => run(url, sql).await,
            DatabaseUrl::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path).expect("the file opens");
                connection.execute_batch(sql).expect("the statements run");
            }
        }
    }

    /// The first column of every row of the answer, which must be text.
    ///
    /// # Panics
    /// If the database cannot be asked.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        match &self.url {
            DatabaseUrl::Sqlite(path) => sqlite_texts(path, sql),
            DatabaseUrl::Postgres(url) => postgres_texts(url, sql).await,
        }
    }

    /// Every table's columns: `table`, `column`, `text|bigint|bytea`, whether it may be null.
    ///
    /// # Panics
    /// If the database cannot be asked.
    pub async fn columns(&self) -> Vec<(String, String, String, bool)> {
        let mut columns = match &self.url {
            DatabaseUrl::Sqlite(path) => sqlite_columns(path),
            DatabaseUrl::Postgres(url) => postgres_columns(url).await,
        };
        columns.sort();
        columns
    }

    /// Every index, by name.
    ///
    /// # Panics
    /// If the database cannot be asked.
    pub async fn indexes(&self) -> Vec<String> {
        let sql = match &self.url {
            DatabaseUrl::Sqlite(_) => {
                "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1"
            }
            DatabaseUrl::Postgres(_) => {
                "SELECT CAST(indexname AS TEXT) FROM pg_indexes WHERE schemaname = 'public'
                 AND indexname NOT LIKE '%_pkey' ORDER BY indexname COLLATE \"C\""
            }
        };
        self.texts(sql).await
    }

    /// Removes it. A SQLite file goes by itself when this is dropped; a PostgreSQL database, when it
    /// is dropped without this, by a thread of its own.
    pub async fn remove(mut self) {
        if let Some((url, sql)) = self.dropping() {
            run(&url, &sql).await;
        }
    }

    fn dropping(&mut self) -> Option<(String, String)> {
        match &mut self.home {
            Home::Directory(_) => None,
            Home::Server { name, .. } if name.is_empty() => None,
            Home::Server { url, name } => {
                let name = std::mem::take(name);
                let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                Some((url.clone(), sql))
            }
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some((url, sql)) = self.dropping() else {
            return;
        };
        // A runtime cannot be blocked from within itself, and here there may be one.
        let dropper = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                runtime.block_on(run(&url, &sql));
            }
        });
        let _ = dropper.join();
    }
}

#[expect(clippy::expect_used, reason = "a test without its server cannot go on")]
async fn connected(url: &str) -> (tokio_postgres::Client, impl Future<Output = ()>) {
    let target = crate::postgres::target::Target::parse(url).expect("a PostgreSQL URL");
    let mut config = target.config;
    config.ssl_mode(tokio_postgres::config::SslMode::Disable);
    let (client, connection) = config.connect(NoTls).await.expect("a connection");
    let drive = async move {
        let _ = connection.await;
    };
    (client, drive)
}

/// Drives the connection while `work` goes on with it: no task is left behind.
async fn with_client<T>(url: &str, work: impl AsyncFnOnce(tokio_postgres::Client) -> T) -> T {
    let (client, drive) = connected(url).await;
    let (answer, ()) = tokio::join!(work(client), drive);
    answer
}

fn is_deadlock(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&tokio_postgres::error::SqlState::T_R_DEADLOCK_DETECTED)
}

#[expect(clippy::expect_used, reason = "a test whose set-up fails cannot go on")]
async fn run(url: &str, sql: &str) {
    with_client(url, async |client| {
        let mut done = client.batch_execute(sql).await;
        // Against servers at work, as a migration would.
        while done.as_ref().is_err_and(is_deadlock) {
            done = client.batch_execute(sql).await;
        }
        done.expect("the statements run");
    })
    .await;
}

#[expect(clippy::expect_used, reason = "a test whose check fails cannot go on")]
async fn postgres_texts(url: &str, sql: &str) -> Vec<String> {
    with_client(url, async |client| {
        let rows = client.query(sql, &[]).await.expect("the statement runs");
        rows.iter().map(|row| row.get(0)).collect()
    })
    .await
}

#[expect(clippy::expect_used, reason = "a test whose check fails cannot go on")]
fn sqlite_texts(path: &std::path::Path, sql: &str) -> Vec<String> {
    let connection = rusqlite::Connection::open(path).expect("the file opens");
    let mut prepared = connection.prepare(sql).expect("the statement is good");
    let rows = prepared.query_map([], |row| row.get(0));
    rows.expect("the statement runs")
        .collect::<Result<_, _>>()
        .expect("rows are texts")
}

type Column = (String, String, String, bool);

/// `table|column|type|nullable` apart.
fn column(line: &str) -> Column {
    let mut parts = line.split('|').map(str::to_lowercase);
    let mut next = || parts.next().unwrap_or_default();
    (next(), next(), next(), next() == "1")
}

fn sqlite_columns(path: &std::path::Path) -> Vec<Column> {
    // `INTEGER PRIMARY KEY` is how SQLite spells a numbered row; it cannot be null either.
    let lines = sqlite_texts(
        path,
        "SELECT m.name || '|' || c.name || '|' || replace(c.type, 'INTEGER', 'BIGINT') || '|' ||
         (c.\"notnull\" = 0 AND c.pk = 0)
         FROM sqlite_master m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'",
    );
    lines.iter().map(|line| column(line)).collect()
}

async fn postgres_columns(url: &str) -> Vec<Column> {
    let lines = postgres_texts(
        url,
        "SELECT table_name || '|' || column_name || '|' || data_type || '|' ||
         CASE is_nullable WHEN 'YES' THEN 1 ELSE 0 END
         FROM information_schema.columns WHERE table_schema = 'public'",
    )
    .await;
    lines.iter().map(|line| column(line)).collect()
}

/// Every statement the store can run, by name.
pub fn statement_names() -> Vec<&'static str> {
    let all = REGISTRY.iter().flat_map(|statements| statements.iter());
    all.map(|statement| statement.name).collect()
}

/// Prepares every statement on the store's database, and names those that cannot be.
///
/// # Errors
/// If the database cannot be reached.
pub async fn unpreparable_statements(store: &Store) -> Result<Vec<&'static str>, StoreError> {
    let mut bad = Vec::new();
    for statement in REGISTRY.iter().flat_map(|statements| statements.iter()) {
        let prepared =
            store.read(move |session| Box::pin(async move { session.prepare(statement).await }));
        if prepared.await.is_err() {
            bad.push(statement.name);
        }
    }
    Ok(bad)
}

/// The statements' texts, for tests about how they are written.
pub fn statement_texts() -> Vec<(&'static str, &'static str)> {
    let all: Vec<&Statement> = REGISTRY.iter().flat_map(|s| s.iter()).collect();
    all.iter().map(|s| (s.name, s.sql)).collect()
}
