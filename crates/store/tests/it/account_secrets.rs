//! Passwords of grants.

use crate::fixtures::*;
use crate::{Db, get, on_both, put};
use keyway_core::token_set::RefreshState;
use keyway_store::{DueLogin, StoreError};

on_both! {
    a_grant_has_one_row_of_passwords_which_goes_with_it,
    logins_are_due_where_there_is_a_password_and_nobody_is_at_it,
}

async fn a_grant_has_one_row_of_passwords_which_goes_with_it(db: &Db) {
    let (app, one) = (tenant(1), account_secret(1, 1));
    put!(db, |s| s.insert_grant(&grant(1, 1)));
    let (id, new) = (one.grant_id, one.clone());
    put!(db, |s| s.insert_account_secret(&new));
    assert_eq!(get!(db, |s| s.account_secret(app, id)), Some(one.clone()));
    let second = keyway_core::account_secret::AccountSecret {
        id: account_secret(1, 2).id,
        ..one
    };
    let again = db.store.write::<_, StoreError, _>(move |s| {
        Box::pin(async move { s.insert_account_secret(&second).await })
    });
    assert!(matches!(again.await, Err(StoreError::Conflict(_))));
    assert!(put!(db, |s| s.delete_grant(app, id)));
    assert_eq!(get!(db, |s| s.account_secret(app, id)), None);
}

async fn logins_are_due_where_there_is_a_password_and_nobody_is_at_it(db: &Db) {
    let app = tenant(1);
    for n in 1..=4 {
        put!(db, |s| s.insert_grant(&grant(1, n)));
        put!(db, |s| s.insert_account_secret(&account_secret(1, n)));
    }
    let state = |due: u128, lease_until: Option<u128>| RefreshState {
        due_at: Some(at(due)),
        lease_until: lease_until.map(at),
        ..RefreshState::default()
    };
    for (n, state) in [
        (1, state(9, None)),
        (2, state(8, Some(9))),
        // Somebody is at it, and: not yet.
        (3, state(7, Some(20))),
        (4, state(11, None)),
        // Tokens, and no password.
        (5, state(6, None)),
    ] {
        let id = grant(1, n).id;
        put!(db, |s| s.upsert_refresh_state(app, id, &state, None));
    }
    let due = get!(db, |s| s.due_logins(at(10), 9));
    let expected = [2, 1].map(|n| DueLogin {
        application_id: app,
        grant_id: grant(1, n).id,
        settings: grant(1, n).settings,
    });
    assert_eq!(due, expected);
    assert_eq!(get!(db, |s| s.due_logins(at(10), 1)).len(), 1);
}
