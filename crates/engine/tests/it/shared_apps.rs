//! An operator's own provider application, lent to applications that bring none.

use keyway_core::credential::Owner;
use keyway_core::provider::Provider::Google;
use keyway_core::scope::Scopes;
use keyway_engine::connectors::NewConnector;
use keyway_engine::credentials::CredentialPatch;
use keyway_engine::{AllowedApplications, SharedApp};
use keyway_testkit::{ALICE, DEV, PROD, SignIn, World, WorldOptions, object, on_both_databases};
use serde_json::json;
use std::collections::BTreeSet;

fn lending(applications: AllowedApplications) -> WorldOptions {
    let app = SharedApp {
        client_id: PROD.into(),
        client_secret: format!("{PROD}-secret").into(),
        applications,
        scopes: Scopes::parse("openid email mail.read").unwrap(),
    };
    World::options().shared_app(Google, app)
}

fn bare() -> NewConnector {
    NewConnector {
        provider: Google,
        name: None,
        settings: object(json!({})),
        scope: Scopes::parse("mail.read").unwrap(),
    }
}

async fn an_application_without_a_client_signs_its_users_in_through_the_shared_app(world: &World) {
    let app = &world.app;
    let made = world.engine.create_connector(&app.caller, bare()).await.unwrap();
    let id = made.active_credential_id.unwrap();
    let credential = world.engine.credential(&app.caller, Google, id).await.unwrap();
    assert_eq!(credential.owner, Owner::Operator);
    let grant = app.connect(&SignIn::of(ALICE)).await;
    let client = world.recorder.client_of(&world.tokens(&grant).await.access_token);
    assert_eq!(client.as_deref(), Some(PROD));
    assert!(grant.scope.contains("mail.read"));
}

async fn a_shared_app_asks_for_no_more_than_the_operator_allows(world: &World) {
    let app = &world.app;
    world.engine.create_connector(&app.caller, bare()).await.unwrap();
    let ended = app.start(&SignIn::of(ALICE).scope("mail.read mail.send")).await.unwrap_err();
    assert_eq!(ended.returned("error"), "invalid_scope");
    let words = ended.returned("error_description");
    assert!(words.contains("mail.send") && !words.contains("mail.read"), "{words}");
}

async fn a_shared_app_is_changed_by_nobody_but_the_operator(world: &World) {
    let app = &world.app;
    let made = world.engine.create_connector(&app.caller, bare()).await.unwrap();
    let before = world.snapshot().await;
    let patch = CredentialPatch {
        data: Some(app.new_credential("", DEV).data),
        ..CredentialPatch::default()
    };
    let id = made.active_credential_id.unwrap();
    let refused = world.engine.update_credential(&app.caller, Google, id, patch).await;
    assert!(refused.unwrap_err().message().contains("operator"));
    assert_eq!(world.snapshot().await, before);
}

async fn a_client_of_ones_own_comes_before_the_shared_app(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let grant = app.connect(&SignIn::of(ALICE).scope("mail.send")).await;
    let client = world.recorder.client_of(&world.tokens(&grant).await.access_token);
    assert_eq!(client.as_deref(), Some(DEV));
}

async fn a_shared_app_is_for_the_applications_the_operator_lists(world: &World) {
    let app = &world.app;
    let made = world.engine.create_connector(&app.caller, bare()).await.unwrap();
    assert_eq!(made.active_credential_id, None);
    let ended = app.start(&SignIn::of(ALICE)).await.unwrap_err();
    assert!(ended.returned("error_description").contains("no default credential"));
}

on_both_databases!(lending(AllowedApplications::All) =>
    an_application_without_a_client_signs_its_users_in_through_the_shared_app,
    a_shared_app_asks_for_no_more_than_the_operator_allows,
    a_shared_app_is_changed_by_nobody_but_the_operator,
    a_client_of_ones_own_comes_before_the_shared_app,
);
on_both_databases!(lending(AllowedApplications::Listed(BTreeSet::new())) =>
    a_shared_app_is_for_the_applications_the_operator_lists,
);
