//! The store: one handle, whichever database is behind it.

use crate::error::StoreError;
use crate::migrations::{self, MigrationReport};
use crate::postgres::Postgres;
use crate::session::Session;
use crate::sqlite::Sqlite;
use crate::url::DatabaseUrl;
use futures_util::future::BoxFuture;
use keyway_core::time::Clock;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Times a migration begins that other servers at work stand in the way of.
const MIGRATION_TRIES: u32 = 10;
/// Between those.
const MIGRATION_PAUSE: Duration = Duration::from_millis(200);

/// Which database a store is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A SQLite file.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

enum Database {
    Sqlite(Box<Sqlite>),
    Postgres(Postgres),
}

struct Inner {
    database: Database,
    clock: Arc<dyn Clock>,
    #[cfg(feature = "testing")]
    stage: Option<Arc<dyn crate::testing::Stage>>,
}

/// A handle on the database. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({:?})", self.backend())
    }
}

impl Store {
    /// Connects to a database; a SQLite file that is not there is made. Applies no migration.
    ///
    /// On PostgreSQL, connections live on the runtime of the task that first needed them.
    ///
    /// # Errors
    /// If the database cannot be reached, or if a newer Keyway or another build has migrated it.
    pub async fn open(target: &DatabaseUrl, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let database = match target {
            DatabaseUrl::Sqlite(path) => Database::Sqlite(Box::new(Sqlite::open(path).await?)),
            DatabaseUrl::Postgres(url) => Database::Postgres(Postgres::open(url).await?),
        };
        let store = Self(Arc::new(Inner {
            database,
            clock,
            #[cfg(feature = "testing")]
            stage: None,
        }));
        store.schema_version().await?;
        Ok(store)
    }

    /// The same store, nothing else of which is in use yet, with jobs that wait for their turns.
    #[cfg(feature = "testing")]
    pub(crate) fn staged(self, stage: Arc<dyn crate::testing::Stage>) -> Option<Self> {
        let mut inner = Arc::into_inner(self.0)?;
        inner.stage = Some(stage);
        Some(Self(Arc::new(inner)))
    }

    /// A job's turn in a simulation; elsewhere always.
    #[cfg(feature = "testing")]
    async fn turn(&self, moment: crate::testing::Moment) -> Result<(), StoreError> {
        match &self.0.stage {
            Some(stage) => stage.turn(moment).await,
            None => Ok(()),
        }
    }

    /// Applies the migrations that are missing. Safe when two processes start together.
    ///
    /// # Errors
    /// If the database cannot be reached, or if a newer Keyway or another build has migrated it.
    pub async fn migrate(&self) -> Result<MigrationReport, StoreError> {
        for _ in 1..MIGRATION_TRIES {
            match self.migrate_once().await {
                // Servers at work hold tables in another order than a migration changes them.
                Err(error) if error.is_retryable() => tokio::time::sleep(MIGRATION_PAUSE).await,
                done => return done,
            }
        }
        self.migrate_once().await
    }

    async fn migrate_once(&self) -> Result<MigrationReport, StoreError> {
        self.write(|session| Box::pin(migrations::apply(session)))
            .await
    }

    /// The number of the last migration applied; 0 for an empty database.
    ///
    /// # Errors
    /// If the database cannot be reached, or if a newer Keyway or another build has migrated it.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        self.read(|session| Box::pin(migrations::version(session)))
            .await
    }

    /// Which database this is.
    #[must_use]
    pub fn backend(&self) -> Backend {
        match self.0.database {
            Database::Sqlite(_) => Backend::Sqlite,
            Database::Postgres(_) => Backend::Postgres,
        }
    }

    /// Runs `job` in one snapshot that cannot write. On SQLite it runs inline: keep it short.
    ///
    /// # Errors
    /// Those of the job, and [`StoreError::Unavailable`].
    pub async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, StoreError>>
            + Send
            + 'static,
    {
        #[cfg(feature = "testing")]
        self.turn(crate::testing::Moment::BeforeRead).await?;
        let clock = &*self.0.clock;
        match &self.0.database {
            Database::Sqlite(sqlite) => sqlite.read(clock, job),
            Database::Postgres(postgres) => postgres.read(clock, job).await,
        }
    }

    /// Runs `job` as [`Store::read`] does, on PostgreSQL on a connection that is kept apart from those of
    /// requests: for what must not wait behind them.
    ///
    /// # Errors
    /// Those of the job, and [`StoreError::Unavailable`].
    pub async fn read_apart<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, StoreError>>
            + Send
            + 'static,
    {
        match &self.0.database {
            Database::Sqlite(_) => self.read(job).await,
            Database::Postgres(postgres) => postgres.read_apart(&*self.0.clock, job).await,
        }
    }

    /// Runs `job` in one transaction, and answers when it is committed and on disk. An `Err` of the
    /// job rolls everything back and is handed through.
    ///
    /// A job may do nothing but use its session: on SQLite, one that waits for anything else is
    /// rolled back with [`StoreError::Bug`].
    ///
    /// # Errors
    /// Those of the job, and [`StoreError::Unavailable`].
    pub async fn write<T, E, F>(&self, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    {
        #[cfg(feature = "testing")]
        if self.0.stage.is_some() {
            return self.write_on_stage(job).await;
        }
        self.write_now(job).await
    }

    async fn write_now<T, E, F>(&self, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    {
        match &self.0.database {
            Database::Sqlite(sqlite) => sqlite.write(Arc::clone(&self.0.clock), job).await,
            Database::Postgres(postgres) => postgres.write(&*self.0.clock, job).await,
        }
    }

    /// Between its turns a job on stage is alone, unless the stage says otherwise: nothing else runs on the
    /// thread until it is committed.
    #[cfg(feature = "testing")]
    async fn write_on_stage<T, E, F>(&self, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    {
        use crate::testing::{Moment, alone};
        self.turn(Moment::BeforeWrite).await?;
        let is_alone = self.0.stage.as_ref().is_some_and(|stage| stage.is_alone());
        let outcome = match is_alone {
            true => alone(self.write_now(job)),
            false => self.write_now(job).await,
        };
        self.turn(Moment::AfterWrite).await?;
        outcome
    }

    /// Whether the database answers, and SQLite's file can be written to.
    pub async fn is_ready(&self) -> bool {
        match &self.0.database {
            Database::Sqlite(sqlite) => sqlite.is_ready(Arc::clone(&self.0.clock)).await,
            Database::Postgres(postgres) => postgres.is_ready().await,
        }
    }

    /// Ends the work at hand and lets go of the database. Every later call fails as unavailable.
    pub async fn close(&self) {
        match &self.0.database {
            Database::Sqlite(sqlite) => sqlite.close().await,
            Database::Postgres(postgres) => postgres.close(),
        }
    }
}
