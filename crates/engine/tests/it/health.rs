//! A credential's health: a wrong client secret is noticed, said, and forgotten when mended.

use keyway_core::credential::{Credential, HealthStatus};
use keyway_core::grant::GrantStatus;
use keyway_core::provider::Provider::Google;
use keyway_engine::credentials::CredentialPatch;
use keyway_engine::health::HealthReport;
use keyway_testkit::{
    ALICE, BOB, CALLBACK_URI, DEV, STAGING, SignIn, World, eventually, object, on_both_databases,
};
use serde_json::json;

async fn report(world: &World, credential: &Credential) -> HealthReport {
    let (engine, caller) = (&world.engine, &world.app.caller);
    engine
        .credential_health(caller, Google, credential.id)
        .await
        .unwrap()
}

async fn stored(world: &World, credential: &Credential) -> HealthStatus {
    let (engine, caller) = (&world.engine, &world.app.caller);
    let row = engine
        .credential(caller, Google, credential.id)
        .await
        .unwrap();
    row.health.status
}

async fn with_secret(world: &World, credential: &Credential, secret: &str) {
    let patch = CredentialPatch {
        data: Some(object(
            json!({"client_id": STAGING, "client_secret": secret}),
        )),
        ..CredentialPatch::default()
    };
    let patched = world
        .engine
        .update_credential(&world.app.caller, Google, credential.id, patch);
    patched.await.unwrap();
}

async fn a_wrong_secret_is_noticed_when_it_is_stored_and_healed_when_mended(world: &World) {
    world.app.connector(Google, DEV).await;
    let mut new = world.app.new_credential("staging", STAGING);
    new.data.insert("client_secret".into(), json!("wrong"));
    let made = world
        .engine
        .create_credential(&world.app.caller, Google, new)
        .await
        .unwrap();
    eventually("the wrong secret is noticed", async || {
        stored(world, &made).await == HealthStatus::Failing
    })
    .await;
    let failing = report(world, &made).await;
    assert_eq!(failing.health.error.as_deref(), Some("invalid_client"));
    assert!(failing.health.message.unwrap().contains("PATCH"));
    assert_eq!(failing.health.since, Some(world.engine.now()));
    world.pass_secs(60);
    with_secret(world, &made, &format!("{STAGING}-secret")).await;
    eventually("the right secret is noticed", async || {
        stored(world, &made).await == HealthStatus::Healthy
    })
    .await;
    let healthy = report(world, &made).await;
    assert_eq!((healthy.health.error, healthy.health.message), (None, None));
    assert_eq!(healthy.health.since, Some(world.engine.now()));
}

async fn asking_for_health_asks_the_provider_but_not_more_often_than_it_should(world: &World) {
    let connector = world.app.connector(Google, DEV).await;
    let (caller, id) = (&world.app.caller, connector.active_credential_id.unwrap());
    let primary = world.engine.credential(caller, Google, id).await.unwrap();
    eventually("it is probed", async || {
        stored(world, &primary).await == HealthStatus::Healthy
    })
    .await;
    let asked = || {
        world
            .provider
            .counters()
            .token_requests_of("authorization_code")
    };
    assert_eq!(asked(), 1);
    for _ in 0..3 {
        report(world, &primary).await;
    }
    assert_eq!(asked(), 1);
}

async fn health_tells_what_to_register_and_who_depends_on_it(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    assert_eq!(
        report(world, &staging).await.health.status,
        HealthStatus::Unknown
    );
    app.connect(&SignIn::of(ALICE).through(staging.id)).await;
    app.connect(&SignIn::of(BOB).through(staging.id)).await;
    let told = report(world, &staging).await;
    assert_eq!(told.redirect_uri, CALLBACK_URI);
    assert!(told.scope.contains("openid") && told.scope.contains("mail.read"));
    assert_eq!((told.grants.valid, told.grants.invalid), (2, 0));
    // A sign-in says as much as a probe.
    assert_eq!(told.health.status, HealthStatus::Healthy);
}

async fn a_broken_credential_is_its_own_fault_and_not_its_grants(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let through = SignIn::of(ALICE).through(staging.id);
    let grant = app.connect(&through).await;
    with_secret(world, &staging, "wrong").await;
    let ended = app.code(&through).await.unwrap_err();
    assert_eq!(ended.returned("error"), "unauthorized_client");
    assert_eq!(stored(world, &staging).await, HealthStatus::Failing);
    assert_eq!(
        app.grant(grant.id).await.effective_status(),
        GrantStatus::Valid
    );
    with_secret(world, &staging, &format!("{STAGING}-secret")).await;
    assert_eq!(app.connect(&through).await.id, grant.id);
    assert_eq!(stored(world, &staging).await, HealthStatus::Healthy);
}

on_both_databases!(
    health_tells_what_to_register_and_who_depends_on_it,
    a_broken_credential_is_its_own_fault_and_not_its_grants,
);
on_both_databases!(World::options().probing() =>
    a_wrong_secret_is_noticed_when_it_is_stored_and_healed_when_mended,
    asking_for_health_asks_the_provider_but_not_more_often_than_it_should,
);
