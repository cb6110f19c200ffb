//! Carrying rows from one database to another.

use crate::fixtures::*;
use crate::{Db, get, on_both, put};
use keyway_store::{Cell, CellKind, Store, portable_tables};
use std::collections::BTreeSet;

on_both! {
    every_column_of_every_table_is_carried,
    rows_are_read_in_pages_and_arrive_as_they_were,
    the_sequence_of_changes_goes_on_after_the_last_entry_that_was_carried,
}

/// What belongs to the one database.
const STAYS: [&str; 3] = ["schema_migrations", "server_leases", "server_notes"];

async fn every_column_of_every_table_is_carried(db: &Db) {
    let kind = |text: &str| match text.to_ascii_uppercase().as_str() {
        "TEXT" => CellKind::Text,
        "BYTEA" => CellKind::Bytes,
        _ => CellKind::Int,
    };
    let columns = db.database.columns().await;
    let there: BTreeSet<(String, String, String)> = columns
        .into_iter()
        .filter(|(table, ..)| !STAYS.contains(&table.as_str()) && !table.starts_with("sqlite_"))
        .map(|(table, column, text, _)| (table, column, format!("{:?}", kind(&text))))
        .collect();
    let carried = portable_tables().iter().flat_map(|table| {
        let columns = table.columns.iter();
        columns.map(|c| {
            (
                table.name.to_owned(),
                c.name.to_owned(),
                format!("{:?}", c.kind),
            )
        })
    });
    assert_eq!(carried.collect::<BTreeSet<_>>(), there);
}

async fn fill(db: &Db) {
    put!(db, |s| s.insert_application(&application(1)));
    for n in 1..=5 {
        put!(db, |s| s.insert_api_key(&api_key(1, n)));
        put!(db, |s| s.insert_token_set(&token_set(1, n)));
        put!(db, |s| s.insert_account_secret(&account_secret(1, n)));
        put!(db, |s| s.insert_sign_in(&sign_in(1, n)));
        put!(db, |s| s.append_change(&change(1, n)));
    }
}

async fn all_rows(store: &Store, page: i64) -> Vec<(&'static str, Vec<Cell>)> {
    let mut all = Vec::new();
    for table in portable_tables() {
        let mut last: Option<Vec<Cell>> = None;
        loop {
            let after = last.clone();
            let job = store.read(move |s| {
                Box::pin(async move { s.portable_rows(table, after.as_ref(), page).await })
            });
            let rows = job.await.unwrap();
            let Some(row) = rows.last() else { break };
            last = Some(row.clone());
            all.extend(rows.into_iter().map(|row| (table.name, row)));
        }
        let counted = store.read(move |s| Box::pin(async move { s.count_portable(table).await }));
        let rows = all.iter().filter(|(name, _)| *name == table.name).count();
        assert_eq!(counted.await.unwrap(), i64::try_from(rows).unwrap());
    }
    all
}

/// Carries everything into a SQLite file and from there back into a database of the kind under test.
async fn rows_are_read_in_pages_and_arrive_as_they_were(db: &Db) {
    fill(db).await;
    let before = all_rows(&db.store, 2).await;
    assert_eq!(before.len(), 26);
    assert_eq!(all_rows(&db.store, 100).await, before);
    let file = keyway_store::testing::TestDatabase::sqlite();
    let other = file.open(db.clock.clone()).await.unwrap();
    other.migrate().await.unwrap();
    carry(&before, &other).await;
    assert_eq!(all_rows(&other, 3).await, before);
    other.close().await;
}

async fn carry(rows: &[(&'static str, Vec<Cell>)], to: &Store) {
    for (name, row) in rows.iter().cloned() {
        let table = portable_tables().iter().find(|t| t.name == name).unwrap();
        let stored = to.write::<_, keyway_store::StoreError, _>(move |s| {
            Box::pin(async move { s.insert_portable(table, &row).await })
        });
        stored.await.unwrap();
    }
}

async fn the_sequence_of_changes_goes_on_after_the_last_entry_that_was_carried(db: &Db) {
    let entry = |seq| {
        let text = |text: &str| Cell::Text(text.to_owned());
        let id = tenant(1).to_string();
        let row = vec![
            Cell::Int(seq),
            Cell::Int(1),
            text(&id),
            text("grant"),
            text("x"),
        ];
        let rest = [text("created"), text("cli"), text("{}")];
        ("changes", row.into_iter().chain(rest).collect::<Vec<_>>())
    };
    carry(&[entry(7), entry(9)], &db.store).await;
    put!(db, |s| s.go_on_counting());
    assert_eq!(put!(db, |s| s.append_change(&change(1, 1))), 10);
    assert_eq!(get!(db, |s| s.latest_seq()), 10);
}
