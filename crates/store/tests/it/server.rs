//! Leases and notes of the server as a whole.

use crate::{Db, get, on_both, put};

on_both! {
    a_lease_is_one_owners_until_it_ends_or_is_given_back,
    of_two_that_take_a_free_lease_at_once_one_gets_it,
    a_note_says_what_was_written_last,
}

async fn take(db: &Db, name: &'static str, owner: &'static str) -> bool {
    put!(db, |s| s.take_lease(name, owner, 60_000))
}

async fn a_lease_is_one_owners_until_it_ends_or_is_given_back(db: &Db) {
    assert!(take(db, "work", "a").await);
    assert!(!take(db, "work", "b").await);
    assert!(take(db, "work", "a").await, "its owner keeps it");
    assert!(
        take(db, "other", "b").await,
        "each name is a lease of its own"
    );

    assert!(!put!(db, |s| s.give_lease_back("work", "b")));
    assert!(put!(db, |s| s.give_lease_back("work", "a")));
    assert!(take(db, "work", "b").await);

    // One that has ended by the shared clock is free.
    assert!(put!(db, |s| s.take_lease("past", "a", -1)));
    assert!(take(db, "past", "b").await);
    assert!(!take(db, "past", "a").await);
}

async fn of_two_that_take_a_free_lease_at_once_one_gets_it(db: &Db) {
    let (one, two) = (take(db, "work", "a"), take(db, "work", "b"));
    let (one, two) = tokio::join!(one, two);
    assert!(one != two, "{one} {two}");
}

async fn a_note_says_what_was_written_last(db: &Db) {
    assert_eq!(get!(db, |s| s.server_note("import")), None);
    put!(db, |s| s.put_server_note("import", "1"));
    put!(db, |s| s.put_server_note("import", "2"));
    assert_eq!(get!(db, |s| s.server_note("import")).as_deref(), Some("2"));
    assert!(put!(db, |s| s.delete_server_note("import")));
    assert_eq!(get!(db, |s| s.server_note("import")), None);
}
