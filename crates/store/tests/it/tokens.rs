//! Keyway's own tokens.

use crate::fixtures::*;
use crate::{Db, get, on_both, put};
use keyway_core::ids::FamilyId;

on_both! {
    an_access_token_is_read_until_it_is_removed,
    a_refresh_token_is_read_as_it_was_written,
    a_refresh_token_that_does_not_rotate_is_used_again_and_again,
    rule_09_of_concurrent_uses_of_a_rotating_refresh_token_one_wins,
    rule_09_a_family_is_removed_whole_and_no_other,
}

async fn an_access_token_is_read_until_it_is_removed(db: &Db) {
    put!(db, |s| s.insert_access_token(&access_token(1, 1)));
    let read = get!(db, |s| s.access_token(tenant(1), access_token(1, 1).id));
    assert_eq!(read, Some(access_token(1, 1)));
    assert_eq!(
        put!(db, |s| s
            .delete_access_tokens_of_family(tenant(1), family(1))),
        1
    );
    assert_eq!(
        get!(db, |s| s.access_token(tenant(1), access_token(1, 1).id)),
        None
    );
}

async fn a_refresh_token_is_read_as_it_was_written(db: &Db) {
    let mut used = refresh_token(1, 2);
    used.used_at = Some(at(3));
    used.public_client = false;
    used.rotates = false;
    let stored = used.clone();
    put!(db, |s| s.insert_refresh_token(&refresh_token(1, 1)));
    put!(db, |s| s.insert_refresh_token(&stored));
    let read = get!(db, |s| s.refresh_token(tenant(1), refresh_token(1, 1).id));
    assert_eq!(read, Some(refresh_token(1, 1)));
    assert_eq!(
        get!(db, |s| s.refresh_token(tenant(1), refresh_token(1, 2).id)),
        Some(used)
    );
}

async fn a_refresh_token_that_does_not_rotate_is_used_again_and_again(db: &Db) {
    put!(db, |s| s.insert_refresh_token(&refresh_token(1, 1)));
    let id = refresh_token(1, 1).id;
    for n in [10, 11] {
        assert!(put!(db, |s| s.use_refresh_token(
            tenant(1),
            id,
            at(n),
            false
        )));
    }
    let read = get!(db, |s| s.refresh_token(tenant(1), refresh_token(1, 1).id)).unwrap();
    assert_eq!((read.used_at, read.last_used_at), (None, at(11)));
}

async fn rule_09_of_concurrent_uses_of_a_rotating_refresh_token_one_wins(db: &Db) {
    put!(db, |s| s.insert_refresh_token(&refresh_token(1, 1)));
    let id = refresh_token(1, 1).id;
    let uses = (1..=20)
        .map(|n| async move { put!(db, |s| s.use_refresh_token(tenant(1), id, at(n), true)) });
    let results = futures_util::future::join_all(uses).await;
    assert_eq!(results.iter().filter(|won| **won).count(), 1);
    let read = get!(db, |s| s.refresh_token(tenant(1), refresh_token(1, 1).id)).unwrap();
    assert_eq!(read.used_at, Some(read.last_used_at));
}

async fn rule_09_a_family_is_removed_whole_and_no_other(db: &Db) {
    for n in 1..=3 {
        let mut access = access_token(1, n);
        let mut refresh = refresh_token(1, n);
        if n == 3 {
            access.family_id = FamilyId::from_u128(9);
            refresh.family_id = FamilyId::from_u128(9);
        }
        put!(db, |s| s.insert_access_token(&access));
        put!(db, |s| s.insert_refresh_token(&refresh));
    }
    assert_eq!(
        put!(db, |s| s
            .delete_access_tokens_of_family(tenant(1), family(1))),
        2
    );
    assert_eq!(
        put!(db, |s| s
            .delete_refresh_tokens_of_family(tenant(1), family(1))),
        2
    );
    assert!(get!(db, |s| s.access_token(tenant(1), access_token(1, 3).id)).is_some());
    assert!(get!(db, |s| s.refresh_token(tenant(1), refresh_token(1, 3).id)).is_some());
}
