//! SQLite: short reads inline on pooled connections, writes on one thread.

mod failure;
pub(crate) mod files;
pub(crate) mod statement;
mod writer;

use crate::error::StoreError;
use crate::session::Session;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keyway_core::time::Clock;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use writer::Writer;

/// Reading connections kept open; more are opened while more are needed at once.
const READERS_KEPT: usize = 4;
/// How long to wait for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// More than the crate has statements: each is prepared once a connection.
const STATEMENTS_KEPT: usize = 256;
/// Two processes that open a new file at once: one waits, this long at most, in steps.
const OPEN_TRIES: u32 = 100;
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// A database in a file.
pub(crate) struct Sqlite {
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
    writer: Writer,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Plans must not depend on the values bound: otherwise every statement with a LIMIT is prepared anew
    // whenever a value changes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// A connection that cannot write.
fn connect_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    statement::batch(&connection, "PRAGMA query_only = ON")?;
    Ok(connection)
}

/// Makes the file, for its owner alone; SQLite gives the same mode to the files beside it.
#[cfg(unix)]
fn create_private(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt as _;
    // A failure shows when SQLite opens the file, with better words.
    drop(
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path),
    );
}

#[cfg(not(unix))]
fn create_private(_: &Path) {}

/// The connection that writes. Commits are on the disk when they are answered (`synchronous = FULL`).
fn connect_writer(path: &Path) -> Result<Connection, StoreError> {
    create_private(path);
    let connection = connect(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )?;
    statement::batch(
        &connection,
        // A checkpoint copies every page changed since the last one, however often it changed: 16 MiB of
        // log between two copy the busy pages once instead of four times.
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA wal_autocheckpoint = 4000",
    )?;
    Ok(connection)
}

async fn connect_writer_patiently(path: &Path) -> Result<Connection, StoreError> {
    for _ in 1..OPEN_TRIES {
        match connect_writer(path) {
            Err(error) if error.is_retryable() => tokio::time::sleep(OPEN_PAUSE).await,
            done => return done,
        }
    }
    connect_writer(path)
}

/// A reading connection on loan; goes back, without a transaction, when dropped.
struct Reader<'p> {
    connection: Option<Connection>,
    pool: &'p Mutex<Vec<Connection>>,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let is_clean =
            connection.is_autocommit() || statement::run(&connection, "ROLLBACK").is_ok();
        let mut pool = lock(self.pool);
        if is_clean && pool.len() < READERS_KEPT {
            pool.push(connection);
        }
    }
}

impl Sqlite {
    /// Opens the file, makes it if need be, and starts the writing thread.
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        let writer = Writer::start(connect_writer_patiently(path).await?)?;
        Ok(Self {
            path: path.to_owned(),
            readers: Mutex::default(),
            writer,
        })
    }

    fn reader(&self) -> Result<Reader<'_>, StoreError> {
        self.writer.check_open()?;
        let idle = lock(&self.readers).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect_reader(&self.path)?,
        };
        Ok(Reader {
            connection: Some(connection),
            pool: &self.readers,
        })
    }

    /// Runs `job` inline in one snapshot.
    pub(crate) fn read<T, F>(&self, clock: &dyn Clock, job: F) -> Result<T, StoreError>
    where
        F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, StoreError>>,
    {
        let mut reader = self.reader()?;
        let Some(connection) = reader.connection.as_mut() else {
            return Err(StoreError::bug("a reader without a connection"));
        };
        statement::run(connection, "BEGIN")?;
        poll_once(connection, clock, job)
    }

    /// Hands `job` to the writing thread and waits until it is committed.
    pub(crate) async fn write<T, E, F>(&self, clock: Arc<dyn Clock>, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    {
        self.writer.write(clock, job).await
    }

    /// Whether the file answers, the writing thread lives, and what is written can be stored: where the last
    /// time it could not, it is tried.
    pub(crate) async fn is_ready(&self, clock: Arc<dyn Clock>) -> bool {
        self.answers() && (!self.writer.is_failing() || self.stores(clock).await)
    }

    fn answers(&self) -> bool {
        let answers = self.reader().ok().and_then(|reader| {
            Some(statement::run(reader.connection.as_ref()?, "SELECT 1").is_ok())
        });
        answers.unwrap_or(false)
    }

    /// Writes something that nothing reads, which takes as much of a disk as any small change.
    async fn stores(&self, clock: Arc<dyn Clock>) -> bool {
        let written = self.writer.write::<_, StoreError, _>(clock, |session| {
            Box::pin(async move { session.batch("PRAGMA user_version = 0").await })
        });
        written.await.is_ok()
    }

    /// Waits for the work at hand, then lets go of the file.
    pub(crate) async fn close(&self) {
        self.writer.close().await;
        lock(&self.readers).clear();
    }
}

/// Runs `job` on `connection`. Its statements do not wait for anything, so neither may it: a job that
/// is not ready at once waits for something else, with the transaction open.
fn poll_once<T, E, F>(connection: &mut Connection, clock: &dyn Clock, job: F) -> Result<T, E>
where
    E: From<StoreError>,
    F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, E>>,
{
    let mut session = Session::sqlite(connection, clock);
    let Some(outcome) = job(&mut session).now_or_never() else {
        return Err(
            StoreError::bug("a job waited for something while its transaction was open").into(),
        );
    };
    let value = outcome?;
    session.finish()?;
    Ok(value)
}
