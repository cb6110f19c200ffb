//! Service accounts, their nonces, and the ends of API keys.

use crate::fixtures::*;
use crate::{Db, get, on_both, put};
use keyway_core::ids::{ApiKeyId, ServiceAccountId};
use keyway_core::service_account::{Permission, ServiceAccount};

on_both! {
    a_service_account_is_read_as_it_was_written_and_revoked_once,
    rule_08_a_service_account_may_act_on_the_applications_it_names_alone,
    rule_09_a_nonce_works_once_for_each_account,
    rule_09_of_many_uses_of_a_nonce_at_once_one_wins,
    nonces_are_swept_when_they_have_had_their_time,
    the_end_of_a_key_only_ever_comes_nearer,
}

fn id(n: u128) -> ServiceAccountId {
    ServiceAccountId::from_u128(n)
}

fn account(n: u128) -> ServiceAccount {
    ServiceAccount {
        id: id(n),
        name: format!("rotator {n}"),
        public_key: vec![48, 0, 255],
        permissions: vec![Permission::CreateKeys, Permission::ReadKeys],
        created_at: at(n),
        revoked_at: None,
    }
}

async fn a_service_account_is_read_as_it_was_written_and_revoked_once(db: &Db) {
    put!(db, |s| s.insert_service_account(&account(2), &[tenant(1)]));
    put!(db, |s| s
        .insert_service_account(&account(1), &[tenant(2), tenant(1)]));
    assert_eq!(get!(db, |s| s.service_accounts()), [account(1), account(2)]);
    assert_eq!(
        get!(db, |s| s.service_account_applications(id(1))),
        [tenant(1), tenant(2)]
    );
    assert!(put!(db, |s| s.revoke_service_account(id(1), at(7))));
    assert!(!put!(db, |s| s.revoke_service_account(id(1), at(8))));
    assert!(!put!(db, |s| s.revoke_service_account(id(3), at(8))));
    let revoked = get!(db, |s| s.service_account(id(1))).unwrap();
    assert_eq!(revoked.revoked_at, Some(at(7)));
    assert_eq!(get!(db, |s| s.service_account(id(3))), None);
}

async fn rule_08_a_service_account_may_act_on_the_applications_it_names_alone(db: &Db) {
    put!(db, |s| s.insert_service_account(&account(1), &[tenant(1)]));
    put!(db, |s| s.insert_service_account(&account(2), &[tenant(2)]));
    assert!(get!(db, |s| s.may_act_on(tenant(1), id(1))));
    assert!(!get!(db, |s| s.may_act_on(tenant(2), id(1))));
    assert!(!get!(db, |s| s.may_act_on(tenant(3), id(1))));
    assert!(!get!(db, |s| s.may_act_on(tenant(1), id(3))));
}

async fn rule_09_a_nonce_works_once_for_each_account(db: &Db) {
    assert!(!get!(db, |s| s.is_nonce_used(id(1), "n")));
    assert!(put!(db, |s| s.use_nonce(id(1), "n", at(50))));
    assert!(get!(db, |s| s.is_nonce_used(id(1), "n")));
    assert!(!get!(db, |s| s.is_nonce_used(id(2), "n")));
    assert!(!put!(db, |s| s.use_nonce(id(1), "n", at(99))));
    assert!(put!(db, |s| s.use_nonce(id(1), "N", at(50))));
    assert!(put!(db, |s| s.use_nonce(id(2), "n", at(50))));
}

async fn rule_09_of_many_uses_of_a_nonce_at_once_one_wins(db: &Db) {
    let other = db.second_store().await;
    for nonce in ["one", "two", "three", "four", "five"] {
        let uses = (0..8).map(|n| {
            let store = if n % 2 == 0 { &db.store } else { &other };
            store.write(move |s| Box::pin(async move { s.use_nonce(id(1), nonce, at(9)).await }))
        });
        let used = futures_util::future::join_all(uses).await;
        let won = used.into_iter().filter(|used| *used == Ok(true)).count();
        assert_eq!(won, 1, "{nonce}");
    }
    other.close().await;
}

async fn nonces_are_swept_when_they_have_had_their_time(db: &Db) {
    for (nonce, until) in [("a", 10), ("b", 11), ("c", 12), ("d", 13)] {
        put!(db, |s| s.use_nonce(id(1), nonce, at(until)));
    }
    assert_eq!(put!(db, |s| s.sweep_nonces(at(12), 2)), 2);
    assert_eq!(put!(db, |s| s.sweep_nonces(at(12), 2)), 1);
    assert_eq!(put!(db, |s| s.sweep_nonces(at(12), 2)), 0);
    assert!(put!(db, |s| s.use_nonce(id(1), "a", at(99))));
    assert!(!put!(db, |s| s.use_nonce(id(1), "d", at(99))));
}

async fn the_end_of_a_key_only_ever_comes_nearer(db: &Db) {
    put!(db, |s| s.insert_api_key(&api_key(1, 1)));
    let key: ApiKeyId = api_key(1, 1).id;
    assert_eq!(get!(db, |s| s.live_api_keys(tenant(1), at(60))), 1);
    assert!(put!(db, |s| s.expire_api_key(
        tenant(1),
        key,
        at(60),
        at(20)
    )));
    let ending = get!(db, |s| s.api_key(tenant(1), key)).unwrap();
    assert_eq!(
        (ending.expires_at, ending.updated_at),
        (Some(at(60)), at(20))
    );
    assert_eq!(get!(db, |s| s.live_api_keys(tenant(1), at(59))), 1);
    assert_eq!(get!(db, |s| s.live_api_keys(tenant(1), at(60))), 0);
    for later in [60, 61] {
        assert!(!put!(db, |s| s.expire_api_key(
            tenant(1),
            key,
            at(later),
            at(21)
        )));
    }
    assert!(put!(db, |s| s.expire_api_key(
        tenant(1),
        key,
        at(30),
        at(22)
    )));
    assert!(put!(db, |s| s.revoke_api_key(tenant(1), key, at(25))));
    assert!(!put!(db, |s| s.expire_api_key(
        tenant(1),
        key,
        at(29),
        at(26)
    )));
    let ended = get!(db, |s| s.api_key(tenant(1), key)).unwrap();
    assert_eq!((ended.expires_at, ended.updated_at), (Some(at(30)), at(25)));
}
