//! A SQLite database as a file: copied beside a running server, checked, and closed so that it may be moved.

use super::{connect, create_private, statement};
use crate::error::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// Writes everything that is committed at this moment into `to`, a file that must not be there yet, readable by
/// its owner alone and durable when this returns. The database may be at work meanwhile. Takes as long as reading
/// it all; what is written meanwhile stays in its log, which grows.
///
/// # Errors
/// If there is such a file already, or the database cannot be read, or the copy not be written. A copy that was
/// begun stays behind.
pub fn copy_sqlite(from: &Path, to: &Path) -> Result<(), StoreError> {
    if to.exists() {
        return Err(StoreError::down("the file for the copy is there already"));
    }
    let source = connect(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    create_private(to);
    let path = to
        .to_str()
        .ok_or_else(|| StoreError::down("the path of the copy is not UTF-8"))?;
    source.execute("VACUUM INTO ?1", [path])?;
    sync(to)
}

fn sync(path: &Path) -> Result<(), StoreError> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    for path in [path, parent.unwrap_or(Path::new("."))] {
        let synced = std::fs::File::open(path).and_then(|file| file.sync_all());
        synced.map_err(|error| StoreError::down(error.to_string()))?;
    }
    Ok(())
}

/// Looks through a whole database for damage.
///
/// # Errors
/// What is damaged, in SQLite's words, or that the file is no database.
pub fn check_sqlite(path: &Path) -> Result<(), StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    match found.as_str() {
        "ok" => Ok(()),
        damage => Err(StoreError::down(format!("the file is damaged: {damage}"))),
    }
}

/// A database nobody else can open until this is dropped.
#[derive(Debug)]
pub struct Settled {
    _connection: Connection,
}

/// Brings a database that nobody uses into its one file, without the log beside it, and keeps others from
/// opening it while what is returned lives.
///
/// # Errors
/// If another process has it open, or the file cannot be read or written.
pub fn settle_sqlite(path: &Path) -> Result<Settled, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Where this fails, the log stays as it was: it may hold what a damaged file does not.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Leaving the log needs the file for oneself.
    connection.busy_timeout(std::time::Duration::ZERO)?;
    let mode = journal_mode(&connection)?;
    if mode != "delete" {
        return Err(StoreError::busy("another process has the file open"));
    }
    Ok(Settled {
        _connection: connection,
    })
}

fn journal_mode(connection: &Connection) -> Result<String, StoreError> {
    statement::batch(connection, "PRAGMA locking_mode = EXCLUSIVE")?;
    Ok(connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?)
}
