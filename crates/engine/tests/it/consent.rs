//! Rule 13: when a provider is told that a consent has ended.

use keyway_core::grant::{Grant, GrantLocator};
use keyway_core::provider::Provider::Google;
use keyway_sandbox::{Fault, Faults};
use keyway_testkit::{
    ALICE, BOB, DEV, STAGING, SignIn, TestApplication, World, eventually, on_both_databases,
};

async fn delete(world: &World, app: &TestApplication, grant: &Grant) {
    let locator = GrantLocator::Id(grant.id);
    world
        .engine
        .delete_grant(&app.caller, locator)
        .await
        .unwrap();
}

/// How many revocations wait to be told.
async fn waiting(world: &World) -> usize {
    let job = world
        .store
        .read(|s| Box::pin(async move { s.revoking_token_sets(10).await }));
    job.await.unwrap().len()
}

async fn settled(world: &World) {
    eventually("no revocation waits", async || waiting(world).await == 0).await;
}

async fn rule_13_deleting_a_grant_ends_its_consent_at_the_provider(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let alice = app.connect(&SignIn::of(ALICE)).await;
    let bob = app.connect(&SignIn::of(BOB)).await;
    let (gone, kept) = (world.tokens(&alice).await, world.tokens(&bob).await);
    delete(world, app, &alice).await;
    settled(world).await;
    assert!(!world.provider.is_alive(&gone.access_token));
    assert!(!world.provider.is_alive(&gone.refresh_token.unwrap()));
    assert!(world.provider.is_alive(&kept.access_token));
    let again = app.connect(&SignIn::of(ALICE)).await;
    assert_ne!(again.id, alice.id);
}

async fn rule_13_a_consent_another_application_lives_by_is_left_alone(world: &World) {
    let (app, other) = (&world.app, world.application("other").await);
    app.connector(Google, DEV).await;
    other.connector(Google, DEV).await;
    let mine = app.connect(&SignIn::of(ALICE)).await;
    let theirs = other.connect(&SignIn::of(ALICE)).await;
    let token = world.tokens(&theirs).await.access_token;
    delete(world, app, &mine).await;
    settled(world).await;
    assert_eq!(world.provider.counters().revocations, 0);
    assert!(world.provider.is_alive(&token));
    // The last one out puts out the light.
    delete(world, &other, &theirs).await;
    settled(world).await;
    assert_eq!(world.provider.counters().revocations, 1);
    assert!(!world.provider.is_alive(&token));
}

async fn rule_13_two_clients_of_one_project_share_a_consent(world: &World) {
    let (app, other) = (&world.app, world.application("other").await);
    // Google's client ids begin with the number of their project.
    for client in [
        "77-dev.apps.googleusercontent.com",
        "77-prod.apps.googleusercontent.com",
    ] {
        let own = keyway_sandbox::ClientConfig {
            project: "77".into(),
            ..keyway_sandbox::ClientConfig::new(
                client,
                &format!("{client}-secret"),
                &[keyway_testkit::CALLBACK_URI],
            )
        };
        world.provider.put_client(own);
    }
    app.connector(Google, "77-dev.apps.googleusercontent.com")
        .await;
    other
        .connector(Google, "77-prod.apps.googleusercontent.com")
        .await;
    let mine = app.connect(&SignIn::of(ALICE)).await;
    let theirs = other.connect(&SignIn::of(ALICE)).await;
    delete(world, app, &mine).await;
    settled(world).await;
    assert_eq!(world.provider.counters().revocations, 0);
    assert!(
        world
            .provider
            .is_alive(&world.tokens(&theirs).await.access_token)
    );
}

async fn rule_13_a_consent_to_another_project_does_not_keep_this_one_alive(world: &World) {
    let (app, other) = (&world.app, world.application("other").await);
    app.connector(Google, DEV).await;
    other.connector(Google, STAGING).await;
    let mine = app.connect(&SignIn::of(ALICE)).await;
    let theirs = other.connect(&SignIn::of(ALICE)).await;
    let token = world.tokens(&mine).await.access_token;
    delete(world, app, &mine).await;
    settled(world).await;
    assert!(!world.provider.is_alive(&token));
    assert!(
        world
            .provider
            .is_alive(&world.tokens(&theirs).await.access_token)
    );
}

async fn rule_13_a_sign_in_on_its_way_keeps_the_consent_it_will_live_by(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let grant = app.connect(&SignIn::of(ALICE)).await;
    let code = app.code(&SignIn::of(ALICE)).await.unwrap();
    delete(world, app, &grant).await;
    settled(world).await;
    assert_eq!(world.provider.counters().revocations, 0);
    let answer = app.exchange(&SignIn::of(ALICE), &code).await.unwrap();
    let tokens = world.tokens(&app.grant(answer.grant_id).await).await;
    assert!(world.provider.is_alive(&tokens.access_token));
}

async fn rule_13_migration_never_revokes(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let grant = app.connect(&SignIn::of(ALICE)).await;
    let old = world.tokens(&grant).await.access_token;
    app.connect(&SignIn::of(ALICE).through(staging.id)).await;
    let brought = app.minted(DEV, ALICE);
    app.bring(Google, None, &brought).await.unwrap();
    world.engine.tick().await.unwrap();
    assert_eq!(world.provider.counters().revocations, 0);
    assert!(world.provider.is_alive(&old));
}

async fn rule_13_a_revocation_outlasts_an_outage_of_the_provider(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let grant = app.connect(&SignIn::of(ALICE)).await;
    let token = world.tokens(&grant).await.access_token;
    world.provider.set_faults(Faults {
        revocation: Some(Fault::status(503)),
        ..Faults::default()
    });
    delete(world, app, &grant).await;
    eventually("the provider was asked", async || {
        world.provider.counters().revocations > 0
    })
    .await;
    assert_eq!(waiting(world).await, 1);
    world.provider.set_faults(Faults::default());
    world.pass_secs(61);
    world.engine.tick().await.unwrap();
    assert_eq!(waiting(world).await, 0);
    assert!(!world.provider.is_alive(&token));
}

async fn rule_13_a_revocation_goes_through_its_credential_even_when_that_is_deleted(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let grant = app.connect(&SignIn::of(ALICE).through(staging.id)).await;
    let token = world.tokens(&grant).await.access_token;
    world
        .engine
        .delete_credential(&app.caller, Google, staging.id)
        .await
        .unwrap();
    delete(world, app, &grant).await;
    settled(world).await;
    assert!(!world.provider.is_alive(&token));
    let revocations = world.provider.revocations();
    assert_eq!(revocations[0].client_id.as_deref(), Some(STAGING));
}

on_both_databases!(
    rule_13_deleting_a_grant_ends_its_consent_at_the_provider,
    rule_13_a_consent_another_application_lives_by_is_left_alone,
    rule_13_two_clients_of_one_project_share_a_consent,
    rule_13_a_consent_to_another_project_does_not_keep_this_one_alive,
    rule_13_a_sign_in_on_its_way_keeps_the_consent_it_will_live_by,
    rule_13_migration_never_revokes,
    rule_13_a_revocation_outlasts_an_outage_of_the_provider,
    rule_13_a_revocation_goes_through_its_credential_even_when_that_is_deleted,
);
