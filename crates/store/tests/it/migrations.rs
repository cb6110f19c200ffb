//! Migrations.

use crate::{Db, on_both};
use keyway_core::time::{ManualClock, UnixMillis};
use keyway_store::testing::TestDatabase;
use keyway_store::{Backend, Store, StoreError};
use std::sync::Arc;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(UnixMillis(5)))
}

async fn reopened(db: &crate::Db) -> Result<Store, StoreError> {
    db.database.open(clock()).await
}

on_both! {
    migrating_again_changes_nothing,
    a_newer_database_is_refused_with_words,
    a_migration_of_another_text_is_refused,
}

async fn migrating_again_changes_nothing(db: &Db) {
    let report = db.store.migrate().await.unwrap();
    assert_eq!((report.from, report.to), (1, 1));
    assert!(report.applied.is_empty());
    assert_eq!(db.store.schema_version().await, Ok(1));
}

async fn a_newer_database_is_refused_with_words(db: &Db) {
    db.database
        .execute("INSERT INTO schema_migrations VALUES (99, 'future', 'x', 1)")
        .await;
    let error = StoreError::Newer {
        found: 99,
        known: 1,
    };
    assert_eq!(reopened(db).await.err(), Some(error.clone()));
    assert_eq!(db.store.migrate().await, Err(error.clone()));
    assert!(error.to_string().contains("newer"));
}

async fn a_migration_of_another_text_is_refused(db: &Db) {
    db.database
        .execute("UPDATE schema_migrations SET checksum = 'other'")
        .await;
    let error = StoreError::Altered { version: 1 };
    assert_eq!(reopened(db).await.err(), Some(error.clone()));
    assert_eq!(db.store.migrate().await, Err(error));
}

async fn unmigrated(backend: Backend, test: impl AsyncFnOnce(&TestDatabase)) {
    if let Some(database) = TestDatabase::create(backend).await {
        test(&database).await;
        database.remove().await;
    }
}

/// Two processes that start together on an empty database.
async fn migrate_twice_at_once(database: &TestDatabase) {
    let start = async || {
        let store = database.open(clock()).await.unwrap();
        let report = store.migrate().await.unwrap();
        store.close().await;
        report.applied.len()
    };
    let (a, b, c) = tokio::join!(start(), start(), start());
    assert_eq!(a + b + c, 1);
}

#[tokio::test]
async fn processes_that_start_together_migrate_once_sqlite() {
    unmigrated(Backend::Sqlite, migrate_twice_at_once).await;
}

#[tokio::test]
async fn processes_that_start_together_migrate_once_postgres() {
    unmigrated(Backend::Postgres, migrate_twice_at_once).await;
}

#[tokio::test]
async fn opening_an_empty_database_migrates_nothing() {
    unmigrated(Backend::Sqlite, async |database| {
        let store = database.open(clock()).await.unwrap();
        assert_eq!(store.schema_version().await, Ok(0));
        store.close().await;
        assert!(database.columns().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn both_databases_get_the_same_schema() {
    let (sqlite, Some(postgres)) = (TestDatabase::sqlite(), TestDatabase::postgres().await) else {
        return;
    };
    for database in [&sqlite, &postgres] {
        let store = database.open(clock()).await.unwrap();
        store.migrate().await.unwrap();
        store.close().await;
    }
    assert!(sqlite.columns().await.len() > 100);
    assert_eq!(sqlite.columns().await, postgres.columns().await);
    assert_eq!(sqlite.indexes().await, postgres.indexes().await);
    postgres.remove().await;
}
