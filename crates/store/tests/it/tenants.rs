//! Rule 8: nothing of one application is read, changed or counted by another.

use crate::fixtures::*;
use crate::{Db, get, on_both, put};
use keyway_core::credential::{GrantCounts, Health};
use keyway_core::page::Page;
use keyway_core::provider::Provider;
use keyway_core::token_set::RefreshState;
use keyway_store::GrantFilter;

/// The application that has everything, and the one that tries.
const OWNER: u128 = 2;
const OTHER: u128 = 1;

async fn fill(db: &Db) {
    put!(db, |s| s.insert_application(&application(OWNER)));
    put!(db, |s| s.insert_application(&application(OTHER)));
    put!(db, |s| s.insert_api_key(&api_key(OWNER, 1)));
    put!(db, |s| s.insert_redirect_uri(&redirect_uri(OWNER, 1)));
    put!(db, |s| s.insert_connector(&google(OWNER)));
    put!(db, |s| s.insert_credential(&credential(OWNER, 1)));
    put!(db, |s| s.insert_credential_secret(&secret(OWNER, 1)));
    put!(db, |s| s.insert_grant(&grant(OWNER, 1)));
    put!(db, |s| s.insert_token_set(&token_set(OWNER, 1)));
    put!(db, |s| s.insert_account_secret(&account_secret(OWNER, 1)));
    put!(db, |s| s.insert_sign_in(&sign_in(OWNER, 1)));
    put!(db, |s| s.insert_access_token(&access_token(OWNER, 1)));
    put!(db, |s| s.insert_refresh_token(&refresh_token(OWNER, 1)));
    let state = RefreshState::default();
    put!(db, |s| s.upsert_refresh_state(
        tenant(OWNER),
        grant(OWNER, 1).id,
        &state,
        None
    ));
}

/// Everything the owner has, as text.
async fn everything(db: &Db) -> String {
    let app = tenant(OWNER);
    let parts = [
        format!("{:?}", get!(db, |s| s.application(app))),
        format!("{:?}", get!(db, |s| s.api_keys(app))),
        format!("{:?}", get!(db, |s| s.redirect_uris(app))),
        format!("{:?}", get!(db, |s| s.connectors(app, 9, 0))),
        format!(
            "{:?}",
            get!(db, |s| s.credential_any(app, credential(OWNER, 1).id))
        ),
        format!(
            "{:?}",
            get!(db, |s| s.current_credential_secret(
                app,
                credential(OWNER, 1).id,
                at(99)
            ))
        ),
        format!("{:?}", get!(db, |s| s.grant(app, grant(OWNER, 1).id))),
        format!(
            "{:?}",
            get!(db, |s| s.token_set(app, token_set(OWNER, 1).id))
        ),
        format!(
            "{:?}",
            get!(db, |s| s.account_secret(app, grant(OWNER, 1).id))
        ),
        format!(
            "{:?}",
            get!(db, |s| s.refresh_state(app, grant(OWNER, 1).id))
        ),
        format!("{:?}", get!(db, |s| s.sign_in(app, sign_in(OWNER, 1).id))),
        format!(
            "{:?}",
            get!(db, |s| s.access_token(app, access_token(OWNER, 1).id))
        ),
        format!(
            "{:?}",
            get!(db, |s| s.refresh_token(app, refresh_token(OWNER, 1).id))
        ),
    ];
    parts.join("\n")
}

on_both! {
    rule_08_no_read_shows_another_applications_rows,
    rule_08_no_read_shows_another_applications_grants,
    rule_08_no_list_of_grants_shows_another_applications,
    rule_08_a_foreign_credential_or_connector_holds_no_grant_up,
    rule_08_no_write_touches_another_applications_rows,
    rule_08_no_step_of_a_sign_in_or_token_is_taken_by_another_application,
    rule_08_deleting_a_grant_leaves_the_same_ids_of_another_application,
}

async fn rule_08_no_read_shows_another_applications_rows(db: &Db) {
    fill(db).await;
    let app = tenant(OTHER);
    let (connector_id, credential_id) = (google(OWNER).id, credential(OWNER, 1).id);
    assert_eq!(get!(db, |s| s.api_keys(app)), []);
    assert_eq!(get!(db, |s| s.api_key(app, api_key(OWNER, 1).id)), None);
    assert_eq!(get!(db, |s| s.live_api_keys(app, at(0))), 0);
    assert_eq!(
        get!(db, |s| s.redirect_uri(app, redirect_uri(OWNER, 1).id)),
        None
    );
    assert_eq!(get!(db, |s| s.redirect_uris(app)), []);
    assert_eq!(get!(db, |s| s.connector(app, Provider::Google)), None);
    assert_eq!(get!(db, |s| s.connector_by_id(app, connector_id)), None);
    assert_eq!(get!(db, |s| s.connectors(app, 9, 0)), []);
    assert_eq!(get!(db, |s| s.credential(app, credential_id)), None);
    assert_eq!(get!(db, |s| s.credential_any(app, credential_id)), None);
    assert_eq!(
        get!(db, |s| s.credentials(app, connector_id, Page::default())),
        []
    );
    assert_eq!(
        get!(db, |s| s.credential_by_digest(
            app,
            connector_id,
            &digest(2, OWNER, 1)
        )),
        None
    );
    assert_eq!(
        get!(db, |s| s.credential_by_name(
            app,
            connector_id,
            "credential 1"
        )),
        None
    );
}

async fn rule_08_no_read_shows_another_applications_grants(db: &Db) {
    fill(db).await;
    let app = tenant(OTHER);
    let credential_id = credential(OWNER, 1).id;
    assert_eq!(
        get!(db, |s| s.grant_counts(app, credential_id)),
        GrantCounts::default()
    );
    assert_eq!(get!(db, |s| s.grants_by_client(app, credential_id)), 0);
    assert_eq!(
        get!(db, |s| s.current_credential_secret(
            app,
            credential_id,
            at(99)
        )),
        None
    );
    assert_eq!(get!(db, |s| s.grant(app, grant(OWNER, 1).id)), None);
    assert_eq!(
        get!(db, |s| s.grants_by_email(app, "user1@example.com")),
        []
    );
    assert_eq!(
        get!(db, |s| s.grant_by_provider_email(
            app,
            Provider::Google,
            "user1@example.com"
        )),
        None
    );
    assert_eq!(
        get!(db, |s| s.grant_by_identity(app, Provider::Google, "sub-1")),
        None
    );
    assert_eq!(get!(db, |s| s.grant_by_external_id(app, "ext-1")), None);
    assert_eq!(get!(db, |s| s.token_set(app, token_set(OWNER, 1).id)), None);
    assert_eq!(
        get!(db, |s| s.current_token_set(app, grant(OWNER, 1).id)),
        None
    );
    assert_eq!(
        get!(db, |s| s.account_secret(app, grant(OWNER, 1).id)),
        None
    );
    assert_eq!(get!(db, |s| s.refresh_state(app, grant(OWNER, 1).id)), None);
}

async fn rule_08_no_list_of_grants_shows_another_applications(db: &Db) {
    fill(db).await;
    for filter in [
        GrantFilter::default(),
        GrantFilter {
            email_key: Some("user1@example.com".into()),
            ..Default::default()
        },
        GrantFilter {
            credential_id: Some(credential(OWNER, 1).id),
            ..Default::default()
        },
        GrantFilter {
            connector_id: Some(google(OWNER).id),
            ..Default::default()
        },
        GrantFilter {
            external_id: Some("ext-1".into()),
            ..Default::default()
        },
    ] {
        let own = filter.clone();
        assert_eq!(
            get!(db, |s| s.grants(tenant(OTHER), &filter, Page::default())),
            []
        );
        assert_eq!(
            get!(db, |s| s.grants(tenant(OWNER), &own, Page::default())).len(),
            1
        );
    }
}

async fn rule_08_a_foreign_credential_or_connector_holds_no_grant_up(db: &Db) {
    fill(db).await;
    let mut grant = grant(OTHER, 1);
    grant.connector_id = google(OWNER).id;
    grant.credential_id = Some(credential(OWNER, 1).id);
    let stored = grant.clone();
    put!(db, |s| s.insert_grant(&stored));
    assert!(
        !get!(db, |s| s.grant(tenant(OTHER), grant.id))
            .unwrap()
            .is_anchored
    );
}

async fn rule_08_no_write_touches_another_applications_rows(db: &Db) {
    fill(db).await;
    let before = everything(db).await;
    let app = tenant(OTHER);
    let (connector_id, credential_id) = (google(OWNER).id, credential(OWNER, 1).id);
    let grant_id = grant(OWNER, 1).id;
    assert!(!put!(db, |s| s.revoke_api_key(
        app,
        api_key(OWNER, 1).id,
        at(1)
    )));
    let end = at(1);
    assert!(!put!(db, |s| s.expire_api_key(
        app,
        api_key(OWNER, 1).id,
        end,
        end
    )));
    let mut uri = redirect_uri(OWNER, 1);
    uri.application_id = app;
    uri.url = "https://evil.example".into();
    assert!(!put!(db, |s| s.update_redirect_uri(&uri)));
    assert!(!put!(db, |s| s.delete_redirect_uri(
        app,
        redirect_uri(OWNER, 1).id,
        at(1)
    )));
    let mut connector = google(OWNER);
    connector.application_id = app;
    assert!(!put!(db, |s| s.update_connector(&connector, 1)));
    assert!(!put!(db, |s| s.delete_connector(app, connector_id, at(1))));
    let mut credential = credential(OWNER, 1);
    credential.application_id = app;
    assert!(!put!(db, |s| s.update_credential(&credential, 1)));
    assert!(!put!(db, |s| s.set_credential_health(
        app,
        credential_id,
        &Health::default()
    )));
    assert!(!put!(db, |s| s.delete_credential(
        app,
        credential_id,
        at(1)
    )));
    assert_eq!(
        put!(db, |s| s.delete_credentials_of(app, connector_id, at(1))),
        0
    );
    assert_eq!(
        put!(db, |s| s.retire_credential_secrets(app, credential_id)),
        0
    );
    let mut grant = grant(OWNER, 1);
    grant.application_id = app;
    assert!(!put!(db, |s| s.update_grant(&grant, 1)));
    assert!(!put!(db, |s| s.delete_grant(app, grant_id)));
    let mut set = token_set(OWNER, 1);
    set.application_id = app;
    assert!(!put!(db, |s| s.update_token_set(&set, 1)));
    assert!(!put!(db, |s| s.delete_token_set(app, token_set(OWNER, 1).id)));
    assert!(!put!(db, |s| s.delete_account_secret(app, grant_id)));
    let state = RefreshState::default();
    assert!(!put!(db, |s| s.upsert_refresh_state(
        app,
        grant_id,
        &state,
        Some(1)
    )));
    assert_eq!(everything(db).await, before);
}

async fn rule_08_no_step_of_a_sign_in_or_token_is_taken_by_another_application(db: &Db) {
    fill(db).await;
    let (app, id) = (tenant(OTHER), sign_in(OWNER, 1).id);
    let code = digest(6, OWNER, 1);
    assert!(!put!(db, |s| s.complete_sign_in(
        app,
        id,
        &code,
        &sealed(1, 1),
        at(1)
    )));
    assert!(!put!(db, |s| s.fail_sign_in(app, id)));
    assert!(put!(db, |s| s.complete_sign_in(
        tenant(OWNER),
        id,
        &code,
        &sealed(1, 1),
        at(1)
    )));
    let before = everything(db).await;
    assert!(!put!(db, |s| s.consume_code(app, id, family(OTHER))));
    assert!(!put!(db, |s| s.burn_code(app, id)));
    assert_eq!(
        put!(db, |s| s.delete_access_tokens_of_family(app, family(OWNER))),
        0
    );
    assert!(!put!(db, |s| s.use_refresh_token(
        app,
        refresh_token(OWNER, 1).id,
        at(1),
        true
    )));
    assert_eq!(
        put!(db, |s| s
            .delete_refresh_tokens_of_family(app, family(OWNER))),
        0
    );
    assert_eq!(everything(db).await, before);
}

async fn rule_08_deleting_a_grant_leaves_the_same_ids_of_another_application(db: &Db) {
    fill(db).await;
    let mut twin = grant(OTHER, 1);
    twin.id = grant(OWNER, 1).id;
    put!(db, |s| s.insert_grant(&twin));
    let before = everything(db).await;
    assert!(put!(db, |s| s.delete_grant(tenant(OTHER), grant(OWNER, 1).id)));
    assert_eq!(everything(db).await, before);
}
