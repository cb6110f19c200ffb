//! PostgreSQL: a pool of connections, one transaction a job.

mod connect;
mod failure;
pub(crate) mod statement;
pub(crate) mod target;
mod tls;

use crate::error::StoreError;
use crate::session::Session;
use crate::statement::Statement;
use connect::OnRuntime;
use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keyway_core::time::Clock;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use target::Target;
use tokio::runtime::Handle;
use tokio_postgres::IsolationLevel;

/// Connections of one process. PostgreSQL's own default limit is 100 for all.
const CONNECTIONS_MAX: usize = 16;
/// How long a job may wait for a connection, and a connection for the server.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// How long a statement may take, and the beginning and the end of a transaction each, before the server counts
/// as hung and the connection is given up.
pub(crate) const STATEMENT_MAX: Duration = Duration::from_secs(15);
/// How long the server may take to say that it is there.
const READY_MAX: Duration = Duration::from_secs(2);
/// Connections beside the others for what must not wait behind requests: following changes, and probes. One, so
/// that there it is whatever the server's own limit: a second might be refused at the moment it is needed.
const RESERVED_MAX: usize = 1;

/// The server's clock, to the millisecond; not the transaction's, which stands still.
pub(crate) const NOW: Statement = Statement {
    name: "postgres.NOW",
    table: "clock",
    sql: "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)",
};

/// Keeps a credential's row as it is until the transaction ends; SQLite's single writer needs no such
/// thing, and no word of it.
pub(crate) const HOLD_CREDENTIAL: Statement = Statement {
    name: "postgres.HOLD_CREDENTIAL",
    table: "credentials",
    sql: "SELECT version FROM credentials WHERE application_id = $1 AND id = $2 FOR SHARE",
};

/// The same for a connector that is live.
pub(crate) const HOLD_CONNECTOR: Statement = Statement {
    name: "postgres.HOLD_CONNECTOR",
    table: "connectors",
    sql: "SELECT version FROM connectors WHERE application_id = $1 AND id = $2
        AND deleted_at IS NULL FOR SHARE",
};

/// The same for the vault's keys as a whole: there is one digest key, and it stays.
pub(crate) const HOLD_KEYS: Statement = Statement {
    name: "postgres.HOLD_KEYS",
    table: "vault_keys",
    sql: "SELECT term FROM vault_keys WHERE purpose = 'digest' FOR UPDATE",
};

/// A PostgreSQL server.
pub(crate) struct Postgres {
    pool: Pool,
    reserved: Pool,
}

/// The outcome of `work`, or an outage if it takes longer than `patience`; `is_lost` is then set.
pub(crate) async fn within<T>(
    patience: Option<Duration>,
    is_lost: &mut bool,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let Some(patience) = patience else {
        return work.await;
    };
    tokio::time::timeout(patience, work)
        .await
        .unwrap_or_else(|_| {
            *is_lost = true;
            Err(StoreError::down("PostgreSQL did not answer in time"))
        })
}

/// The connection goes back to its pool, or, if the server did not answer on it, is closed.
fn give_back(connection: Object, is_lost: bool) {
    if is_lost {
        drop(Object::take(connection));
    }
}

fn pool_error(error: PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => error.into(),
        PoolError::Timeout(_) => StoreError::busy("no connection became free in time"),
        PoolError::Closed => StoreError::down("the store is closed"),
        PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            StoreError::bug("the connection pool is set up wrongly")
        }
    }
}

fn pool(target: &Target, size: usize) -> Result<Pool, StoreError> {
    let tls = tls::connector(target.verification.clone())?;
    let on_runtime = OnRuntime {
        runtime: Handle::current(),
        tls,
    };
    let settings = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let timeouts = Timeouts {
        wait: Some(WAIT_MAX),
        create: Some(WAIT_MAX),
        recycle: Some(WAIT_MAX),
    };
    Pool::builder(Manager::from_connect(
        target.config.clone(),
        on_runtime,
        settings,
    ))
    .max_size(size)
    .runtime(Runtime::Tokio1)
    .timeouts(timeouts)
    .build()
    .map_err(|_| StoreError::bug("the connection pool is set up wrongly"))
}

impl Postgres {
    /// Connects once, to know that it can. Connections live on the runtime this is called on.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let target = Target::parse(url).map_err(|error| StoreError::bug(error.to_string()))?;
        let postgres = Self {
            pool: pool(&target, CONNECTIONS_MAX)?,
            reserved: pool(&target, RESERVED_MAX)?,
        };
        drop(postgres.connection().await?);
        Ok(postgres)
    }

    async fn connection(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(pool_error)
    }

    /// The connection that is kept apart. If it broke and PostgreSQL has none to give in its place, one of
    /// the others has to do.
    async fn connection_apart(&self) -> Result<Object, StoreError> {
        match self.reserved.get().await {
            Err(PoolError::Backend(_)) => self.connection().await,
            other => other.map_err(pool_error),
        }
    }

    /// Runs `job` in one snapshot that cannot write.
    pub(crate) async fn read<T, F>(&self, clock: &dyn Clock, job: F) -> Result<T, StoreError>
    where
        F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, StoreError>>,
    {
        read_on(self.connection().await?, clock, job).await
    }

    /// The same on a connection of its own, however many requests wait for the others.
    pub(crate) async fn read_apart<T, F>(&self, clock: &dyn Clock, job: F) -> Result<T, StoreError>
    where
        F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, StoreError>>,
    {
        read_on(self.connection_apart().await?, clock, job).await
    }

    /// Runs `job` in one transaction.
    pub(crate) async fn write<T, E, F>(&self, clock: &dyn Clock, job: F) -> Result<T, E>
    where
        E: From<StoreError>,
        F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, E>> + Send,
    {
        let mut connection = self.connection().await?;
        let mut is_lost = false;
        let outcome = write_on(&mut connection, clock, job, &mut is_lost).await;
        give_back(connection, is_lost);
        outcome
    }

    /// Whether the server answers.
    pub(crate) async fn is_ready(&self) -> bool {
        let answers = async {
            let connection = self.connection_apart().await?;
            Ok(connection.simple_query("SELECT 1").await?)
        };
        within(Some(READY_MAX), &mut false, answers).await.is_ok()
    }

    /// Lets go of the connections; those at work when their work ends.
    pub(crate) fn close(&self) {
        self.pool.close();
        self.reserved.close();
    }
}

async fn read_on<T, F>(mut connection: Object, clock: &dyn Clock, job: F) -> Result<T, StoreError>
where
    F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, StoreError>>,
{
    let mut is_lost = false;
    let outcome = snapshot_on(&mut connection, clock, job, &mut is_lost).await;
    give_back(connection, is_lost);
    outcome
}

async fn snapshot_on<T, F>(
    connection: &mut Object,
    clock: &dyn Clock,
    job: F,
    is_lost: &mut bool,
) -> Result<T, StoreError>
where
    F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, StoreError>>,
{
    let beginning = async {
        let transaction = connection
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true);
        Ok(transaction.start().await?)
    };
    let transaction = within(Some(STATEMENT_MAX), is_lost, beginning).await?;
    let mut session = Session::postgres(&transaction, clock);
    // Dropping the transaction rolls back without waiting: there is nothing to keep.
    let outcome = job(&mut session).await;
    *is_lost |= session.is_lost();
    outcome
}

async fn write_on<T, E, F>(
    connection: &mut Object,
    clock: &dyn Clock,
    job: F,
    is_lost: &mut bool,
) -> Result<T, E>
where
    E: From<StoreError>,
    F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, E>> + Send,
{
    let beginning = async { Ok(connection.transaction().await?) };
    let transaction = within(Some(STATEMENT_MAX), is_lost, beginning).await?;
    let mut session = Session::postgres(&transaction, clock);
    let outcome = AssertUnwindSafe(async { job(&mut session).await })
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(StoreError::bug("a job panicked").into()));
    let outcome = outcome.and_then(|value| session.finish().map(|()| value).map_err(E::from));
    *is_lost |= session.is_lost();
    if *is_lost {
        return outcome;
    }
    let is_good = outcome.is_ok();
    let ending = async {
        match is_good {
            true => transaction.commit().await?,
            false => transaction.rollback().await?,
        }
        Ok(())
    };
    match within(Some(STATEMENT_MAX), is_lost, ending).await {
        Err(error) if is_good => Err(error.into()),
        _ => outcome,
    }
}
