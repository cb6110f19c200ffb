//! Transactions: all or nothing, and nothing else meanwhile.

use crate::fixtures::*;
use crate::{Db, get, on_both, put};
use keyway_core::time::{ManualClock, UnixMillis};
use keyway_store::testing::TestDatabase;
use keyway_store::{DatabaseUrl, StoreError};
use std::sync::Arc;

#[derive(Debug, PartialEq, Eq)]
enum EngineError {
    Refused,
    Store(StoreError),
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// On SQLite without waiting, since a job may not wait there.
async fn another_process_adds_an_application(url: &DatabaseUrl) {
    let copied = format!(
        "INSERT INTO applications SELECT '{}', organization_id, name, region, environment, profile,
         additional, blocked, created_at, updated_at, version FROM applications",
        tenant(2)
    );
    match url {
        DatabaseUrl::Sqlite(path) => {
            let connection = rusqlite::Connection::open(path).unwrap();
            connection.execute_batch(&copied).unwrap();
        }
        DatabaseUrl::Postgres(url) => {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
                .await
                .unwrap();
            let work = async move { client.batch_execute(&copied).await };
            tokio::join!(work, connection).0.unwrap();
        }
    }
}

async fn is_stored(db: &Db, t: u128) -> bool {
    get!(db, |s| s.application(tenant(t))).is_some()
}

on_both! {
    a_job_that_fails_leaves_nothing_and_its_own_error_is_handed_through,
    a_job_sees_what_it_wrote_and_others_do_not_until_it_is_committed,
    a_job_that_goes_on_after_a_failed_statement_is_not_committed,
    a_panicking_job_leaves_nothing_and_the_store_goes_on,
    a_read_cannot_write,
    a_read_is_one_snapshot,
    two_stores_on_one_database_see_each_others_writes,
    two_stores_write_side_by_side_and_lose_nothing,
}

async fn a_job_that_fails_leaves_nothing_and_its_own_error_is_handed_through(db: &Db) {
    let outcome: Result<(), EngineError> = db
        .store
        .write(|s| {
            Box::pin(async move {
                s.insert_application(&application(1)).await?;
                s.insert_grant(&grant(1, 1)).await?;
                Err(EngineError::Refused)
            })
        })
        .await;
    assert_eq!(outcome, Err(EngineError::Refused));
    assert!(!is_stored(db, 1).await);
    assert_eq!(get!(db, |s| s.grant(tenant(1), grant(1, 1).id)), None);
}

async fn a_job_sees_what_it_wrote_and_others_do_not_until_it_is_committed(db: &Db) {
    let seen = db
        .store
        .write::<_, StoreError, _>(|s| {
            Box::pin(async move {
                s.insert_application(&application(1)).await?;
                s.application(tenant(1)).await
            })
        })
        .await
        .unwrap();
    assert_eq!(seen, Some(application(1)));
    assert!(is_stored(db, 1).await);
}

async fn a_job_that_goes_on_after_a_failed_statement_is_not_committed(db: &Db) {
    put!(db, |s| s.insert_application(&application(1)));
    let outcome: Result<(), StoreError> = db
        .store
        .write(|s| {
            Box::pin(async move {
                s.insert_application(&application(2)).await?;
                assert!(s.insert_application(&application(1)).await.is_err());
                assert!(matches!(
                    s.application(tenant(2)).await,
                    Err(StoreError::Bug(_))
                ));
                Ok(())
            })
        })
        .await;
    assert!(matches!(outcome, Err(StoreError::Bug(_))), "{outcome:?}");
    assert!(!is_stored(db, 2).await);
}

async fn a_panicking_job_leaves_nothing_and_the_store_goes_on(db: &Db) {
    let outcome: Result<(), StoreError> = db
        .store
        .write(|s| {
            Box::pin(async move {
                s.insert_application(&application(1)).await?;
                panic!("on purpose")
            })
        })
        .await;
    assert!(matches!(outcome, Err(StoreError::Bug(_))), "{outcome:?}");
    assert!(!is_stored(db, 1).await);
    put!(db, |s| s.insert_application(&application(2)));
    assert!(is_stored(db, 2).await);
}

async fn a_read_cannot_write(db: &Db) {
    let outcome = db
        .store
        .read(|s| Box::pin(async move { s.insert_application(&application(1)).await }))
        .await;
    assert!(outcome.is_err());
    assert!(!is_stored(db, 1).await);
}

async fn a_read_is_one_snapshot(db: &Db) {
    put!(db, |s| s.insert_application(&application(1)));
    let url = db.database.url().clone();
    let counts = db
        .store
        .read(move |s| {
            Box::pin(async move {
                let before = s.applications(10, 0).await?.len();
                another_process_adds_an_application(&url).await;
                Ok((before, s.applications(10, 0).await?.len()))
            })
        })
        .await
        .unwrap();
    assert_eq!(counts, (1, 1));
    assert!(is_stored(db, 2).await);
}

async fn two_stores_on_one_database_see_each_others_writes(db: &Db) {
    let second = db.second_store().await;
    put!(db, |s| s.insert_application(&application(1)));
    let seen = second
        .read(|s| Box::pin(async move { s.application(tenant(1)).await }))
        .await;
    assert_eq!(seen, Ok(Some(application(1))));
    second
        .write::<_, StoreError, _>(|s| {
            Box::pin(async move { s.insert_application(&application(2)).await })
        })
        .await
        .unwrap();
    assert!(is_stored(db, 2).await);
    second.close().await;
}

async fn two_stores_write_side_by_side_and_lose_nothing(db: &Db) {
    let second = db.second_store().await;
    let writes = (1..=60).map(|n| {
        let store = if n % 2 == 0 {
            db.store.clone()
        } else {
            second.clone()
        };
        async move {
            store
                .write::<_, StoreError, _>(move |s| {
                    Box::pin(async move { s.insert_application(&application(n)).await })
                })
                .await
        }
    });
    for outcome in futures_util::future::join_all(writes).await {
        outcome.unwrap();
    }
    assert_eq!(get!(db, |s| s.applications(100, 0)).len(), 60);
    second.close().await;
}

async fn sqlite() -> Db {
    let database = TestDatabase::sqlite();
    let clock = Arc::new(ManualClock::at(UnixMillis(1)));
    let store = database.open(clock.clone()).await.unwrap();
    store.migrate().await.unwrap();
    Db {
        database,
        store,
        clock,
    }
}

#[tokio::test]
async fn a_job_that_waits_for_anything_but_the_database_is_rolled_back() {
    let db = sqlite().await;
    let outcome: Result<(), StoreError> = db
        .store
        .write(|s| {
            Box::pin(async move {
                s.insert_application(&application(1)).await?;
                tokio::task::yield_now().await;
                Ok(())
            })
        })
        .await;
    assert!(matches!(outcome, Err(StoreError::Bug(_))), "{outcome:?}");
    assert!(!is_stored(&db, 1).await);
    let read = db
        .store
        .read(|_| {
            Box::pin(async move {
                tokio::task::yield_now().await;
                Ok(())
            })
        })
        .await;
    assert!(matches!(read, Err(StoreError::Bug(_))), "{read:?}");
    put!(db, |s| s.insert_application(&application(2)));
}

#[tokio::test]
async fn a_write_survives_the_loss_of_whoever_asked_for_it() {
    let db = sqlite().await;
    let store = db.store.clone();
    let asked = async move {
        store
            .write::<_, StoreError, _>(|s| {
                Box::pin(async move { s.insert_application(&application(1)).await })
            })
            .await
    };
    let _ = futures_util::FutureExt::now_or_never(asked);
    put!(db, |s| s.insert_application(&application(2)));
    assert!(is_stored(&db, 1).await);
}

#[tokio::test]
async fn reads_and_writes_may_move_between_threads() {
    fn sent<F: Future + Send>(future: F) -> F {
        future
    }
    let db = sqlite().await;
    let write = db.store.write::<_, StoreError, _>(|s| {
        Box::pin(async move { s.insert_application(&application(1)).await })
    });
    sent(write).await.unwrap();
    let read = db
        .store
        .read(|s| Box::pin(async move { s.application(tenant(1)).await }));
    assert!(sent(read).await.unwrap().is_some());
}
