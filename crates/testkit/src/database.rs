//! Throw-away databases: a SQLite file, or a PostgreSQL database where a server is named.

pub use keyway_store::testing::TestDatabase;
