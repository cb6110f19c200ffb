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

/// A PostgreSQL server.
pub(crate) struct Postgres {
    pool: Pool,
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

fn pool(target: Target) -> Result<Pool, StoreError> {
    let tls = tls::connector(target.verification)?;
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
    Pool::builder(Manager::from_connect(target.config, on_runtime, settings))
        .max_size(CONNECTIONS_MAX)
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
            pool: pool(target)?,
        };
        drop(postgres.connection().await?);
        Ok(postgres)
    }

    async fn connection(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(pool_error)
    }

    /// Runs `job` in one snapshot that cannot write.
    pub(crate) async fn read<T, F>(&self, clock: &dyn Clock, job: F) -> Result<T, StoreError>
    where
        F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, StoreError>>,
    {
        let mut connection = self.connection().await?;
        let transaction = connection
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        // Dropping it rolls back without waiting: there is nothing to keep.
        job(&mut Session::postgres(&transaction, clock)).await
    }

    /// Runs `job` in one transaction.
    pub(crate) async fn write<T, E, F>(&self, clock: &dyn Clock, job: F) -> Result<T, E>
    where
        E: From<StoreError>,
        F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, E>> + Send,
    {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await.map_err(StoreError::from)?;
        let mut session = Session::postgres(&transaction, clock);
        let outcome = AssertUnwindSafe(async { job(&mut session).await })
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(StoreError::bug("a job panicked").into()));
        let outcome = outcome.and_then(|value| session.finish().map(|()| value).map_err(E::from));
        let ended = match outcome {
            Ok(_) => transaction.commit().await,
            Err(_) => transaction.rollback().await,
        };
        match ended {
            Err(error) if outcome.is_ok() => Err(StoreError::from(error).into()),
            _ => outcome,
        }
    }

    /// Whether the server answers.
    pub(crate) async fn is_ready(&self) -> bool {
        match self.connection().await {
            Ok(connection) => connection.simple_query("SELECT 1").await.is_ok(),
            Err(_) => false,
        }
    }

    /// Lets go of the connections; those at work when their work ends.
    pub(crate) fn close(&self) {
        self.pool.close();
    }
}
