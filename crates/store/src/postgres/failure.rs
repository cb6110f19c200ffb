//! What PostgreSQL's errors mean.

use crate::error::{Constraint, StoreError};
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

/// The server's messages can quote values: of most only the code goes on.
impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error.as_db_error() {
            Some(error) => of_server(error),
            None if error.is_closed() => Self::down("the connection was closed"),
            None => of_driver(&error),
        }
    }
}

fn of_server(error: &DbError) -> StoreError {
    let code = error.code();
    if *code == SqlState::UNIQUE_VIOLATION {
        let index = error.constraint().unwrap_or_default();
        return StoreError::Conflict(Constraint::of_index(index));
    }
    let told = format!("PostgreSQL answered with code {}", code.code());
    match code.code() {
        "40001" | "40P01" | "55P03" => StoreError::busy(told),
        // No connection is left, or it starts or stops.
        "53300" | "57P03" => StoreError::not_yet(format!("{told}: {}", error.message())),
        // It is a standby now: another server takes the writes.
        "25006" => StoreError::down(format!("{told}: it takes no writes")),
        "25P03" => StoreError::down(format!("{told}: the transaction stood still for too long")),
        // About connections, accounts and the server itself, these messages help and quote no rows.
        other if OUTAGES.iter().any(|class| other.starts_with(class)) => {
            StoreError::down(format!("{told}: {}", error.message()))
        }
        _ => StoreError::bug(told),
    }
}

/// Classes of codes: connection, authorization, no such database, resources, intervention, system.
const OUTAGES: [&str; 6] = ["08", "28", "3D", "53", "57", "58"];

/// The driver tells its kinds of errors apart only by their sources.
fn of_driver(error: &Error) -> StoreError {
    let source = std::error::Error::source(error);
    match source.and_then(|source| source.downcast_ref::<std::io::Error>()) {
        Some(io) => StoreError::down(format!("no connection to PostgreSQL: {io}")),
        None if source.is_none() => StoreError::down("no connection to PostgreSQL"),
        None => StoreError::bug("the PostgreSQL driver was used wrongly"),
    }
}
