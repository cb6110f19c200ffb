//! A session: what a piece of work holds while its transaction is open.

use crate::arg::{Arg, args};
use crate::error::StoreError;
use crate::row::Row;
use crate::statement::Statement;
use crate::store::Backend;
use crate::{postgres, sqlite};
use deadpool_postgres::Transaction;
use keyway_core::ids::{ApplicationId, CredentialId};
use keyway_core::time::{Clock, UnixMillis};
use rusqlite::Connection;
use std::time::Duration;

enum Link<'s> {
    Sqlite(&'s mut Connection),
    Postgres(&'s Transaction<'s>),
}

/// One open transaction. The methods on it are the statements Keyway knows.
///
/// Once a statement has failed, the transaction is lost, on both databases: later statements are
/// refused, and it cannot be committed. So a job hands the error on.
pub struct Session<'s> {
    link: Link<'s>,
    clock: &'s dyn Clock,
    has_failed: bool,
    /// How long one statement may take, on PostgreSQL.
    patience: Option<Duration>,
    /// Whether the server did not answer in time: the connection is of no use any more.
    is_lost: bool,
}

impl<'s> Session<'s> {
    pub(crate) const fn sqlite(connection: &'s mut Connection, clock: &'s dyn Clock) -> Self {
        Self {
            link: Link::Sqlite(connection),
            clock,
            has_failed: false,
            patience: None,
            is_lost: false,
        }
    }

    pub(crate) const fn postgres(transaction: &'s Transaction<'s>, clock: &'s dyn Clock) -> Self {
        Self {
            link: Link::Postgres(transaction),
            clock,
            has_failed: false,
            patience: Some(postgres::STATEMENT_MAX),
            is_lost: false,
        }
    }

    /// Lets the statements of this job take as long as they need: those of a command that reads whole tables,
    /// or of a migration. Others give up on a server that does not answer.
    pub const fn be_patient(&mut self) {
        self.patience = None;
    }

    /// Whether the server did not answer in time.
    pub(crate) const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Which database this is.
    #[must_use]
    pub const fn backend(&self) -> Backend {
        match self.link {
            Link::Sqlite(_) => Backend::Sqlite,
            Link::Postgres(_) => Backend::Postgres,
        }
    }

    /// The present by the clock all replicas share: the PostgreSQL server's, or, on SQLite, this
    /// machine's. Leases are judged by it.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn db_now(&mut self) -> Result<UnixMillis, StoreError> {
        match self.backend() {
            Backend::Sqlite => Ok(self.clock.now()),
            Backend::Postgres => {
                let row = self.one(&postgres::NOW, &[], |row| row.time("now")).await?;
                row.ok_or_else(|| StoreError::bug("the clock gave no answer"))
            }
        }
    }

    /// The number of the last migration applied; 0 for an empty database.
    ///
    /// # Errors
    /// If the database fails, or if a newer Keyway or another build has migrated it.
    pub async fn schema_version(&mut self) -> Result<i64, StoreError> {
        crate::migrations::version(self).await
    }

    /// Keeps others from changing a credential until this transaction ends. Several transactions may
    /// hold one at a time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn hold_credential(
        &mut self,
        application_id: ApplicationId,
        id: CredentialId,
    ) -> Result<(), StoreError> {
        if self.backend() == Backend::Postgres {
            let read = |row: &mut Row| row.int("version");
            self.one(&postgres::HOLD_CREDENTIAL, args![application_id, id], read)
                .await?;
        }
        Ok(())
    }

    /// Whether the transaction may be committed.
    pub(crate) fn finish(&self) -> Result<(), StoreError> {
        if self.has_failed {
            return Err(StoreError::bug("a job went on after a failed statement"));
        }
        Ok(())
    }

    fn note<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.has_failed |= result.is_err();
        result
    }

    fn ready(&self, args: &[Arg<'_>]) -> Result<(), StoreError> {
        self.finish()?;
        args.iter().try_for_each(Arg::check)
    }

    /// Every row of the answer.
    pub(crate) async fn fetch(
        &mut self,
        statement: &Statement,
        args: &[Arg<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.ready(args)?;
        let rows = match &mut self.link {
            Link::Sqlite(connection) => sqlite::statement::fetch(connection, statement, args),
            Link::Postgres(transaction) => {
                let fetching = postgres::statement::fetch(transaction, statement, args);
                postgres::within(self.patience, &mut self.is_lost, fetching).await
            }
        };
        self.note(rows)
    }

    /// How many rows were written.
    pub(crate) async fn execute(
        &mut self,
        statement: &Statement,
        args: &[Arg<'_>],
    ) -> Result<u64, StoreError> {
        self.ready(args)?;
        let count = match &mut self.link {
            Link::Sqlite(connection) => sqlite::statement::execute(connection, statement, args),
            Link::Postgres(transaction) => {
                let executing = postgres::statement::execute(transaction, statement, args);
                postgres::within(self.patience, &mut self.is_lost, executing).await
            }
        };
        self.note(count)
    }

    /// Several statements without parameters, as a migration has them.
    pub(crate) async fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        self.finish()?;
        let done = match &mut self.link {
            Link::Sqlite(connection) => sqlite::statement::batch(connection, sql),
            Link::Postgres(transaction) => postgres::statement::batch(transaction, sql).await,
        };
        self.note(done)
    }

    /// Prepares a statement without running it.
    #[cfg(feature = "testing")]
    pub(crate) async fn prepare(&mut self, statement: &Statement) -> Result<(), StoreError> {
        match &mut self.link {
            Link::Sqlite(connection) => sqlite::statement::prepare(connection, statement),
            Link::Postgres(transaction) => {
                postgres::statement::prepare(transaction, statement).await
            }
        }
    }

    /// Every row of the answer, read.
    pub(crate) async fn many<T>(
        &mut self,
        statement: &Statement,
        args: &[Arg<'_>],
        read: fn(&mut Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.fetch(statement, args).await?;
        rows.into_iter().map(|mut row| read(&mut row)).collect()
    }

    /// The first row of the answer, read.
    pub(crate) async fn one<T>(
        &mut self,
        statement: &Statement,
        args: &[Arg<'_>],
        read: fn(&mut Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let row = self.fetch(statement, args).await?.into_iter().next();
        row.map(|mut row| read(&mut row)).transpose()
    }

    /// The one number the answer consists of.
    pub(crate) async fn number(
        &mut self,
        statement: &Statement,
        args: &[Arg<'_>],
    ) -> Result<i64, StoreError> {
        let number = self.one(statement, args, |row| row.int("number")).await?;
        number.ok_or_else(|| StoreError::bug(format!("{} gave no row", statement.name)))
    }

    /// Whether a row was written.
    pub(crate) async fn wrote(
        &mut self,
        statement: &Statement,
        args: &[Arg<'_>],
    ) -> Result<bool, StoreError> {
        Ok(self.execute(statement, args).await? > 0)
    }

    /// Writes one row.
    pub(crate) async fn insert(
        &mut self,
        statement: &Statement,
        args: &[Arg<'_>],
    ) -> Result<(), StoreError> {
        self.execute(statement, args).await.map(|_| ())
    }
}
