//! Databases that are not there, and stores that are closed.

use crate::fixtures::*;
use crate::{Db, on_both};
use keyway_core::time::{ManualClock, UnixMillis};
use keyway_store::{DatabaseUrl, Store, StoreError};
use std::sync::Arc;

async fn open(url: &str) -> Result<Store, StoreError> {
    let url: DatabaseUrl = url.parse().unwrap();
    Store::open(&url, Arc::new(ManualClock::at(UnixMillis(1)))).await
}

on_both! {
    a_closed_store_is_not_ready_and_writes_nothing,
}

async fn a_closed_store_is_not_ready_and_writes_nothing(db: &Db) {
    assert!(db.store.is_ready().await);
    let second = db.second_store().await;
    second.close().await;
    assert!(!second.is_ready().await);
    let read = second
        .read(|s| Box::pin(async move { s.latest_seq().await }))
        .await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    let late = second
        .write::<_, StoreError, _>(|s| {
            Box::pin(async move { s.insert_application(&application(1)).await })
        })
        .await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    second.close().await;
    assert!(db.store.is_ready().await);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_an_outage() {
    let outcome = open("sqlite:///dev/null/keyway.db").await;
    assert!(
        matches!(outcome, Err(StoreError::Unavailable(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_is_an_outage() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyway.db");
    std::fs::write(&path, [b'x'; 4096]).unwrap();
    let outcome = open(&format!("sqlite://{}", path.display())).await;
    assert!(
        matches!(outcome, Err(StoreError::Unavailable(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn rule_07_a_server_that_is_not_there_is_an_outage_told_without_the_password() {
    let outcome = open("postgres://u:hunter2@127.0.0.1:1/d?sslmode=disable").await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("hunter2"));
}
