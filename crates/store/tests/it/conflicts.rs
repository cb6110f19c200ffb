//! What must be unique, told by the same names on both databases.

use crate::fixtures::*;
use crate::{Db, get, on_both, put, try_put};
use keyway_core::ids::*;
use keyway_core::provider::Provider;
use keyway_store::{Constraint, StoreError};

fn refused(result: Result<(), StoreError>) -> Constraint {
    match result {
        Err(StoreError::Conflict(constraint)) => constraint,
        other => panic!("{other:?}"),
    }
}

on_both! {
    every_taken_value_names_its_constraint,
    a_grants_address_identity_and_external_id_are_unique_in_its_application,
    names_of_deleted_credentials_are_free,
    rule_07_an_error_shows_no_value,
    a_text_with_a_nul_character_is_refused_on_both,
    an_unreadable_value_is_told_by_table_column_and_row,
}

async fn every_taken_value_names_its_constraint(db: &Db) {
    put!(db, |s| s.insert_api_key(&api_key(1, 1)));
    let mut key = api_key(2, 2);
    key.digest = api_key(1, 1).digest;
    let got = refused(try_put!(db, |s| s.insert_api_key(&key)));
    assert_eq!(got, Constraint::ApplicationKeyDigest);

    put!(db, |s| s.insert_redirect_uri(&redirect_uri(1, 1)));
    let mut uri = redirect_uri(1, 2);
    uri.url = redirect_uri(1, 1).url;
    let got = refused(try_put!(db, |s| s.insert_redirect_uri(&uri)));
    assert_eq!(got, Constraint::RedirectUri);

    put!(db, |s| s.insert_connector(&google(1)));
    let mut connector = google(1);
    connector.id = ConnectorId::from_u128(5);
    let got = refused(try_put!(db, |s| s.insert_connector(&connector)));
    assert_eq!(got, Constraint::Connector);

    put!(db, |s| s.insert_credential(&credential(1, 1)));
    let mut other = credential(1, 2);
    other.name = credential(1, 1).name;
    let got = refused(try_put!(db, |s| s.insert_credential(&other)));
    assert_eq!(got, Constraint::CredentialName);

    put!(db, |s| s.insert_application(&application(1)));
    let got = refused(try_put!(db, |s| s.insert_application(&application(1))));
    assert_eq!(got, Constraint::Other);
}

async fn a_grants_address_identity_and_external_id_are_unique_in_its_application(db: &Db) {
    put!(db, |s| s.insert_grant(&grant(1, 1)));
    let mut same_address = grant(1, 2);
    same_address.email = "USER1@EXAMPLE.COM".into();
    let got = refused(try_put!(db, |s| s.insert_grant(&same_address)));
    assert_eq!(got, Constraint::GrantEmail);
    let mut same_identity = grant(1, 2);
    same_identity.identity = grant(1, 1).identity;
    let got = refused(try_put!(db, |s| s.insert_grant(&same_identity)));
    assert_eq!(got, Constraint::GrantIdentity);
    let mut same_external = grant(1, 2);
    same_external.external_id = grant(1, 1).external_id;
    let got = refused(try_put!(db, |s| s.insert_grant(&same_external)));
    assert_eq!(got, Constraint::GrantExternalId);
    put!(db, |s| s.insert_grant(&grant(1, 2)));
    let mut renamed = grant(1, 2);
    renamed.external_id = Some("ext-1".into());
    let got = try_put!(db, |s| s.update_grant(&renamed, 1));
    assert_eq!(got, Err(StoreError::Conflict(Constraint::GrantExternalId)));
    // Another provider, another application: free.
    let mut elsewhere = grant(1, 3);
    elsewhere.provider = Provider::Zoom;
    elsewhere.email = grant(1, 1).email;
    elsewhere.identity = grant(1, 1).identity;
    put!(db, |s| s.insert_grant(&elsewhere));
    put!(db, |s| s.insert_grant(&grant(2, 1)));
}

async fn names_of_deleted_credentials_are_free(db: &Db) {
    put!(db, |s| s.insert_credential(&credential(1, 1)));
    put!(db, |s| s.delete_credential(
        tenant(1),
        credential(1, 1).id,
        at(1)
    ));
    let mut again = credential(1, 2);
    again.name = credential(1, 1).name;
    put!(db, |s| s.insert_credential(&again));
    put!(db, |s| s.insert_credential(&credential(1, 3)));
    let mut third = credential(1, 3);
    third.name = credential(1, 1).name;
    let got = try_put!(db, |s| s.update_credential(&third, 1));
    assert_eq!(got, Err(StoreError::Conflict(Constraint::CredentialName)));
}

async fn rule_07_an_error_shows_no_value(db: &Db) {
    put!(db, |s| s.insert_grant(&grant(1, 1)));
    let mut again = grant(1, 2);
    again.external_id = grant(1, 1).external_id;
    let error = try_put!(db, |s| s.insert_grant(&again)).unwrap_err();
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(
            !text.contains("ext-1") && !text.to_lowercase().contains("example"),
            "{text}"
        );
    }
}

async fn a_text_with_a_nul_character_is_refused_on_both(db: &Db) {
    let mut bad = application(1);
    bad.name = "a\0b".into();
    let got = try_put!(db, |s| s.insert_application(&bad));
    assert!(matches!(got, Err(StoreError::Bug(_))), "{got:?}");
    assert_eq!(get!(db, |s| s.application(tenant(1))), None);
}

async fn an_unreadable_value_is_told_by_table_column_and_row(db: &Db) {
    put!(db, |s| s.insert_connector(&google(1)));
    db.database
        .execute("UPDATE connectors SET scope = 'no json'")
        .await;
    let got = db
        .store
        .read(|s| Box::pin(async move { s.connectors(tenant(1), 1, 0).await }))
        .await;
    let corrupt = StoreError::Corrupt {
        table: "connectors",
        column: "scope",
        id: Some(google(1).id.to_string()),
    };
    assert_eq!(got, Err(corrupt));
}
