//! Connectors, credentials, slots of secrets.

use crate::fixtures::*;
use crate::{Db, get, on_both, put};
use keyway_core::connector::Connector;
use keyway_core::credential::{GrantCounts, Health, HealthStatus, Owner, SlotState};
use keyway_core::grant::GrantStatus;
use keyway_core::ids::CredentialId;
use keyway_core::page::{OrderBy, Page, SortBy};
use keyway_core::provider::Provider;

const fn page(sort_by: SortBy, order_by: OrderBy, limit: i64, offset: i64) -> Page {
    Page {
        limit,
        offset,
        sort_by,
        order_by,
    }
}

on_both! {
    a_connector_is_read_by_provider_by_id_and_in_the_list,
    providers_of_connectors_are_told_once_whatever_their_names,
    a_connector_is_updated_only_from_the_expected_version,
    a_deleted_connector_is_gone_from_every_read_and_may_be_made_again,
    a_credential_is_read_by_id_digest_and_name,
    credentials_are_listed_in_every_order,
    an_update_of_a_credential_leaves_its_health_and_a_new_health_its_version,
    a_deleted_credential_is_read_only_when_asked_for_any,
    a_credential_is_borrowed_while_a_live_one_names_it,
    the_grants_of_a_client_are_those_of_its_borrowers_too,
    a_connector_is_held_only_while_it_is_live,
    all_of_a_connectors_credentials_are_deleted_at_once,
    the_newest_slot_whose_time_it_is_holds_the_secret,
    a_slot_ends_at_its_expiry,
    grants_are_counted_by_effective_status,
}

async fn a_connector_is_read_by_provider_by_id_and_in_the_list(db: &Db) {
    for provider in Provider::ALL {
        put!(db, |s| s.insert_connector(&connector(1, provider)));
    }
    let zoom = connector(1, Provider::Zoom);
    let zoom_id = zoom.id;
    assert_eq!(
        get!(db, |s| s.connector(tenant(1), Provider::Zoom)),
        Some(zoom.clone())
    );
    assert_eq!(
        get!(db, |s| s.connector_by_id(tenant(1), zoom_id)),
        Some(zoom)
    );
    let listed = get!(db, |s| s.connectors(tenant(1), 3, 1));
    let expected = [Provider::Ews, Provider::Icloud, Provider::Imap];
    assert_eq!(listed, expected.map(|provider| connector(1, provider)));
}

async fn providers_of_connectors_are_told_once_whatever_their_names(db: &Db) {
    let acme: Provider = "acme-crm".parse().unwrap();
    let own = Connector {
        provider: acme,
        ..connector(2, Provider::Zoom)
    };
    let gone = connector(2, Provider::Yahoo);
    for row in [google(1), google(2), own.clone(), gone.clone()] {
        put!(db, |s| s.insert_connector(&row));
    }
    put!(db, |s| s.delete_connector(tenant(2), gone.id, at(9)));
    assert_eq!(get!(db, |s| s.connector(tenant(2), acme)), Some(own));
    let mut told = get!(db, |s| s.connector_providers());
    told.sort();
    assert_eq!(told, [Provider::Google, acme]);
}

async fn a_connector_is_updated_only_from_the_expected_version(db: &Db) {
    put!(db, |s| s.insert_connector(&google(1)));
    let mut changed = google(1);
    changed.name = "n".into();
    changed.settings = map(serde_json::json!({}));
    changed.scope = scopes("a b");
    changed.active_credential_id = None;
    changed.primary_credential_id = Some(CredentialId::from_u128(4));
    changed.updated_at = at(60);
    let written = changed.clone();
    assert!(put!(db, |s| s.update_connector(&written, 1)));
    let again = changed.clone();
    assert!(!put!(db, |s| s.update_connector(&again, 1)));
    changed.version = 2;
    assert_eq!(
        get!(db, |s| s.connector(tenant(1), Provider::Google)),
        Some(changed)
    );
}

async fn a_deleted_connector_is_gone_from_every_read_and_may_be_made_again(db: &Db) {
    put!(db, |s| s.insert_connector(&google(1)));
    assert!(put!(db, |s| s.delete_connector(
        tenant(1),
        google(1).id,
        at(5)
    )));
    assert!(!put!(db, |s| s.delete_connector(
        tenant(1),
        google(1).id,
        at(5)
    )));
    assert_eq!(get!(db, |s| s.connector(tenant(1), Provider::Google)), None);
    assert_eq!(
        get!(db, |s| s.connector_by_id(tenant(1), google(1).id)),
        None
    );
    assert_eq!(get!(db, |s| s.connectors(tenant(1), 10, 0)), []);
    assert!(!put!(db, |s| s.update_connector(&google(1), 2)));
    let mut again = google(1);
    again.id = keyway_core::ids::ConnectorId::from_u128(77);
    put!(db, |s| s.insert_connector(&again));
}

async fn a_credential_is_read_by_id_digest_and_name(db: &Db) {
    let mut other = credential(1, 2);
    other.borrows_from = Some(credential(1, 1).id);
    other.tenant = Some("contoso".into());
    other.health = Health::default();
    let stored = other.clone();
    put!(db, |s| s.insert_credential(&credential(1, 1)));
    put!(db, |s| s.insert_credential(&stored));
    let connector_id = google(1).id;
    assert_eq!(
        get!(db, |s| s.credential(tenant(1), credential(1, 1).id)),
        Some(credential(1, 1))
    );
    let by_digest = get!(db, |s| s.credential_by_digest(
        tenant(1),
        connector_id,
        &digest(2, 1, 2)
    ));
    assert_eq!(by_digest, Some(other.clone()));
    let by_name = get!(db, |s| s.credential_by_name(
        tenant(1),
        connector_id,
        "credential 2"
    ));
    assert_eq!(by_name, Some(other));
    let unknown = get!(db, |s| s.credential_by_name(
        tenant(1),
        connector_id,
        "Credential 2"
    ));
    assert_eq!(unknown, None);
}

async fn credentials_are_listed_in_every_order(db: &Db) {
    for n in 1..=3 {
        put!(db, |s| s.insert_credential(&credential(1, n)));
    }
    let connector_id = google(1).id;
    for (sort_by, order_by, expected) in [
        (SortBy::CreatedAt, OrderBy::Asc, [1, 2, 3]),
        (SortBy::CreatedAt, OrderBy::Desc, [3, 2, 1]),
        (SortBy::UpdatedAt, OrderBy::Asc, [3, 2, 1]),
        (SortBy::UpdatedAt, OrderBy::Desc, [1, 2, 3]),
    ] {
        let all = page(sort_by, order_by, 10, 0);
        let listed = get!(db, |s| s.credentials(tenant(1), connector_id, all));
        assert_eq!(listed, expected.map(|n| credential(1, n)));
        let part = page(sort_by, order_by, 1, 1);
        let listed = get!(db, |s| s.credentials(tenant(1), connector_id, part));
        assert_eq!(listed, [credential(1, expected[1])]);
    }
}

async fn an_update_of_a_credential_leaves_its_health_and_a_new_health_its_version(db: &Db) {
    put!(db, |s| s.insert_credential(&credential(1, 1)));
    let mut changed = credential(1, 1);
    changed.name = "renamed".into();
    changed.owner = Owner::Application;
    changed.client_id = None;
    changed.provider_project = None;
    changed.tenant = Some("t".into());
    changed.borrows_from = Some(credential(1, 9).id);
    changed.labels = map(serde_json::json!({}));
    changed.data_digest = digest(2, 1, 9);
    changed.updated_at = at(70);
    let mut written = changed.clone();
    written.health = Health::default();
    assert!(put!(db, |s| s.update_credential(&written, 1)));
    assert!(!put!(db, |s| s.update_credential(&credential(1, 1), 1)));
    changed.version = 2;
    let read = get!(db, |s| s.credential(tenant(1), credential(1, 1).id));
    assert_eq!(read, Some(changed.clone()));

    let health = Health {
        status: HealthStatus::Healthy,
        since: Some(at(80)),
        ..Health::default()
    };
    changed.health = health.clone();
    assert!(put!(db, |s| s.set_credential_health(
        tenant(1),
        credential(1, 1).id,
        &health
    )));
    assert_eq!(
        get!(db, |s| s.credential(tenant(1), credential(1, 1).id)),
        Some(changed)
    );
}

async fn a_deleted_credential_is_read_only_when_asked_for_any(db: &Db) {
    put!(db, |s| s.insert_credential(&credential(1, 1)));
    let (id, connector_id) = (credential(1, 1).id, google(1).id);
    assert!(put!(db, |s| s.delete_credential(tenant(1), id, at(90))));
    assert!(!put!(db, |s| s.delete_credential(tenant(1), id, at(91))));
    assert_eq!(get!(db, |s| s.credential(tenant(1), id)), None);
    let list = get!(db, |s| s.credentials(
        tenant(1),
        connector_id,
        Page::default()
    ));
    assert_eq!(list, []);
    let by_digest = get!(db, |s| s.credential_by_digest(
        tenant(1),
        connector_id,
        &digest(2, 1, 1)
    ));
    assert_eq!(by_digest, None);
    let by_name = get!(db, |s| s.credential_by_name(
        tenant(1),
        connector_id,
        "credential 1"
    ));
    assert_eq!(by_name, None);
    let any = get!(db, |s| s.credential_any(tenant(1), id)).unwrap();
    assert_eq!(any.deleted_at, Some(at(90)));
    assert!(!put!(db, |s| s.update_credential(&credential(1, 1), 2)));
    assert!(!put!(db, |s| s.set_credential_health(
        tenant(1),
        id,
        &Health::default()
    )));
}

async fn a_credential_is_borrowed_while_a_live_one_names_it(db: &Db) {
    let lender = credential(1, 1).id;
    let mut borrower = credential(1, 2);
    borrower.borrows_from = Some(lender);
    let (stored, borrower_id) = (borrower.clone(), borrower.id);
    put!(db, |s| s.insert_credential(&credential(1, 1)));
    put!(db, |s| s.insert_credential(&credential(1, 3)));
    let of = async |t: u128, id| get!(db, |s| s.credential_borrower(tenant(t), id));
    let all =
        async |t: u128, id, after| get!(db, |s| s.credential_borrowers(tenant(t), id, after, 9));
    let first = CredentialId::from_u128(0);
    assert_eq!(of(1, lender).await, None);
    assert_eq!(all(1, lender, first).await, []);
    put!(db, |s| s.insert_credential(&stored));
    assert_eq!(all(1, lender, first).await, [borrower.clone()]);
    assert_eq!(all(1, lender, borrower_id).await, []);
    assert_eq!(all(2, lender, first).await, []);
    assert_eq!(of(1, lender).await, Some(borrower));
    assert_eq!(of(2, lender).await, None);
    assert_eq!(of(1, borrower_id).await, None);
    put!(db, |s| s.delete_credential(tenant(1), borrower_id, at(9)));
    assert_eq!(of(1, lender).await, None);
    assert_eq!(all(1, lender, first).await, []);
}

async fn the_grants_of_a_client_are_those_of_its_borrowers_too(db: &Db) {
    let (lender, mut borrower) = (credential(1, 1).id, credential(1, 2));
    borrower.borrows_from = Some(lender);
    let borrower_id = borrower.id;
    put!(db, |s| s.insert_connector(&google(1)));
    put!(db, |s| s.insert_credential(&credential(1, 1)));
    put!(db, |s| s.insert_credential(&borrower));
    put!(db, |s| s.insert_credential(&credential(1, 3)));
    for (n, by) in [
        (1, lender),
        (2, borrower_id),
        (3, borrower_id),
        (4, credential(1, 3).id),
    ] {
        let mut grant = grant(1, n);
        grant.credential_id = Some(by);
        put!(db, |s| s.insert_grant(&grant));
    }
    let count = async |t: u128, id| get!(db, |s| s.grants_by_client(tenant(t), id));
    assert_eq!(count(1, lender).await, 3);
    assert_eq!(count(1, borrower_id).await, 2);
    assert_eq!(count(2, lender).await, 0);
    put!(db, |s| s.delete_credential(tenant(1), borrower_id, at(9)));
    assert_eq!(count(1, lender).await, 1);
}

async fn a_connector_is_held_only_while_it_is_live(db: &Db) {
    let id = google(1).id;
    assert!(!put!(db, |s| s.hold_connector(tenant(1), id)));
    put!(db, |s| s.insert_connector(&google(1)));
    assert!(put!(db, |s| s.hold_connector(tenant(1), id)));
    assert!(!put!(db, |s| s.hold_connector(tenant(2), id)));
    put!(db, |s| s.delete_connector(tenant(1), id, at(5)));
    assert!(!put!(db, |s| s.hold_connector(tenant(1), id)));
}

async fn all_of_a_connectors_credentials_are_deleted_at_once(db: &Db) {
    for n in 1..=3 {
        put!(db, |s| s.insert_credential(&credential(1, n)));
    }
    put!(db, |s| s.delete_credential(
        tenant(1),
        credential(1, 1).id,
        at(1)
    ));
    let count = put!(db, |s| s.delete_credentials_of(
        tenant(1),
        google(1).id,
        at(2)
    ));
    assert_eq!(count, 2);
    let first = get!(db, |s| s.credential_any(tenant(1), credential(1, 1).id)).unwrap();
    assert_eq!(first.deleted_at, Some(at(1)));
}

async fn the_newest_slot_whose_time_it_is_holds_the_secret(db: &Db) {
    let mut ending = secret(1, 1);
    ending.expires_at = Some(at(20));
    let stored = ending.clone();
    put!(db, |s| s.insert_credential_secret(&stored));
    put!(db, |s| s.insert_credential_secret(&secret(1, 10)));
    let mut retired = secret(1, 11);
    retired.state = SlotState::Retired;
    put!(db, |s| s.insert_credential_secret(&retired));
    let id = credential(1, 1).id;
    assert_eq!(
        get!(db, |s| s.current_credential_secret(tenant(1), id, at(0))),
        None
    );
    assert_eq!(
        get!(db, |s| s.current_credential_secret(tenant(1), id, at(1))),
        Some(ending.clone())
    );
    assert_eq!(
        get!(db, |s| s.current_credential_secret(tenant(1), id, at(30))),
        Some(secret(1, 10))
    );
    assert_eq!(put!(db, |s| s.retire_credential_secrets(tenant(1), id)), 2);
    assert_eq!(put!(db, |s| s.retire_credential_secrets(tenant(1), id)), 0);
    assert_eq!(
        get!(db, |s| s.current_credential_secret(tenant(1), id, at(30))),
        None
    );
}

async fn a_slot_ends_at_its_expiry(db: &Db) {
    let mut ending = secret(1, 1);
    ending.expires_at = Some(at(20));
    put!(db, |s| s.insert_credential_secret(&ending));
    let id = credential(1, 1).id;
    assert!(get!(db, |s| s.current_credential_secret(tenant(1), id, at(19))).is_some());
    assert!(get!(db, |s| s.current_credential_secret(tenant(1), id, at(20))).is_none());
}

async fn grants_are_counted_by_effective_status(db: &Db) {
    put!(db, |s| s.insert_connector(&google(1)));
    put!(db, |s| s.insert_credential(&credential(1, 1)));
    for n in 1..=3 {
        let mut grant = grant(1, n);
        if n == 3 {
            grant.status = GrantStatus::Invalid;
        }
        put!(db, |s| s.insert_grant(&grant));
    }
    let id = credential(1, 1).id;
    let counts = get!(db, |s| s.grant_counts(tenant(1), id));
    assert_eq!(
        counts,
        GrantCounts {
            valid: 2,
            invalid: 1
        }
    );
    put!(db, |s| s.delete_credential(tenant(1), id, at(9)));
    let counts = get!(db, |s| s.grant_counts(tenant(1), id));
    assert_eq!(
        counts,
        GrantCounts {
            valid: 0,
            invalid: 3
        }
    );
}
