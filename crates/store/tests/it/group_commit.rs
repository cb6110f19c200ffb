//! Many writers at once.

use crate::fixtures::*;
use crate::{Db, get, on_both, put};
use keyway_core::time::{ManualClock, UnixMillis};
use keyway_store::StoreError;
use keyway_store::testing::TestDatabase;
use std::sync::Arc;

on_both! {
    two_hundred_writers_all_succeed_and_a_failing_one_spares_the_rest,
    each_writer_is_answered_with_its_own_value,
}

async fn two_hundred_writers_all_succeed_and_a_failing_one_spares_the_rest(db: &Db) {
    let writers = (1..=200).map(|n| {
        let store = db.store.clone();
        async move {
            store
                .write::<_, StoreError, _>(move |s| {
                    Box::pin(async move {
                        s.insert_application(&application(n)).await?;
                        if n == 77 {
                            return Err(StoreError::Bug("on purpose".into()));
                        }
                        s.append_change(&change(n, 1)).await
                    })
                })
                .await
        }
    });
    let outcomes = futures_util::future::join_all(writers).await;
    for (n, outcome) in (1..).zip(&outcomes) {
        assert_eq!(outcome.is_ok(), n != 77, "{n}: {outcome:?}");
    }
    assert_eq!(get!(db, |s| s.applications(500, 0)).len(), 199);
    assert_eq!(get!(db, |s| s.changes_since(0, 500)).len(), 199);
    assert_eq!(get!(db, |s| s.application(tenant(77))), None);
}

async fn each_writer_is_answered_with_its_own_value(db: &Db) {
    let writers = (1..=50).map(|n| async move {
        let seq = put!(db, |s| s.append_change(&change(1, n)));
        (n, seq)
    });
    for (n, seq) in futures_util::future::join_all(writers).await {
        let entry = get!(db, |s| s.changes_since(seq - 1, 1)).remove(0);
        assert_eq!((entry.seq, entry.change), (seq, change(1, n)));
    }
}

#[tokio::test]
async fn a_committed_write_is_there_when_the_file_is_opened_again() {
    let database = TestDatabase::sqlite();
    let clock = Arc::new(ManualClock::at(UnixMillis(1)));
    let first = database.open(clock.clone()).await.unwrap();
    first.migrate().await.unwrap();
    first
        .write::<_, StoreError, _>(|s| {
            Box::pin(async move { s.insert_application(&application(1)).await })
        })
        .await
        .unwrap();
    first.close().await;
    let second = database.open(clock).await.unwrap();
    let seen = second
        .read(|s| Box::pin(async move { s.application(tenant(1)).await }))
        .await;
    assert_eq!(seen, Ok(Some(application(1))));
    second.close().await;
}
