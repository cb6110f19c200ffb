//! Statements in a PostgreSQL transaction.

use crate::arg::Arg;
use crate::error::StoreError;
use crate::row::Row;
use crate::statement::Statement;
use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

fn values<'a>(args: &'a [Arg<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    args.iter().map(|arg| arg as &(dyn ToSql + Sync)).collect()
}

async fn prepared(
    transaction: &Transaction<'_>,
    statement: &Statement,
    args: &[Arg<'_>],
) -> Result<tokio_postgres::Statement, StoreError> {
    let prepared = transaction.prepare_cached(statement.sql).await?;
    if prepared.params().len() != args.len() {
        return Err(StoreError::bug(format!(
            "{}: wrong number of values",
            statement.name
        )));
    }
    Ok(prepared)
}

/// Every row of the answer.
pub(crate) async fn fetch(
    transaction: &Transaction<'_>,
    statement: &Statement,
    args: &[Arg<'_>],
) -> Result<Vec<Row>, StoreError> {
    let prepared = prepared(transaction, statement, args).await?;
    let rows = transaction.query(&prepared, &values(args)).await?;
    Ok(rows
        .into_iter()
        .map(|row| Row::postgres(statement.table, row))
        .collect())
}

/// How many rows were written.
pub(crate) async fn execute(
    transaction: &Transaction<'_>,
    statement: &Statement,
    args: &[Arg<'_>],
) -> Result<u64, StoreError> {
    let prepared = prepared(transaction, statement, args).await?;
    Ok(transaction.execute(&prepared, &values(args)).await?)
}

/// Several statements at once.
pub(crate) async fn batch(transaction: &Transaction<'_>, sql: &str) -> Result<(), StoreError> {
    Ok(transaction.batch_execute(sql).await?)
}

/// Prepares a statement without running it.
#[cfg(feature = "testing")]
pub(crate) async fn prepare(
    transaction: &Transaction<'_>,
    statement: &Statement,
) -> Result<(), StoreError> {
    transaction.prepare_cached(statement.sql).await?;
    Ok(())
}
