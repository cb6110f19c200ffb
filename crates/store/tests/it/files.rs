//! SQLite files as files.

use crate::fixtures::{api_key, application, tenant};
use keyway_core::time::{ManualClock, UnixMillis};
use keyway_store::testing::TestDatabase;
use keyway_store::{DatabaseUrl, Store, StoreError, check_sqlite, copy_sqlite, settle_sqlite};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn path(database: &TestDatabase) -> PathBuf {
    match database.url() {
        DatabaseUrl::Sqlite(path) => path.clone(),
        DatabaseUrl::Postgres(_) => panic!("not a file"),
    }
}

async fn open(path: &Path) -> Store {
    let clock = Arc::new(ManualClock::at(UnixMillis(1)));
    let url = DatabaseUrl::Sqlite(path.to_owned());
    Store::open(&url, clock).await.unwrap()
}

async fn insert_keys(store: &Store, numbers: std::ops::Range<u128>) {
    for n in numbers {
        let stored = store.write::<_, StoreError, _>(move |s| {
            Box::pin(async move { s.insert_api_key(&api_key(1, n)).await })
        });
        stored.await.unwrap();
    }
}

async fn keys_in(path: &Path) -> usize {
    let store = open(path).await;
    let keys = store.read(|s| Box::pin(async move { s.api_keys(tenant(1)).await }));
    let number = keys.await.unwrap().len();
    store.close().await;
    number
}

async fn filled() -> (TestDatabase, Store) {
    let database = TestDatabase::sqlite();
    let store = open(&path(&database)).await;
    store.migrate().await.unwrap();
    let made = store.write::<_, StoreError, _>(|s| {
        Box::pin(async move { s.insert_application(&application(1)).await })
    });
    made.await.unwrap();
    insert_keys(&store, 0..10).await;
    (database, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_beside_a_writer_is_whole_private_and_of_one_moment() {
    let (database, store) = filled().await;
    let from = path(&database);
    let to = from.with_file_name("copy.db");
    let (source, copy) = (from.clone(), to.clone());
    let copying = tokio::task::spawn_blocking(move || copy_sqlite(&source, &copy));
    insert_keys(&store, 10..60).await;
    copying.await.unwrap().unwrap();
    check_sqlite(&to).unwrap();
    let mode = std::fs::metadata(&to).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let copied = keys_in(&to).await;
    assert!((10..=60).contains(&copied), "{copied}");
    assert_eq!(keys_in(&from).await, 60);
    let again = copy_sqlite(&from, &to).unwrap_err().to_string();
    assert!(again.contains("there already"), "{again}");
    store.close().await;
}

#[tokio::test]
async fn a_file_is_settled_only_while_nobody_has_it_open() {
    let (database, store) = filled().await;
    let file = path(&database);
    let busy = settle_sqlite(&file).unwrap_err();
    assert!(busy.is_retryable(), "{busy}");
    store.close().await;
    drop(store);
    drop(settle_sqlite(&file).unwrap());
    assert!(!file.with_file_name("keyway.db-wal").exists());
    assert_eq!(keys_in(&file).await, 10);
}

#[tokio::test]
async fn damage_is_noticed() {
    let (database, store) = filled().await;
    store.close().await;
    drop(store);
    let file = path(&database);
    drop(settle_sqlite(&file).unwrap());
    check_sqlite(&file).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xA5);
    std::fs::write(&file, bytes).unwrap();
    assert!(check_sqlite(&file).is_err());
    std::fs::write(&file, "no database").unwrap();
    assert!(check_sqlite(&file).is_err());
}
