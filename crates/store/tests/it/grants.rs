//! Grants: every read, every filter, every order.

use crate::fixtures::*;
use crate::{Db, get, on_both, put};
use keyway_core::grant::{Grant, GrantStatus};
use keyway_core::ids::{ConnectorId, WorkspaceId};
use keyway_core::page::{OrderBy, Page, SortBy};
use keyway_core::provider::Provider;
use keyway_store::GrantFilter;

async fn anchor(db: &Db, t: u128) {
    put!(db, |s| s.insert_connector(&google(t)));
    put!(db, |s| s.insert_credential(&credential(t, 1)));
}

async fn insert(db: &Db, grants: impl IntoIterator<Item = Grant>) {
    for grant in grants {
        put!(db, |s| s.insert_grant(&grant));
    }
}

on_both! {
    a_grant_is_found_by_id_address_identity_and_external_id,
    one_address_may_have_a_grant_at_each_provider,
    rule_12_several_grants_may_have_no_identity_and_no_external_id,
    rule_04_an_update_of_a_grant_keeps_id_provider_and_creation_time,
    a_grant_stands_while_its_credential_and_connector_do,
    deleting_a_grant_takes_its_tokens_and_refresh_state_but_leaves_the_token_sets,
    grants_are_listed_in_every_order_without_overlap,
    every_filter_finds_its_grants_alone_and_none_finds_nothing,
    filters_narrow_each_other,
    the_status_filter_is_by_effective_status,
}

async fn a_grant_is_found_by_id_address_identity_and_external_id(db: &Db) {
    anchor(db, 1).await;
    insert(db, [grant(1, 1), grant(1, 2)]).await;
    let expected = Some(grant(1, 2));
    assert_eq!(get!(db, |s| s.grant(tenant(1), grant(1, 2).id)), expected);
    let by = get!(db, |s| s.grant_by_provider_email(
        tenant(1),
        Provider::Google,
        "user2@example.com"
    ));
    assert_eq!(by, expected);
    assert_eq!(
        get!(db, |s| s.grant_by_identity(
            tenant(1),
            Provider::Google,
            "sub-2"
        )),
        expected
    );
    assert_eq!(
        get!(db, |s| s.grant_by_external_id(tenant(1), "ext-2")),
        expected
    );
    let by = get!(db, |s| s.grant_by_provider_email(
        tenant(1),
        Provider::Zoom,
        "user2@example.com"
    ));
    assert_eq!(by, None);
    assert_eq!(
        get!(db, |s| s.grant_by_identity(
            tenant(1),
            Provider::Zoom,
            "sub-2"
        )),
        None
    );
}

async fn one_address_may_have_a_grant_at_each_provider(db: &Db) {
    anchor(db, 1).await;
    let mut imap = grant(1, 5);
    imap.provider = Provider::Imap;
    imap.email = "USER1@example.com".into();
    imap.credential_id = None;
    insert(db, [grant(1, 1), imap.clone()]).await;
    let found = get!(db, |s| s.grants_by_email(tenant(1), "user1@example.com"));
    assert_eq!(found, [grant(1, 1), imap]);
}

async fn rule_12_several_grants_may_have_no_identity_and_no_external_id(db: &Db) {
    anchor(db, 1).await;
    for n in 1..=2 {
        let mut bare = grant(1, n);
        bare.identity = None;
        bare.external_id = None;
        bare.name = None;
        bare.provider_user_id = None;
        bare.workspace_id = None;
        insert(db, [bare.clone()]).await;
        assert_eq!(get!(db, |s| s.grant(tenant(1), grant(1, n).id)), Some(bare));
    }
}

async fn rule_04_an_update_of_a_grant_keeps_id_provider_and_creation_time(db: &Db) {
    anchor(db, 1).await;
    put!(db, |s| s.insert_credential(&credential(1, 2)));
    insert(db, [grant(1, 1)]).await;
    let mut changed = grant(1, 9);
    changed.id = grant(1, 1).id;
    changed.credential_id = Some(credential(1, 2).id);
    changed.status = GrantStatus::Invalid;
    changed.blocked = true;
    changed.scope = scopes("x");
    changed.settings = map(serde_json::json!({}));
    changed.state = None;
    changed.ip = None;
    changed.user_agent = None;
    changed.workspace_id = None;
    changed.created_at = at(500);
    let written = changed.clone();
    assert!(put!(db, |s| s.update_grant(&written, 1)));
    let again = changed.clone();
    assert!(!put!(db, |s| s.update_grant(&again, 1)));
    changed.created_at = grant(1, 1).created_at;
    changed.version = 2;
    assert_eq!(
        get!(db, |s| s.grant(tenant(1), grant(1, 1).id)),
        Some(changed)
    );
    let by_new_address = get!(db, |s| s.grants_by_email(tenant(1), "user9@example.com"));
    assert_eq!(by_new_address.len(), 1);
}

async fn a_grant_stands_while_its_credential_and_connector_do(db: &Db) {
    anchor(db, 1).await;
    let mut password = grant(1, 2);
    password.credential_id = None;
    insert(db, [grant(1, 1), password]).await;
    let standing = async |n| {
        let grant = get!(db, |s| s.grant(tenant(1), grant(1, n).id)).unwrap();
        (grant.is_anchored, grant.effective_status())
    };
    assert_eq!(standing(1).await, (true, GrantStatus::Valid));
    put!(db, |s| s.delete_credential(
        tenant(1),
        credential(1, 1).id,
        at(1)
    ));
    assert_eq!(standing(1).await, (false, GrantStatus::Invalid));
    assert_eq!(standing(2).await, (true, GrantStatus::Valid));
    put!(db, |s| s.delete_connector(tenant(1), google(1).id, at(1)));
    assert_eq!(standing(2).await, (false, GrantStatus::Invalid));
}

async fn deleting_a_grant_takes_its_tokens_and_refresh_state_but_leaves_the_token_sets(db: &Db) {
    anchor(db, 1).await;
    insert(db, [grant(1, 1)]).await;
    let id = grant(1, 1).id;
    put!(db, |s| s.insert_access_token(&access_token(1, 1)));
    put!(db, |s| s.insert_refresh_token(&refresh_token(1, 1)));
    put!(db, |s| s.insert_token_set(&token_set(1, 1)));
    put!(db, |s| s.upsert_refresh_state(
        tenant(1),
        id,
        &Default::default(),
        None
    ));
    assert!(put!(db, |s| s.delete_grant(tenant(1), id)));
    assert!(!put!(db, |s| s.delete_grant(tenant(1), id)));
    assert_eq!(get!(db, |s| s.grant(tenant(1), id)), None);
    assert_eq!(
        get!(db, |s| s.access_token(tenant(1), access_token(1, 1).id)),
        None
    );
    assert_eq!(
        get!(db, |s| s.refresh_token(tenant(1), refresh_token(1, 1).id)),
        None
    );
    assert_eq!(get!(db, |s| s.refresh_state(tenant(1), id)), None);
    assert!(get!(db, |s| s.token_set(tenant(1), token_set(1, 1).id)).is_some());
}

async fn grants_are_listed_in_every_order_without_overlap(db: &Db) {
    anchor(db, 1).await;
    insert(db, (1..=4).map(|n| grant(1, n))).await;
    let mut same_time = grant(1, 5);
    same_time.created_at = at(4);
    insert(db, [same_time]).await;
    let ids = async |filter: GrantFilter, page: Page| {
        let listed = get!(db, |s| s.grants(tenant(1), &filter, page));
        listed
            .iter()
            .map(|g| g.id.as_uuid().as_u128() % 1000)
            .collect::<Vec<_>>()
    };
    for (sort_by, order_by, expected) in [
        (SortBy::CreatedAt, OrderBy::Asc, [1, 2, 3, 4, 5]),
        (SortBy::CreatedAt, OrderBy::Desc, [5, 4, 3, 2, 1]),
        (SortBy::UpdatedAt, OrderBy::Asc, [5, 4, 3, 2, 1]),
        (SortBy::UpdatedAt, OrderBy::Desc, [1, 2, 3, 4, 5]),
    ] {
        for filter in [
            GrantFilter::default(),
            GrantFilter {
                credential_id: Some(credential(1, 1).id),
                ..Default::default()
            },
            GrantFilter {
                connector_id: Some(google(1).id),
                ..Default::default()
            },
        ] {
            let page = |limit, offset| Page {
                limit,
                offset,
                sort_by,
                order_by,
            };
            assert_eq!(ids(filter.clone(), page(10, 0)).await, expected);
            assert_eq!(ids(filter.clone(), page(2, 0)).await, expected[..2]);
            assert_eq!(ids(filter.clone(), page(2, 2)).await, expected[2..4]);
            assert_eq!(ids(filter, page(2, 4)).await, expected[4..]);
        }
    }
}

/// Each finds the odd one of two grants.
fn filters_for_the_odd_one() -> Vec<GrantFilter> {
    vec![
        GrantFilter {
            email_key: Some("user2@example.com".into()),
            ..Default::default()
        },
        GrantFilter {
            provider: Some(Provider::Imap),
            ..Default::default()
        },
        GrantFilter {
            status: Some(GrantStatus::Invalid),
            ..Default::default()
        },
        GrantFilter {
            ip: Some("198.51.100.1".into()),
            ..Default::default()
        },
        GrantFilter {
            since: Some(at(50)),
            ..Default::default()
        },
        GrantFilter {
            workspace_id: Some(WorkspaceId::from_u128(3)),
            ..Default::default()
        },
        GrantFilter {
            connector_id: Some(ConnectorId::from_u128(3)),
            ..Default::default()
        },
        GrantFilter {
            credential_id: Some(credential(1, 3).id),
            ..Default::default()
        },
        GrantFilter {
            external_id: Some("ext-2".into()),
            ..Default::default()
        },
    ]
}

async fn every_filter_finds_its_grants_alone_and_none_finds_nothing(db: &Db) {
    anchor(db, 1).await;
    let mut odd = grant(1, 2);
    odd.provider = Provider::Imap;
    odd.status = GrantStatus::Invalid;
    odd.ip = Some("198.51.100.1".into());
    odd.workspace_id = Some(WorkspaceId::from_u128(3));
    odd.connector_id = ConnectorId::from_u128(3);
    odd.credential_id = Some(credential(1, 3).id);
    odd.is_anchored = false;
    odd.created_at = at(50);
    insert(db, [grant(1, 1), odd.clone()]).await;
    for filter in filters_for_the_odd_one() {
        let shown = format!("{filter:?}");
        let found = get!(db, |s| s.grants(tenant(1), &filter, Page::default()));
        assert_eq!(found, std::slice::from_ref(&odd), "{shown}");
    }
    for filter in [
        GrantFilter {
            before: Some(at(49)),
            ..Default::default()
        },
        GrantFilter {
            status: Some(GrantStatus::Valid),
            ..Default::default()
        },
    ] {
        let found = get!(db, |s| s.grants(tenant(1), &filter, Page::default()));
        assert_eq!(found, [grant(1, 1)]);
    }
    let none = GrantFilter {
        none: true,
        ..Default::default()
    };
    assert_eq!(
        get!(db, |s| s.grants(tenant(1), &none, Page::default())),
        []
    );
}

async fn filters_narrow_each_other(db: &Db) {
    anchor(db, 1).await;
    insert(db, [grant(1, 1), grant(1, 2)]).await;
    let both = |external: &str| GrantFilter {
        email_key: Some("user1@example.com".into()),
        external_id: Some(external.into()),
        credential_id: Some(credential(1, 1).id),
        connector_id: Some(google(1).id),
        provider: Some(Provider::Google),
        status: Some(GrantStatus::Valid),
        ip: Some("203.0.113.9".into()),
        workspace_id: grant(1, 1).workspace_id,
        since: Some(at(1)),
        before: Some(at(1)),
        none: false,
    };
    let (fits, misses) = (both("ext-1"), both("ext-2"));
    assert_eq!(
        get!(db, |s| s.grants(tenant(1), &fits, Page::default())),
        [grant(1, 1)]
    );
    assert_eq!(
        get!(db, |s| s.grants(tenant(1), &misses, Page::default())),
        []
    );
}

async fn the_status_filter_is_by_effective_status(db: &Db) {
    anchor(db, 1).await;
    insert(db, [grant(1, 1)]).await;
    put!(db, |s| s.delete_credential(
        tenant(1),
        credential(1, 1).id,
        at(1)
    ));
    let invalid = GrantFilter {
        status: Some(GrantStatus::Invalid),
        ..Default::default()
    };
    let valid = GrantFilter {
        status: Some(GrantStatus::Valid),
        ..Default::default()
    };
    assert_eq!(
        get!(db, |s| s.grants(tenant(1), &invalid, Page::default())).len(),
        1
    );
    assert_eq!(
        get!(db, |s| s.grants(tenant(1), &valid, Page::default())).len(),
        0
    );
}
