//! An operator's own provider application, lent to applications that bring none.

use keyway_core::credential::{Credential, CredentialType, Owner};
use keyway_core::grant::GrantStatus;
use keyway_core::ids::CredentialId;
use keyway_core::page::Page;
use keyway_core::provider::Provider::{self, Google, Microsoft, Zoom};
use keyway_core::scope::Scopes;
use keyway_engine::connectors::{ConnectorPatch, NewConnector};
use keyway_engine::credentials::{CredentialPatch, NewCredential};
use keyway_engine::shared_apps::ClientChanged;
use keyway_engine::{AllowedApplications, Error, SharedApp};
use keyway_testkit::{
    ALICE, BOB, DEV, PROD, STAGING, SignIn, World, WorldOptions, object, on_both_databases,
};
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

async fn a_lent_primary_is_deleted_by_nobody_even_when_it_is_not_the_default(world: &World) {
    let app = &world.app;
    let made = world.engine.create_connector(&app.caller, bare());
    let shared = made.await.unwrap().active_credential_id.unwrap();
    let own = app.credential(Google, "own", DEV).await;
    app.make_default(Google, own.id).await;
    let gone = world
        .engine
        .delete_credential(&app.caller, Google, shared)
        .await;
    assert!(gone.unwrap_err().message().contains("operator"));
    let named = renamed(world, shared, "ours").await;
    assert!(named.unwrap_err().message().contains("operator"));
    // And the default is given back.
    app.make_default(Google, shared).await;
    let grant = app.connect(&SignIn::of(ALICE)).await;
    assert_eq!(grant.credential_id, Some(shared));
}

async fn a_shared_app_can_be_added_beside_a_client_of_ones_own(world: &World) {
    let app = &world.app;
    let connector = app.connector(Google, DEV).await;
    let add = || async {
        let new = NewCredential {
            name: "the operator's".into(),
            credential_type: CredentialType::Connector,
            data: object(json!({})),
        };
        world
            .engine
            .create_credential(&app.caller, Google, new)
            .await
            .unwrap()
    };
    let shared = add().await;
    assert_eq!(shared.owner, Owner::Operator);
    assert_eq!(add().await.id, shared.id, "an equal one is the same");
    let listed = world
        .engine
        .credentials(&app.caller, Google, Page::default());
    assert!(listed.await.unwrap().iter().any(|c| c.id == shared.id));
    // Both serve users at the same time.
    let lent = app.connect(&SignIn::of(ALICE).through(shared.id)).await;
    let own = app.connect(&SignIn::of(BOB)).await;
    assert_eq!(own.credential_id, connector.active_credential_id);
    for (grant, client) in [(&lent, PROD), (&own, DEV)] {
        let token = world.tokens(grant).await.access_token;
        assert_eq!(world.recorder.client_of(&token).as_deref(), Some(client));
    }
}

async fn renamed(world: &World, id: CredentialId, name: &str) -> Result<Credential, Error> {
    let patch = CredentialPatch {
        name: Some(name.into()),
        ..CredentialPatch::default()
    };
    let (engine, caller) = (&world.engine, &world.app.caller);
    engine.update_credential(caller, Google, id, patch).await
}

async fn a_shared_app_that_was_added_is_renamed_and_deleted_and_its_client_is_not_changed(
    world: &World,
) {
    let app = &world.app;
    let (engine, caller) = (&world.engine, &app.caller);
    app.connector(Google, DEV).await;
    let add = async |name: &str| {
        let new = NewCredential {
            name: name.into(),
            credential_type: CredentialType::Connector,
            data: object(json!({})),
        };
        let made = engine.create_credential(caller, Google, new);
        made.await.unwrap()
    };
    let shared = add("lent").await;
    let named = renamed(world, shared.id, "theirs").await.unwrap();
    assert_eq!((named.id, named.name.as_str()), (shared.id, "theirs"));
    assert_eq!(
        add("theirs").await.id,
        shared.id,
        "an equal one is the same"
    );
    let before = world.snapshot().await;
    let patch = CredentialPatch {
        data: Some(app.new_credential("", DEV).data),
        ..CredentialPatch::default()
    };
    let refused = engine.update_credential(caller, Google, shared.id, patch);
    let refused = refused.await.unwrap_err();
    assert!(refused.message().contains("operator"), "{refused}");
    assert_eq!(world.snapshot().await, before);
    let grant = app.connect(&SignIn::of(ALICE).through(shared.id)).await;
    let gone = engine.delete_credential(caller, Google, shared.id);
    gone.await.unwrap();
    let ended = app.grant(grant.id).await;
    assert_eq!(ended.effective_status(), GrantStatus::Invalid);
    assert_ne!(add("theirs").await.id, shared.id);
}

async fn rule_08_a_shared_app_is_not_borrowed_for_whole_tenants(world: &World) {
    let app = &world.app;
    let made = world
        .engine
        .create_connector(&app.caller, bare_at(Microsoft));
    made.await.unwrap();
    let before = world.snapshot().await;
    let new = |data| NewCredential {
        name: "consent".into(),
        credential_type: CredentialType::AdminConsent,
        data: object(data),
    };
    let create = |data| {
        world
            .engine
            .create_credential(&app.caller, Microsoft, new(data))
    };
    let refused = create(json!({"tenant": "example.com"})).await.unwrap_err();
    assert!(refused.message().contains("not lent for this"), "{refused}");
    assert_eq!(world.snapshot().await, before);
    let own = json!({"client_id": DEV, "client_secret": format!("{DEV}-secret")});
    create(own).await.unwrap();
}

async fn without_a_shared_app_a_credential_needs_a_client(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let new = NewCredential {
        name: "none".into(),
        credential_type: CredentialType::Connector,
        data: object(json!({})),
    };
    let refused = world.engine.create_credential(&app.caller, Google, new);
    assert!(refused.await.unwrap_err().message().contains("client_id"));
}

/// The same database under a configuration whose shared app has that client.
async fn reconfigured(world: &World, client: &str) -> Result<(), ClientChanged> {
    let app = SharedApp {
        client_id: client.into(),
        client_secret: format!("{client}-secret").into(),
        applications: AllowedApplications::All,
        scopes: Scopes::parse("openid email mail.read").unwrap(),
    };
    let engine = world.engine_lending(Google, app).await;
    engine.settle_shared_apps().await.unwrap()
}

async fn another_client_is_taken_up_only_while_no_grant_lives_by_the_former(world: &World) {
    let app = &world.app;
    let made = world.engine.create_connector(&app.caller, bare());
    let shared = made.await.unwrap().active_credential_id.unwrap();
    let client = async || {
        let found = world.engine.credential(&app.caller, Google, shared).await;
        found.unwrap().client_id
    };
    reconfigured(world, STAGING).await.unwrap();
    assert_eq!(client().await.as_deref(), Some(STAGING), "with the same id");
    reconfigured(world, PROD).await.unwrap();
    let grant = app.connect(&SignIn::of(ALICE)).await;
    let before = world.snapshot().await;
    let changed = reconfigured(world, STAGING).await.unwrap_err();
    assert_eq!(
        (changed.provider, changed.former.as_str(), changed.grants),
        (Google, PROD, 1)
    );
    assert_eq!(world.snapshot().await, before);
    reconfigured(world, PROD).await.unwrap();
    assert_eq!(app.grant(grant.id).await.credential_id, Some(shared));
}

async fn rule_13_another_client_is_of_the_project_that_the_connector_names(world: &World) {
    let app = &world.app;
    let mut new = bare();
    new.settings = object(json!({"project_id": "the-project"}));
    let made = world.engine.create_connector(&app.caller, new);
    let shared = made.await.unwrap().active_credential_id.unwrap();
    let project = async || {
        let found = world.engine.credential(&app.caller, Google, shared).await;
        found.unwrap().provider_project
    };
    assert_eq!(project().await.as_deref(), Some("the-project"));
    reconfigured(world, STAGING).await.unwrap();
    assert_eq!(project().await.as_deref(), Some("the-project"));
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
    a_lent_primary_is_deleted_by_nobody_even_when_it_is_not_the_default,
    a_shared_app_that_was_added_is_renamed_and_deleted_and_its_client_is_not_changed,
    a_shared_app_can_be_added_beside_a_client_of_ones_own,
    another_client_is_taken_up_only_while_no_grant_lives_by_the_former,
    rule_13_another_client_is_of_the_project_that_the_connector_names,
    rule_08_a_shared_app_asks_for_consent_again_and_merges_no_scopes,
    a_client_of_ones_own_beside_the_shared_app_gets_a_free_name,
);
on_both_databases!(without_a_shared_app_a_credential_needs_a_client);
on_both_databases!(lending_at(Microsoft, AllowedApplications::All) =>
    rule_08_consent_is_forced_for_a_shared_app_alone,
    rule_08_a_shared_app_is_not_borrowed_for_whole_tenants,
);
on_both_databases!(lending_at(Zoom, AllowedApplications::All) =>
    rule_08_a_provider_that_cannot_ask_again_is_not_lent,
);
on_both_databases!(lending(AllowedApplications::Listed(BTreeSet::new())) =>
    a_shared_app_is_for_the_applications_the_operator_lists,
);
