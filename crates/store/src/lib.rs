//! Where Keyway keeps things: one store over SQLite and PostgreSQL.
//!
//! One text of every statement serves both databases. A piece of work is a closure over a
//! [`Session`], run by [`Store::read`] in one snapshot or by [`Store::write`] in one transaction; the
//! row methods of the session are the only way to the tables. Every statement on a tenant's rows
//! binds the application's id (rule 8). Secrets arrive here sealed or as keyed digests and leave the
//! same way: this crate can open neither.

mod arg;
mod error;
mod filter;
mod migrations;
mod portable;
mod postgres;
mod row;
mod rows;
mod session;
mod sqlite;
mod statement;
mod store;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
mod url;

pub use error::{Constraint, Outage, StoreError};
pub use filter::GrantFilter;
pub use futures_util::future::BoxFuture;
pub use migrations::{MigrationReport, newest_schema_version};
pub use portable::{Cell, CellKind, Column, PortableTable, portable_table, portable_tables};
pub use rows::account_secrets::DueLogin;
pub use rows::sealed::{SealedColumn, SealedRow};
pub use rows::sweeps::{EndedBefore, SweptDeleted};
pub use session::Session;
pub use sqlite::files::{Settled, check_sqlite, copy_sqlite, settle_sqlite};
pub use store::{Backend, Store};
pub use url::{DatabaseUrl, DatabaseUrlError};
