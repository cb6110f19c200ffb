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
        code => StoreError::down(of_disk(code, failure.extended_code)),
    }
}

/// What an operator can do about it. A disk that became read-only under a running server fails as
/// `SystemIoFailure`: SQLite does not tell the reasons of a failed write apart.
fn of_disk(code: ErrorCode, extended_code: i32) -> String {
    let said = ffi::code_to_str(extended_code);
    match code {
        ErrorCode::DiskFull => {
            "the disk of the database file is full: make room, and writing goes on by itself"
                .to_owned()
        }
        ErrorCode::ReadOnly => format!(
            "the database file, its directory or its disk is read-only: let this user write there ({said})"
        ),
        ErrorCode::SystemIoFailure => format!(
            "the disk of the database file is full or read-only, or fails, or a limit of size is reached ({said}, code {extended_code})"
        ),
        ErrorCode::CannotOpen => {
            format!(
                "the database file, or one beside it, cannot be opened or made: its directory may be missing or read-only ({said})"
            )
        }
        _ => said.to_owned(),
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
