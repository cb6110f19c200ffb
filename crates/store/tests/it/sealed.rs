//! Finding and replacing sealed values, whatever their table.

use crate::fixtures::*;
use crate::{Db, get, on_both, put};
use keyway_core::issued::SigningKeyRow;
use keyway_core::sealed::Sealed;
use keyway_store::{SealedColumn, SealedRow};

on_both! {
    values_under_another_prefix_are_found_in_order_and_counted,
    a_value_is_replaced_only_while_it_is_what_was_read,
    the_servers_own_keys_are_found_like_tenants_values,
}

const COLUMN: SealedColumn = SealedColumn::CredentialSecrets;

fn under(term: u8, rest: u8) -> Sealed {
    Sealed(vec![1, 0, 0, 0, term, rest])
}

async fn store_secrets(db: &Db) {
    for (n, term) in [(1, 1), (2, 2), (3, 1)] {
        let slot = keyway_core::credential::CredentialSecret {
            sealed: under(term, 9),
            ..secret(1, n)
        };
        put!(db, |s| s.insert_credential_secret(&slot));
    }
}

async fn others(db: &Db, after: &SealedRow, limit: i64) -> Vec<(SealedRow, Sealed)> {
    let (after, prefix) = (after.clone(), vec![1, 0, 0, 0, 2]);
    let found = db.store.read(move |s| {
        Box::pin(async move { s.sealed_otherwise(COLUMN, &after, &prefix, limit).await })
    });
    found.await.unwrap()
}

async fn values_under_another_prefix_are_found_in_order_and_counted(db: &Db) {
    store_secrets(db).await;
    let all = others(db, &SealedRow::default(), 10).await;
    assert_eq!(all.len(), 2);
    assert!(all[0].0 < all[1].0);
    let first = others(db, &SealedRow::default(), 1).await;
    assert_eq!(first, all[..1]);
    assert_eq!(others(db, &first[0].0, 10).await, all[1..]);
    assert_eq!(others(db, &all[1].0, 10).await, []);
    let mut counts = get!(db, |s| s.count_sealed(COLUMN));
    counts.sort();
    assert_eq!(counts, [(vec![1, 0, 0, 0, 1], 2), (vec![1, 0, 0, 0, 2], 1)]);
}

async fn a_value_is_replaced_only_while_it_is_what_was_read(db: &Db) {
    store_secrets(db).await;
    let (row, old) = others(db, &SealedRow::default(), 1).await.remove(0);
    let replace = async |old: Sealed, new: Sealed| {
        let row = row.clone();
        let wrote = db.store.write::<_, keyway_store::StoreError, _>(move |s| {
            Box::pin(async move { s.replace_sealed(COLUMN, &row, &old, &new).await })
        });
        wrote.await.unwrap()
    };
    assert!(!replace(under(1, 0), under(2, 2)).await);
    assert!(replace(old.clone(), under(2, 1)).await);
    assert!(!replace(old, under(2, 2)).await);
    assert_eq!(others(db, &SealedRow::default(), 10).await.len(), 1);
}

async fn the_servers_own_keys_are_found_like_tenants_values(db: &Db) {
    let key = SigningKeyRow {
        kid: "k".into(),
        sealed: under(1, 1),
        public_jwk: "{}".into(),
        created_at: at(1),
    };
    put!(db, |s| s.insert_signing_key(&key));
    let column = SealedColumn::SigningKeys;
    let found = get!(db, |s| s.sealed_otherwise(
        column,
        &SealedRow::default(),
        &vec![1, 0, 0, 0, 2],
        10
    ));
    let row = SealedRow {
        application_id: String::new(),
        id: "k".into(),
    };
    assert_eq!(found, [(row.clone(), under(1, 1))]);
    assert!(put!(db, |s| s.replace_sealed(
        column,
        &row,
        &under(1, 1),
        &under(2, 1)
    )));
    assert_eq!(get!(db, |s| s.signing_keys())[0].sealed, under(2, 1));
    let counts = get!(db, |s| s.count_sealed(column));
    assert_eq!(counts, [(vec![1, 0, 0, 0, 2], 1)]);
}
