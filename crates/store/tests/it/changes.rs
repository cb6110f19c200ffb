//! The sequence of changes.

use crate::fixtures::*;
use crate::{Db, get, on_both, put};
use keyway_store::StoreError;

on_both! {
    rule_10_changes_are_read_in_order_from_any_place,
    rule_10_a_change_and_its_entry_are_kept_or_lost_together,
    rule_10_a_reader_that_follows_the_sequence_misses_no_entry,
}

async fn rule_10_changes_are_read_in_order_from_any_place(db: &Db) {
    assert_eq!(get!(db, |s| s.latest_seq()), 0);
    let mut places = Vec::new();
    for n in 1..=3 {
        places.push(put!(db, |s| s.append_change(&change(1, n))));
    }
    assert!(places.is_sorted_by(|a, b| a < b));
    let all = get!(db, |s| s.changes_since(0, 10));
    assert_eq!(all.iter().map(|c| c.seq).collect::<Vec<_>>(), places);
    let read: Vec<_> = all.into_iter().map(|c| c.change).collect();
    assert_eq!(read, [change(1, 1), change(1, 2), change(1, 3)]);
    let first = places[0];
    let next = get!(db, |s| s.changes_since(first, 1));
    assert_eq!(next[0].seq, places[1]);
    assert_eq!(get!(db, |s| s.latest_seq()), places[2]);
}

async fn rule_10_a_change_and_its_entry_are_kept_or_lost_together(db: &Db) {
    let failed: Result<(), StoreError> = db
        .store
        .write(|s| {
            Box::pin(async move {
                s.insert_application(&application(1)).await?;
                s.append_change(&change(1, 1)).await?;
                Err(StoreError::Bug("refused by the engine".into()))
            })
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(get!(db, |s| s.latest_seq()), 0);
    assert_eq!(get!(db, |s| s.application(tenant(1))), None);
    db.store
        .write::<_, StoreError, _>(|s| {
            Box::pin(async move {
                s.insert_application(&application(1)).await?;
                s.append_change(&change(1, 1)).await
            })
        })
        .await
        .unwrap();
    assert_eq!(get!(db, |s| s.changes_since(0, 10)).len(), 1);
    assert!(get!(db, |s| s.application(tenant(1))).is_some());
}

async fn rule_10_a_reader_that_follows_the_sequence_misses_no_entry(db: &Db) {
    let writers = async {
        let appends = (1..=100).map(|n| async move {
            put!(db, |s| s.append_change(&change(1, n)));
        });
        futures_util::future::join_all(appends).await;
    };
    let second = db.second_store().await;
    let follower = async {
        let (mut seen, mut last) = (Vec::new(), 0);
        while seen.len() < 100 {
            let news = second
                .read(move |s| Box::pin(async move { s.changes_since(last, 7).await }))
                .await
                .unwrap();
            last = news.last().map_or(last, |c| c.seq);
            seen.extend(news.into_iter().map(|c| c.change.entity_id));
            tokio::task::yield_now().await;
        }
        seen
    };
    let deadline = std::time::Duration::from_secs(30);
    let both = tokio::time::timeout(deadline, async { tokio::join!(writers, follower) });
    let ((), mut seen) = both.await.expect("an entry was missed");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 100);
    second.close().await;
}
