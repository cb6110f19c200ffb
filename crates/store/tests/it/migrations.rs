//! Migrations.

use crate::fixtures::{grant, sign_in, tenant};
use crate::{Db, get, on_both, put};
use keyway_core::time::{ManualClock, UnixMillis};
use keyway_core::token_set::RefreshState;
use keyway_store::testing::TestDatabase;
use keyway_store::{Backend, Store, StoreError};
use std::sync::Arc;

/// The version this program brings a database to.
const NEWEST: i64 = 9;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(UnixMillis(5)))
}

async fn reopened(db: &crate::Db) -> Result<Store, StoreError> {
    db.database.open(clock()).await
}

on_both! {
    migrating_again_changes_nothing,
    a_database_of_the_first_version_is_brought_up_with_its_rows,
    a_newer_database_is_refused_with_words,
    statements_of_an_earlier_version_run_on_this_ones_tables,
    a_migration_of_another_text_is_refused,
}

async fn migrating_again_changes_nothing(db: &Db) {
    let report = db.store.migrate().await.unwrap();
    assert_eq!((report.from, report.to), (NEWEST, NEWEST));
    assert!(report.applied.is_empty());
    assert_eq!(db.store.schema_version().await, Ok(NEWEST));
}

async fn a_database_of_the_first_version_is_brought_up_with_its_rows(db: &Db) {
    let id = grant(1, 1).id;
    let held = RefreshState {
        lease_owner: Some("of the first version".into()),
        ..RefreshState::default()
    };
    put!(db, |s| s.upsert_refresh_state(tenant(1), id, &held, None));
    put!(db, |s| s.insert_sign_in(&sign_in(1, 1)));
    let back = "DROP INDEX api_keys_revoked; DROP INDEX api_keys_expires; DROP TABLE server_notes; DROP TABLE server_leases;
        ALTER TABLE vault_keys DROP COLUMN state_since; ALTER TABLE api_keys DROP COLUMN updated_at; DROP TABLE service_accounts;
        DROP TABLE service_account_applications; DROP TABLE service_account_nonces;
        DROP TABLE account_secrets; DROP TABLE tenant_consents;
        ALTER TABLE refresh_states DROP COLUMN unheard; CREATE INDEX changes_at ON changes (at);
        CREATE INDEX changes_application ON changes (application_id, seq);
        DELETE FROM schema_migrations WHERE version > 1";
    db.database.execute(back).await;
    let store = reopened(db).await.unwrap();
    assert_eq!(store.schema_version().await, Ok(1));
    let report = store.migrate().await.unwrap();
    assert_eq!((report.from, report.to), (1, NEWEST));
    let applied = [
        "unheard",
        "lean_changes",
        "keyring",
        "service_accounts",
        "account_secrets",
        "password_sign_ins",
        "tenant_consents",
        "ended_keys",
    ];
    assert_eq!(report.applied, applied);
    store.close().await;
    let kept = get!(db, |s| s.refresh_state(tenant(1), id)).unwrap();
    assert_eq!(kept.lease_owner.as_deref(), Some("of the first version"));
    assert_eq!(kept.unheard, None);
    let under_way = get!(db, |s| s.sign_in(tenant(1), sign_in(1, 1).id));
    assert_eq!(under_way, Some(sign_in(1, 1)));
}

async fn a_newer_database_is_refused_with_words(db: &Db) {
    db.database
        .execute("INSERT INTO schema_migrations VALUES (99, 'future', 'x', 1)")
        .await;
    let error = StoreError::Newer {
        found: 99,
        known: NEWEST,
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
    assert_eq!(i64::try_from(a + b + c), Ok(NEWEST));
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

/// Every statement of the program whose newest migration was number 3, one a line: name, tabulator, text.
const OF_VERSION_3: &str = include_str!("statements_of_version_3.txt");

/// In a rolling upgrade servers of the version before work on tables this version has migrated. A migration may
/// add to them; what takes away has to wait until no statement of a version that may still run needs it.
async fn statements_of_an_earlier_version_run_on_this_ones_tables(db: &Db) {
    let statements = OF_VERSION_3
        .lines()
        .map(|line| line.split_once('\t').unwrap().1);
    let mut number = 0;
    for sql in statements {
        // Prepared is enough: tables and columns are there, and their types fit.
        let prepare = match db.store.backend() {
            Backend::Sqlite => format!("EXPLAIN {sql}"),
            Backend::Postgres => format!("PREPARE s{number} AS {sql}"),
        };
        db.database.execute(&prepare).await;
        number += 1;
    }
    assert!(number > 100);
}
