//! Sweeps: bounded, repeatable, and nothing live goes.

use crate::fixtures::*;
use crate::{Db, get, on_both, put};
use keyway_core::ids::RefreshTokenId;
use keyway_core::token_set::TokenSetState;
use keyway_store::EndedBefore;

on_both! {
    old_sign_ins_go_with_their_pending_token_sets_only,
    ended_access_tokens_go_a_few_at_a_time,
    refresh_tokens_go_by_the_limits_of_their_application,
    a_page_of_refresh_tokens_at_a_time_is_looked_at,
    keys_go_when_they_have_ended_long_ago,
    what_hangs_on_a_credential_deleted_long_ago_goes_with_it,
    a_deleted_connector_goes_after_everything_of_it,
    a_deleted_credential_stays_while_a_live_one_borrows_from_it,
}

async fn old_sign_ins_go_with_their_pending_token_sets_only(db: &Db) {
    for n in 1..=3 {
        put!(db, |s| s.insert_sign_in(&sign_in(1, n)));
        let mut set = token_set(1, n);
        if n != 2 {
            set.state = TokenSetState::Pending;
        }
        put!(db, |s| s.insert_token_set(&set));
    }
    assert_eq!(put!(db, |s| s.sweep_sign_ins(at(3), 1)), 1);
    assert_eq!(put!(db, |s| s.sweep_sign_ins(at(3), 10)), 1);
    assert_eq!(put!(db, |s| s.sweep_sign_ins(at(3), 10)), 0);
    let mut left = Vec::new();
    for n in 1..=3 {
        left.push(get!(db, |s| s.token_set(tenant(1), token_set(1, n).id)).is_some());
    }
    assert_eq!(left, [false, true, true]);
    assert!(put!(db, |s| s.fail_sign_in(tenant(1), sign_in(1, 3).id)));
    assert!(!put!(db, |s| s.fail_sign_in(tenant(1), sign_in(1, 2).id)));
}

async fn ended_access_tokens_go_a_few_at_a_time(db: &Db) {
    for n in 1..=4 {
        put!(db, |s| s.insert_access_token(&access_token(1, n)));
    }
    assert_eq!(put!(db, |s| s.sweep_access_tokens(at(13), 2)), 2);
    assert_eq!(put!(db, |s| s.sweep_access_tokens(at(13), 2)), 1);
    assert_eq!(put!(db, |s| s.sweep_access_tokens(at(13), 2)), 0);
    assert!(get!(db, |s| s.access_token(tenant(1), access_token(1, 4).id)).is_some());
}

/// Which of the first six refresh tokens are there.
async fn refresh_tokens_left(db: &Db) -> Vec<u128> {
    let mut left = Vec::new();
    for n in 1..=6 {
        let found = get!(db, |s| s.refresh_token(tenant(1), refresh_token(1, n).id));
        left.extend(found.map(|_| n));
    }
    left
}

async fn all_refresh_tokens(db: &Db, ended: EndedBefore) {
    let after = RefreshTokenId::from_u128(0);
    let more = put!(db, |s| s.sweep_ended_refresh_tokens(
        tenant(1),
        after,
        ended,
        9
    ));
    assert_eq!(more, None);
}

async fn refresh_tokens_go_by_the_limits_of_their_application(db: &Db) {
    for n in 1..=6 {
        let mut token = refresh_token(1, n);
        // Its family began late; it was rotated away, and used long ago.
        token.family_created_at = if n == 5 { at(20) } else { at(10 + n) };
        token.used_at = (n == 2).then(|| at(2));
        put!(db, |s| s.insert_refresh_token(&token));
    }
    put!(db, |s| s.insert_refresh_token(&refresh_token(2, 1)));
    all_refresh_tokens(db, EndedBefore::default()).await;
    assert_eq!(refresh_tokens_left(db).await, [1, 2, 3, 4, 5, 6]);
    let idle = EndedBefore {
        last_used: Some(at(3)),
        ..EndedBefore::default()
    };
    all_refresh_tokens(db, idle).await;
    assert_eq!(refresh_tokens_left(db).await, [2, 4, 5, 6]);
    let old = EndedBefore {
        first_given: Some(at(16)),
        ..EndedBefore::default()
    };
    all_refresh_tokens(db, old).await;
    assert_eq!(refresh_tokens_left(db).await, [2, 5]);
    let other = get!(db, |s| s.refresh_token(tenant(2), refresh_token(2, 1).id));
    assert!(other.is_some());
}

async fn a_page_of_refresh_tokens_at_a_time_is_looked_at(db: &Db) {
    for n in 1..=5 {
        put!(db, |s| s.insert_refresh_token(&refresh_token(1, n)));
    }
    let ended = EndedBefore {
        first_given: Some(at(1)),
        ..EndedBefore::default()
    };
    let mut after = RefreshTokenId::from_u128(0);
    for (last, left) in [(Some(2), 3..=5), (Some(4), 5..=5)] {
        let found = put!(db, |s| s.sweep_ended_refresh_tokens(
            tenant(1),
            after,
            ended,
            2
        ));
        assert_eq!(found, last.map(|n| refresh_token(1, n).id));
        assert_eq!(refresh_tokens_left(db).await, Vec::from_iter(left));
        after = found.unwrap();
    }
    let found = put!(db, |s| s.sweep_ended_refresh_tokens(
        tenant(1),
        after,
        ended,
        2
    ));
    assert_eq!((found, refresh_tokens_left(db).await), (None, vec![]));
}

async fn keys_go_when_they_have_ended_long_ago(db: &Db) {
    for n in 1..=5 {
        put!(db, |s| s.insert_api_key(&api_key(1, n)));
    }
    for n in [1, 3] {
        let id = api_key(1, n).id;
        assert!(put!(db, |s| s.revoke_api_key(tenant(1), id, at(n * 30))));
    }
    // The first and third were revoked, the second and fourth expired, the fifth lives.
    assert_eq!(put!(db, |s| s.sweep_api_keys(at(30), 9)), []);
    let one = put!(db, |s| s.sweep_api_keys(at(31), 9));
    assert_eq!(one, [(tenant(1), api_key(1, 1).id)]);
    assert_eq!(put!(db, |s| s.sweep_api_keys(at(104), 1)).len(), 1);
    assert_eq!(put!(db, |s| s.sweep_api_keys(at(104), 9)).len(), 1);
    let left = get!(db, |s| s.api_keys(tenant(1)));
    let left: Vec<_> = left.into_iter().map(|key| key.id).collect();
    assert_eq!(left, [api_key(1, 4).id, api_key(1, 5).id]);
}

async fn what_hangs_on_a_credential_deleted_long_ago_goes_with_it(db: &Db) {
    put!(db, |s| s.insert_connector(&google(1)));
    for n in [1, 2] {
        put!(db, |s| s.insert_credential(&credential(1, n)));
    }
    put!(db, |s| s.insert_credential_secret(&secret(1, 1)));
    for n in [1, 2] {
        let consent = tenant_consent(1, n);
        assert!(put!(db, |s| s.note_tenant_consent(&consent)));
    }
    put!(db, |s| s.insert_grant(&grant(1, 1)));
    put!(db, |s| s.insert_token_set(&token_set(1, 1)));
    let mut other = grant(1, 2);
    other.credential_id = Some(credential(1, 2).id);
    let stored = other.clone();
    put!(db, |s| s.insert_grant(&stored));
    put!(db, |s| s.delete_credential(
        tenant(1),
        credential(1, 1).id,
        at(10)
    ));
    assert_eq!(put!(db, |s| s.sweep_deleted(at(10), 10)).rows, 0);
    let swept = put!(db, |s| s.sweep_deleted(at(11), 10));
    assert_eq!(swept.rows, 2);
    assert_eq!(swept.grants, [(tenant(1), grant(1, 1).id)]);
    assert_eq!(put!(db, |s| s.sweep_deleted(at(11), 10)).rows, 0);
    assert_eq!(
        get!(db, |s| s.credential_any(tenant(1), credential(1, 1).id)),
        None
    );
    assert_eq!(get!(db, |s| s.grant(tenant(1), grant(1, 1).id)), None);
    assert_eq!(
        get!(db, |s| s.token_set(tenant(1), token_set(1, 1).id)),
        None
    );
    let secret = get!(db, |s| s.current_credential_secret(
        tenant(1),
        credential(1, 1).id,
        at(99)
    ));
    assert_eq!(secret, None);
    // That of the credential that is there is known still.
    for (n, is_new) in [(1, true), (2, false)] {
        let consent = tenant_consent(1, n);
        assert_eq!(put!(db, |s| s.note_tenant_consent(&consent)), is_new);
    }
    assert_eq!(
        get!(db, |s| s.grant(tenant(1), grant(1, 2).id)),
        Some(other)
    );
}

async fn a_deleted_connector_goes_after_everything_of_it(db: &Db) {
    put!(db, |s| s.insert_connector(&google(1)));
    put!(db, |s| s.insert_redirect_uri(&redirect_uri(1, 1)));
    put!(db, |s| s.delete_redirect_uri(
        tenant(1),
        redirect_uri(1, 1).id,
        at(1)
    ));
    for n in 1..=3 {
        let mut grant = grant(1, n);
        grant.credential_id = None;
        put!(db, |s| s.insert_grant(&grant));
    }
    put!(db, |s| s.insert_credential(&credential(1, 1)));
    put!(db, |s| s.delete_credentials_of(
        tenant(1),
        google(1).id,
        at(1)
    ));
    put!(db, |s| s.delete_connector(tenant(1), google(1).id, at(1)));
    // Two grants, the credential, the redirect URI; then the last grant and the connector.
    assert_eq!(put!(db, |s| s.sweep_deleted(at(2), 2)).rows, 4);
    assert_eq!(put!(db, |s| s.sweep_deleted(at(2), 2)).rows, 2);
    assert_eq!(put!(db, |s| s.sweep_deleted(at(2), 2)).rows, 0);
}

async fn a_deleted_credential_stays_while_a_live_one_borrows_from_it(db: &Db) {
    put!(db, |s| s.insert_connector(&google(1)));
    put!(db, |s| s.insert_credential(&credential(1, 1)));
    let mut borrower = credential(1, 2);
    borrower.borrows_from = Some(credential(1, 1).id);
    put!(db, |s| s.insert_credential(&borrower));
    put!(db, |s| s.delete_credential(
        tenant(1),
        credential(1, 1).id,
        at(1)
    ));
    assert_eq!(put!(db, |s| s.sweep_deleted(at(2), 9)).rows, 0);
    put!(db, |s| s.delete_credential(
        tenant(1),
        credential(1, 2).id,
        at(1)
    ));
    let mut swept = 0;
    for _ in 0..2 {
        swept += put!(db, |s| s.sweep_deleted(at(2), 9)).rows;
    }
    assert_eq!(swept, 2);
}
