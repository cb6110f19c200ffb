//! The server's own keys.

use crate::fixtures::*;
use crate::{Db, get, on_both, put, try_put};
use keyway_core::issued::{KeyRow, SigningKeyRow};
use keyway_store::{Constraint, StoreError};

fn signing_key(n: u128) -> SigningKeyRow {
    SigningKeyRow {
        kid: format!("kid-{n}"),
        sealed: sealed(1, n),
        public_jwk: "{\"kty\":\"RSA\"}".into(),
        created_at: at(n),
    }
}

fn key(purpose: &str, term: i64) -> KeyRow {
    KeyRow {
        term,
        purpose: purpose.into(),
        wrapped: vec![0, 1, 255],
        state: "active".into(),
        master_fingerprint: "f".into(),
        created_at: at(1),
        state_since: at(2),
    }
}

on_both! {
    signing_keys_are_read_newest_first_and_removed,
    a_term_is_unique_for_its_purpose,
    a_database_is_empty_until_it_has_a_key_or_an_application,
    an_application_alone_makes_a_database_not_empty,
}

async fn signing_keys_are_read_newest_first_and_removed(db: &Db) {
    for n in [1, 3, 2] {
        put!(db, |s| s.insert_signing_key(&signing_key(n)));
    }
    let newest_first = [signing_key(3), signing_key(2), signing_key(1)];
    assert_eq!(get!(db, |s| s.signing_keys()), newest_first);
    assert!(put!(db, |s| s.delete_signing_key("kid-2")));
    assert!(!put!(db, |s| s.delete_signing_key("kid-2")));
    assert_eq!(
        get!(db, |s| s.signing_keys()),
        [signing_key(3), signing_key(1)]
    );
}

async fn a_term_is_unique_for_its_purpose(db: &Db) {
    for (purpose, term) in [("seal", 2), ("seal", 1), ("digest", 1)] {
        put!(db, |s| s.insert_key(&key(purpose, term)));
    }
    let keys = [key("digest", 1), key("seal", 1), key("seal", 2)];
    assert_eq!(get!(db, |s| s.keys()), keys);
    let again = try_put!(db, |s| s.insert_key(&key("seal", 2)));
    assert_eq!(again, Err(StoreError::Conflict(Constraint::Other)));
}

async fn a_database_is_empty_until_it_has_a_key_or_an_application(db: &Db) {
    assert!(get!(db, |s| s.is_empty_database()));
    put!(db, |s| s.insert_key(&key("seal", 1)));
    assert!(!get!(db, |s| s.is_empty_database()));
}

async fn an_application_alone_makes_a_database_not_empty(db: &Db) {
    put!(db, |s| s.insert_application(&application(1)));
    assert!(!get!(db, |s| s.is_empty_database()));
}
