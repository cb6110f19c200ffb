//! An operator's own provider application, lent to applications that bring none.

use keyway_core::credential::Owner;
use keyway_core::provider::Provider::{self, Google, Microsoft, Zoom};
use keyway_core::scope::Scopes;
use keyway_engine::connectors::{ConnectorPatch, NewConnector};
use keyway_engine::credentials::CredentialPatch;
use keyway_engine::{AllowedApplications, SharedApp};
use keyway_testkit::{ALICE, DEV, PROD, SignIn, World, WorldOptions, object, on_both_databases};
use serde_json::json;
use std::collections::BTreeSet;

fn lending(applications: AllowedApplications) -> WorldOptions {
    lending_at(Google, applications)
}

fn lending_at(provider: Provider, applications: AllowedApplications) -> WorldOptions {
    let app = SharedApp {
        client_id: PROD.into(),
        client_secret: format!("{PROD}-secret").into(),
        applications,
        scopes: Scopes::parse("openid email mail.read").unwrap(),
    };
    World::options().shared_app(provider, app)
}

fn bare() -> NewConnector {
    bare_at(Google)
}

fn bare_at(provider: Provider) -> NewConnector {
    NewConnector {
        provider,
        name: None,
        settings: object(json!({})),
        scope: Scopes::parse("mail.read").unwrap(),
    }
}

async fn an_application_without_a_client_signs_its_users_in_through_the_shared_app(world: &World) {
    let app = &world.app;
    let made = world
        .engine
        .create_connector(&app.caller, bare())
        .await
        .unwrap();
    let id = made.active_credential_id.unwrap();
    let credential = world
        .engine
        .credential(&app.caller, Google, id)
        .await
        .unwrap();
    assert_eq!(credential.owner, Owner::Operator);
    let grant = app.connect(&SignIn::of(ALICE)).await;
    let client = world
        .recorder
        .client_of(&world.tokens(&grant).await.access_token);
    assert_eq!(client.as_deref(), Some(PROD));
    assert!(grant.scope.contains("mail.read"));
}

async fn a_shared_app_asks_for_no_more_than_the_operator_allows(world: &World) {
    let app = &world.app;
    world
        .engine
        .create_connector(&app.caller, bare())
        .await
        .unwrap();
    let ended = app
        .start(&SignIn::of(ALICE).scope("mail.read mail.send"))
        .await
        .unwrap_err();
    assert_eq!(ended.returned("error"), "invalid_scope");
    let words = ended.returned("error_description");
    assert!(
        words.contains("mail.send") && !words.contains("mail.read"),
        "{words}"
    );
}

async fn a_shared_app_is_changed_by_nobody_but_the_operator(world: &World) {
    let app = &world.app;
    let made = world
        .engine
        .create_connector(&app.caller, bare())
        .await
        .unwrap();
    let before = world.snapshot().await;
    let patch = CredentialPatch {
        data: Some(app.new_credential("", DEV).data),
        ..CredentialPatch::default()
    };
    let id = made.active_credential_id.unwrap();
    let refused = world
        .engine
        .update_credential(&app.caller, Google, id, patch)
        .await;
    assert!(refused.unwrap_err().message().contains("operator"));
    assert_eq!(world.snapshot().await, before);
}

async fn a_client_of_ones_own_comes_before_the_shared_app(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let grant = app.connect(&SignIn::of(ALICE).scope("mail.send")).await;
    let client = world
        .recorder
        .client_of(&world.tokens(&grant).await.access_token);
    assert_eq!(client.as_deref(), Some(DEV));
}

/// The values of `name` in the request that begins a sign-in.
async fn asked(world: &World, provider: Provider, name: &str) -> Vec<String> {
    let at = world.app.start(&SignIn::of(ALICE).at(provider)).await;
    let location = url::Url::parse(&at.unwrap().location).unwrap();
    let pairs = location.query_pairs().into_owned();
    pairs.filter(|(n, _)| n == name).map(|(_, v)| v).collect()
}

async fn rule_08_a_shared_app_asks_for_consent_again_and_merges_no_scopes(world: &World) {
    let app = &world.app;
    world
        .engine
        .create_connector(&app.caller, bare())
        .await
        .unwrap();
    assert_eq!(asked(world, Google, "prompt").await, ["consent"]);
    let merged = asked(world, Google, "include_granted_scopes").await;
    assert!(merged.is_empty(), "{merged:?}");
}

async fn rule_08_consent_is_forced_for_a_shared_app_alone(world: &World) {
    let app = &world.app;
    let made = world
        .engine
        .create_connector(&app.caller, bare_at(Microsoft))
        .await
        .unwrap();
    assert_eq!(asked(world, Microsoft, "prompt").await, ["consent"]);
    let own = app.credential(Microsoft, "own", DEV).await;
    assert_ne!(made.active_credential_id, Some(own.id));
    app.make_default(Microsoft, own.id).await;
    assert!(asked(world, Microsoft, "prompt").await.is_empty());
}

async fn rule_08_a_provider_that_cannot_ask_again_is_not_lent(world: &World) {
    let made = world
        .engine
        .create_connector(&world.app.caller, bare_at(Zoom))
        .await
        .unwrap();
    assert_eq!(made.active_credential_id, None);
}

async fn a_client_of_ones_own_beside_the_shared_app_gets_a_free_name(world: &World) {
    let app = &world.app;
    let (engine, caller) = (&world.engine, &app.caller);
    let made = engine.create_connector(caller, bare()).await.unwrap();
    app.credential(Google, "Google 2", PROD).await;
    let settings = object(json!({"client_id": DEV, "client_secret": format!("{DEV}-secret")}));
    let patch = ConnectorPatch {
        settings: Some(settings),
        ..ConnectorPatch::default()
    };
    let patched = engine
        .update_connector(caller, Google, patch)
        .await
        .unwrap();
    // Which default later sign-ins take is still the application's to say.
    assert_eq!(patched.active_credential_id, made.active_credential_id);
    let id = patched.primary_credential_id.unwrap();
    let own = engine.credential(caller, Google, id).await.unwrap();
    assert_eq!(
        (own.name.as_str(), own.owner),
        ("Google 3", Owner::Application)
    );
    let grant = app.connect(&SignIn::of(ALICE).through(id)).await;
    assert_eq!(grant.credential_id, Some(id));
}

async fn a_shared_app_is_for_the_applications_the_operator_lists(world: &World) {
    let app = &world.app;
    let made = world
        .engine
        .create_connector(&app.caller, bare())
        .await
        .unwrap();
    assert_eq!(made.active_credential_id, None);
    let ended = app.start(&SignIn::of(ALICE)).await.unwrap_err();
    assert!(
        ended
            .returned("error_description")
            .contains("no default credential")
    );
}

on_both_databases!(lending(AllowedApplications::All) =>
    an_application_without_a_client_signs_its_users_in_through_the_shared_app,
    a_shared_app_asks_for_no_more_than_the_operator_allows,
    a_shared_app_is_changed_by_nobody_but_the_operator,
    a_client_of_ones_own_comes_before_the_shared_app,
    rule_08_a_shared_app_asks_for_consent_again_and_merges_no_scopes,
    a_client_of_ones_own_beside_the_shared_app_gets_a_free_name,
);
on_both_databases!(lending_at(Microsoft, AllowedApplications::All) =>
    rule_08_consent_is_forced_for_a_shared_app_alone,
);
on_both_databases!(lending_at(Zoom, AllowedApplications::All) =>
    rule_08_a_provider_that_cannot_ask_again_is_not_lent,
);
on_both_databases!(lending(AllowedApplications::Listed(BTreeSet::new())) =>
    a_shared_app_is_for_the_applications_the_operator_lists,
);
