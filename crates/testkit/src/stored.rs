//! Everything a database holds, as bytes, for looking through.

use crate::world::World;
use keyway_store::DatabaseUrl;
use std::path::Path;
use tokio_postgres::NoTls;

impl World {
    /// All bytes of the database: SQLite's files as they are, PostgreSQL's rows as text.
    ///
    /// # Panics
    /// If they cannot be read.
    pub async fn stored_bytes(&self) -> Vec<u8> {
        match self.database().url() {
            DatabaseUrl::Sqlite(path) => files_beside(path),
            DatabaseUrl::Postgres(url) => rows_of(url).await,
        }
    }
}

/// The file, and the log SQLite keeps beside it.
fn files_beside(path: &Path) -> Vec<u8> {
    let directory = path.parent().expect("a database file is in a directory");
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
    bytes
}

/// Every row of every table. PostgreSQL writes binary columns in hexadecimal.
async fn rows_of(url: &str) -> Vec<u8> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let drive = tokio::runtime::Handle::current().spawn(connection);
    let tables = "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public'";
    let mut bytes = Vec::new();
    for table in client.query(tables, &[]).await.unwrap() {
        let table: String = table.get(0);
        let sql = format!("SELECT CAST(t AS TEXT) FROM \"{table}\" t");
        for row in client.query(&sql, &[]).await.unwrap() {
            bytes.extend(row.get::<_, String>(0).into_bytes());
        }
    }
    drop(client);
    let _ = drive.await;
    bytes
}
