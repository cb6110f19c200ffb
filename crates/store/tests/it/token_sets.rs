//! Token sets and refresh states.

use crate::fixtures::*;
use crate::{Db, get, on_both, put, try_put};
use keyway_core::token_set::{RefreshState, TokenSetState, Unheard};
use keyway_store::{Constraint, StoreError};

on_both! {
    a_token_set_is_read_by_id_and_as_its_grants_current_one,
    a_token_set_is_updated_only_from_the_expected_version,
    rule_01_a_grant_has_at_most_one_current_token_set,
    rule_13_live_consents_are_counted_over_all_applications,
    rule_05_a_refresh_state_is_made_once_and_fenced_by_its_version,
    rule_05_two_takers_of_one_lease_at_the_same_moment_one_wins,
    the_databases_clock_is_told,
}

async fn a_token_set_is_read_by_id_and_as_its_grants_current_one(db: &Db) {
    let mut pending = token_set(1, 2);
    pending.state = TokenSetState::Pending;
    pending.grant_id = None;
    pending.sign_in_id = None;
    pending.access_expires_at = None;
    pending.consent_key = None;
    pending.has_refresh_token = false;
    let stored = pending.clone();
    put!(db, |s| s.insert_token_set(&token_set(1, 1)));
    put!(db, |s| s.insert_token_set(&stored));
    assert_eq!(
        get!(db, |s| s.token_set(tenant(1), token_set(1, 1).id)),
        Some(token_set(1, 1))
    );
    assert_eq!(
        get!(db, |s| s.token_set(tenant(1), token_set(1, 2).id)),
        Some(pending)
    );
    let current = get!(db, |s| s.current_token_set(tenant(1), grant(1, 1).id));
    assert_eq!(current, Some(token_set(1, 1)));
    assert_eq!(
        get!(db, |s| s.current_token_set(tenant(1), grant(1, 2).id)),
        None
    );
}

async fn a_token_set_is_updated_only_from_the_expected_version(db: &Db) {
    put!(db, |s| s.insert_token_set(&token_set(1, 1)));
    let mut changed = token_set(1, 1);
    changed.grant_id = None;
    changed.state = TokenSetState::Previous;
    changed.sealed = sealed(1, 77);
    changed.has_refresh_token = false;
    changed.scope = scopes("z");
    changed.access_expires_at = None;
    changed.consent_key = None;
    changed.updated_at = at(33);
    let written = changed.clone();
    assert!(put!(db, |s| s.update_token_set(&written, 1)));
    let again = changed.clone();
    assert!(!put!(db, |s| s.update_token_set(&again, 1)));
    changed.version = 2;
    assert_eq!(
        get!(db, |s| s.token_set(tenant(1), token_set(1, 1).id)),
        Some(changed)
    );
    assert!(put!(db, |s| s.delete_token_set(tenant(1), token_set(1, 1).id)));
    assert!(!put!(db, |s| s.delete_token_set(tenant(1), token_set(1, 1).id)));
}

async fn rule_01_a_grant_has_at_most_one_current_token_set(db: &Db) {
    put!(db, |s| s.insert_token_set(&token_set(1, 1)));
    let mut second = token_set(1, 2);
    second.grant_id = token_set(1, 1).grant_id;
    let next = second.clone();
    let refused = try_put!(db, |s| s.insert_token_set(&second));
    assert_eq!(
        refused,
        Err(StoreError::Conflict(Constraint::CurrentTokenSet))
    );
    let mut first = token_set(1, 1);
    first.state = TokenSetState::Previous;
    put!(db, |s| s.update_token_set(&first, 1));
    put!(db, |s| s.insert_token_set(&next));
}

async fn rule_13_live_consents_are_counted_over_all_applications(db: &Db) {
    for (n, state) in [
        (1, TokenSetState::Current),
        (2, TokenSetState::Pending),
        (3, TokenSetState::Previous),
        (4, TokenSetState::Revoking),
    ] {
        for t in [1, 2] {
            let mut set = token_set(t, n);
            set.state = state;
            put!(db, |s| s.insert_token_set(&set));
        }
    }
    let key = "google|project:p|sub-1";
    assert_eq!(
        get!(db, |s| s.live_consents(key, token_set(1, 1).id, at(0))),
        3
    );
    assert_eq!(
        get!(db, |s| s.live_consents(key, token_set(1, 3).id, at(0))),
        4
    );
    assert_eq!(
        get!(db, |s| s.live_consents(
            "google|project:q|sub-1",
            token_set(1, 3).id,
            at(0)
        )),
        0
    );
    // A pending set counts only while its code can be exchanged.
    assert_eq!(
        get!(db, |s| s.live_consents(key, token_set(1, 1).id, at(9_999))),
        1
    );
    let revoking = get!(db, |s| s.revoking_token_sets(10));
    let ids: Vec<_> = revoking.iter().map(|set| set.id).collect();
    assert_eq!(ids, [token_set(1, 4).id, token_set(2, 4).id]);
    assert_eq!(get!(db, |s| s.revoking_token_sets(1)).len(), 1);
}

async fn rule_05_a_refresh_state_is_made_once_and_fenced_by_its_version(db: &Db) {
    let id = grant(1, 1).id;
    assert_eq!(get!(db, |s| s.refresh_state(tenant(1), id)), None);
    let mut state = RefreshState {
        lease_owner: Some("replica-1".into()),
        lease_until: Some(at(30)),
        due_at: Some(at(40)),
        failures: 2,
        last_error: Some("invalid_grant".into()),
        unheard: Some(Unheard::Interrupted),
        version: 0,
    };
    let first = state.clone();
    assert!(put!(db, |s| s.upsert_refresh_state(
        tenant(1),
        id,
        &first,
        None
    )));
    let second = state.clone();
    assert!(!put!(db, |s| s.upsert_refresh_state(
        tenant(1),
        id,
        &second,
        None
    )));
    state.version = 1;
    assert_eq!(get!(db, |s| s.refresh_state(tenant(1), id)), Some(state));
    let freed = RefreshState::default();
    assert!(put!(db, |s| s.upsert_refresh_state(
        tenant(1),
        id,
        &freed,
        Some(1)
    )));
    let late = RefreshState {
        failures: 9,
        ..RefreshState::default()
    };
    assert!(!put!(db, |s| s.upsert_refresh_state(
        tenant(1),
        id,
        &late,
        Some(1)
    )));
    let stored = get!(db, |s| s.refresh_state(tenant(1), id)).unwrap();
    assert_eq!(
        stored,
        RefreshState {
            version: 2,
            ..RefreshState::default()
        }
    );
}

async fn rule_05_two_takers_of_one_lease_at_the_same_moment_one_wins(db: &Db) {
    let id = grant(1, 1).id;
    let takers = (0..16).map(|n| async move {
        let state = RefreshState {
            lease_owner: Some(format!("{n}")),
            ..RefreshState::default()
        };
        put!(db, |s| s.upsert_refresh_state(tenant(1), id, &state, None))
    });
    let won = futures_util::future::join_all(takers).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
}

async fn the_databases_clock_is_told(db: &Db) {
    let now = get!(db, |s| s.db_now());
    match db.store.backend() {
        keyway_store::Backend::Sqlite => assert_eq!(now.0, 1_000_000),
        // Any time after this was written.
        keyway_store::Backend::Postgres => assert!(now.0 > 1_600_000_000_000),
    }
}
