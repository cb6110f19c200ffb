//! What SQLite's errors mean.

use crate::error::{Constraint, StoreError};
use rusqlite::{Error, ErrorCode, ffi};

/// SQLite's messages name tables and columns, never values.
impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::SqliteFailure(failure, message) => {
                of_failure(failure, message.as_deref().unwrap_or_default())
            }
            Error::SqlInputError { error, msg, .. } => of_failure(error, &msg),
            _ => Self::bug("the SQLite driver was used wrongly"),
        }
    }
}

fn of_failure(failure: ffi::Error, message: &str) -> StoreError {
    match failure.code {
        ErrorCode::ConstraintViolation => of_constraint(failure.extended_code, message),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            StoreError::busy("another process is writing to the file")
        }
        ErrorCode::Unknown | ErrorCode::ApiMisuse | ErrorCode::TypeMismatch => {
            StoreError::bug(message)
        }
        _ => StoreError::down(ffi::code_to_str(failure.extended_code)),
    }
}

fn of_constraint(extended_code: i32, message: &str) -> StoreError {
    match extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
            let columns = message.rsplit_once(": ").map_or(message, |(_, c)| c);
            StoreError::Conflict(Constraint::of_columns(columns))
        }
        _ => StoreError::bug(message),
    }
}
