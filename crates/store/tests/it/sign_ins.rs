//! Sign-ins: each step once.

use crate::fixtures::*;
use crate::{Db, get, on_both, put, try_put};
use keyway_core::ids::{FamilyId, TokenSetId};
use keyway_core::sign_in::{SignIn, SignInStatus};
use keyway_core::token_set::TokenSetState;
use keyway_store::{Constraint, StoreError};

async fn completed(db: &Db) {
    put!(db, |s| s.insert_sign_in(&sign_in(1, 1)));
    let id = sign_in(1, 1).id;
    let done = put!(db, |s| s.complete_sign_in(
        tenant(1),
        id,
        &digest(6, 1, 1),
        &sealed(1, 1),
        at(300)
    ));
    assert!(done);
}

async fn stored_sign_in(db: &Db) -> SignIn {
    get!(db, |s| s.sign_in(tenant(1), sign_in(1, 1).id)).unwrap()
}

on_both! {
    a_completed_sign_in_is_read_as_it_was_left,
    a_sign_in_inserted_whole_is_read_whole,
    rule_09_a_sign_in_is_used_once,
    rule_09_of_concurrent_uses_of_one_sign_in_one_wins,
    rule_09_of_concurrent_exchanges_of_one_code_one_wins,
    rule_09_a_burnt_or_exchanged_code_works_no_more,
    only_a_consumed_sign_in_completes_or_fails,
}

async fn a_completed_sign_in_is_read_as_it_was_left(db: &Db) {
    completed(db).await;
    let mut expected = sign_in(1, 1);
    expected.status = SignInStatus::Completed;
    expected.code_digest = Some(digest(6, 1, 1));
    expected.outcome = Some(sealed(1, 1));
    expected.code_expires_at = Some(at(300));
    assert_eq!(stored_sign_in(db).await, expected);
    assert_eq!(get!(db, |s| s.sign_in(tenant(2), sign_in(1, 1).id)), None);
}

async fn a_sign_in_inserted_whole_is_read_whole(db: &Db) {
    let mut whole = sign_in(1, 1);
    whole.status = SignInStatus::Exchanged;
    // A password opens the account: no credential.
    whole.credential_id = None;
    whole.code_digest = Some(digest(6, 1, 1));
    whole.outcome = Some(sealed(1, 1));
    whole.family_id = Some(family(1));
    whole.code_expires_at = Some(at(300));
    let stored = whole.clone();
    put!(db, |s| s.insert_sign_in(&stored));
    assert_eq!(stored_sign_in(db).await, whole);
}

async fn rule_09_a_sign_in_is_used_once(db: &Db) {
    put!(db, |s| s.insert_sign_in(&sign_in(1, 1)));
    let refused = try_put!(db, |s| s.insert_sign_in(&sign_in(1, 1)));
    assert_eq!(refused, Err(StoreError::Conflict(Constraint::SignIn)));
}

async fn rule_09_of_concurrent_uses_of_one_sign_in_one_wins(db: &Db) {
    let uses = (1..=20).map(|_| async move { try_put!(db, |s| s.insert_sign_in(&sign_in(1, 1))) });
    let results = futures_util::future::join_all(uses).await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for refused in lost {
        assert_eq!(refused, Err(StoreError::Conflict(Constraint::SignIn)));
    }
}

async fn rule_09_of_concurrent_exchanges_of_one_code_one_wins(db: &Db) {
    completed(db).await;
    let exchanges = (1..=20).map(|n| async move {
        let family = FamilyId::from_u128(n);
        put!(db, |s| s.consume_code(tenant(1), sign_in(1, 1).id, family)).then_some(family)
    });
    let results = futures_util::future::join_all(exchanges).await;
    let won: Vec<_> = results.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    let stored = stored_sign_in(db).await;
    assert_eq!(
        (stored.status, stored.family_id),
        (SignInStatus::Exchanged, Some(won[0]))
    );
}

async fn rule_09_a_burnt_or_exchanged_code_works_no_more(db: &Db) {
    completed(db).await;
    let id = sign_in(1, 1).id;
    let mut pending = token_set(1, 1);
    pending.id = TokenSetId::from_u128(id.as_uuid().as_u128());
    pending.state = TokenSetState::Pending;
    pending.grant_id = None;
    let pending_id = pending.id;
    put!(db, |s| s.insert_token_set(&pending));
    assert!(put!(db, |s| s.burn_code(tenant(1), id)));
    assert_eq!(get!(db, |s| s.token_set(tenant(1), pending_id)), None);
    assert!(!put!(db, |s| s.burn_code(tenant(1), id)));
    assert!(!put!(db, |s| s.consume_code(tenant(1), id, family(1))));
    assert_eq!(stored_sign_in(db).await.status, SignInStatus::Failed);
}

async fn only_a_consumed_sign_in_completes_or_fails(db: &Db) {
    completed(db).await;
    let id = sign_in(1, 1).id;
    let again = put!(db, |s| s.complete_sign_in(
        tenant(1),
        id,
        &digest(6, 1, 2),
        &sealed(1, 2),
        at(1)
    ));
    assert!(!again);
    assert!(!put!(db, |s| s.fail_sign_in(tenant(1), id)));
    put!(db, |s| s.insert_sign_in(&sign_in(1, 2)));
    assert!(put!(db, |s| s.fail_sign_in(tenant(1), sign_in(1, 2).id)));
    let late = put!(db, |s| s.complete_sign_in(
        tenant(1),
        sign_in(1, 2).id,
        &digest(6, 1, 3),
        &sealed(1, 2),
        at(1)
    ));
    assert!(!late);
    assert!(!put!(db, |s| s.consume_code(
        tenant(1),
        sign_in(1, 2).id,
        family(1)
    )));
}
