//! Statements on a SQLite connection.

use crate::arg::Arg;
use crate::error::StoreError;
use crate::row::Row;
use crate::statement::Statement;
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection};

/// The arguments in the order SQLite numbers their places: it takes `$1` for a name, and numbers names as
/// it meets them.
fn places(sql: &str) -> Vec<usize> {
    let mut met = Vec::new();
    for rest in sql.split('$').skip(1) {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = rest.get(..digits).and_then(|text| text.parse().ok());
        met.extend(number.filter(|n: &usize| !met.contains(n)));
    }
    met
}

fn bound<'c>(
    connection: &'c Connection,
    statement: &Statement,
    args: &[Arg<'_>],
) -> Result<CachedStatement<'c>, StoreError> {
    let mut prepared = connection.prepare_cached(statement.sql)?;
    let mismatch = || StoreError::bug(format!("{}: wrong number of values", statement.name));
    let places = places(statement.sql);
    if prepared.parameter_count() != args.len() || places.len() != args.len() {
        return Err(mismatch());
    }
    for (place, number) in places.into_iter().enumerate() {
        let arg = number
            .checked_sub(1)
            .and_then(|n| args.get(n))
            .ok_or_else(mismatch)?;
        prepared.raw_bind_parameter(place + 1, arg)?;
    }
    Ok(prepared)
}

fn values(row: &rusqlite::Row<'_>, columns: usize) -> Result<Vec<Value>, StoreError> {
    (0..columns).map(|column| Ok(row.get(column)?)).collect()
}

/// Every row of the answer.
pub(crate) fn fetch(
    connection: &Connection,
    statement: &Statement,
    args: &[Arg<'_>],
) -> Result<Vec<Row>, StoreError> {
    let mut prepared = bound(connection, statement, args)?;
    let columns = prepared.column_count();
    let mut rows = prepared.raw_query();
    let mut answer = Vec::new();
    while let Some(row) = rows.next()? {
        answer.push(Row::sqlite(statement.table, values(row, columns)?));
    }
    Ok(answer)
}

/// How many rows were written.
pub(crate) fn execute(
    connection: &Connection,
    statement: &Statement,
    args: &[Arg<'_>],
) -> Result<u64, StoreError> {
    let count = bound(connection, statement, args)?.raw_execute();
    Ok(count? as u64)
}

/// Several statements at once.
pub(crate) fn batch(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    Ok(connection.execute_batch(sql)?)
}

/// One statement without values whose rows, if any, do not matter; prepared once.
pub(crate) fn run(connection: &Connection, sql: &'static str) -> Result<(), StoreError> {
    let mut prepared = connection.prepare_cached(sql)?;
    let mut rows = prepared.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}

/// Prepares a statement without running it.
#[cfg(feature = "testing")]
pub(crate) fn prepare(connection: &Connection, statement: &Statement) -> Result<(), StoreError> {
    connection.prepare_cached(statement.sql)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_numbered_as_they_are_met_each_once() {
        assert_eq!(places("a = $2 AND b = $1 OR c = $2 LIMIT $10"), [2, 1, 10]);
        assert!(places("SELECT 1").is_empty());
    }
}
