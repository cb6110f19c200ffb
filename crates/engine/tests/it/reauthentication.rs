//! Rule 4: what re-authentication keeps, what it replaces, and when.

use keyway_core::grant::{Grant, GrantStatus};
use keyway_core::provider::Provider::Google;
use keyway_engine::sign_in::Browser;
use keyway_sandbox::{Fault, Faults};
use keyway_testkit::{ALICE, BOB, DEV, STAGING, SignIn, World, on_both_databases};

fn from(ip: &str) -> Browser {
    Browser {
        ip: Some(ip.into()),
        user_agent: Some(format!("Browser at {ip}")),
    }
}

async fn first(world: &World) -> Grant {
    world.app.connector(Google, DEV).await;
    let mut sign_in = SignIn::of(ALICE).state("first").external_id("user-1");
    sign_in.browser = from("192.0.2.1");
    world.app.connect(&sign_in).await
}

async fn rule_04_reauthentication_keeps_what_it_must_and_replaces_the_rest(world: &World) {
    let app = &world.app;
    let before = first(world).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    world.pass_secs(60);
    let mut again = SignIn::of(ALICE)
        .through(staging.id)
        .scope("mail.send")
        .state("second");
    again.browser = from("192.0.2.2");
    let after = app.connect(&again).await;
    assert_eq!(after.id, before.id);
    assert_eq!(after.created_at, before.created_at);
    assert_eq!(after.workspace_id, before.workspace_id);
    assert_eq!(after.external_id.as_deref(), Some("user-1"));
    assert_eq!(after.credential_id, Some(staging.id));
    assert_eq!(after.state.as_deref(), Some("second"));
    assert_eq!(after.ip.as_deref(), Some("192.0.2.2"));
    assert_eq!(after.user_agent.as_deref(), Some("Browser at 192.0.2.2"));
    assert!(after.scope.contains("mail.send") && !after.scope.contains("mail.read"));
    assert_eq!(after.updated_at, before.updated_at.plus_secs(60));
    assert_eq!(after.status, GrantStatus::Valid);
    assert_eq!(app.grants().await.len(), 1);
    let client = world
        .recorder
        .client_of(&world.tokens(&after).await.access_token);
    assert_eq!(client.as_deref(), Some(STAGING));
}

async fn rule_04_the_new_tokens_wait_for_the_exchange(world: &World) {
    let app = &world.app;
    let before = first(world).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let old = world.tokens(&before).await;
    let again = SignIn::of(ALICE).through(staging.id);
    let unchanged = world.snapshot().await;
    let code = app.code(&again).await.unwrap();
    assert_eq!(world.snapshot().await, unchanged);
    assert!(world.provider.is_alive(&old.access_token));
    app.exchange(&again, &code).await.unwrap();
    let after = app.grant(before.id).await;
    assert_ne!(world.tokens(&after).await.access_token, old.access_token);
    // The old tokens were dropped, not revoked.
    assert_eq!(world.provider.counters().revocations, 0);
}

async fn rule_04_an_abandoned_reauthentication_changes_nothing(world: &World) {
    let app = &world.app;
    let before = first(world).await;
    let old = world.tokens(&before).await.access_token;
    let unchanged = world.snapshot().await;
    let code = app
        .code(&SignIn::of(ALICE).scope("mail.send"))
        .await
        .unwrap();
    world.pass_secs(301);
    let late = app.exchange(&SignIn::of(ALICE), &code).await.unwrap_err();
    assert_eq!(late.error, "invalid_grant");
    assert_eq!(world.snapshot().await, unchanged);
    assert_eq!(world.tokens(&before).await.access_token, old);
    // Sweeping the pending set away leaves the grant alone.
    for _ in 0..3 {
        world.pass_secs(24 * 3600);
        world.engine.tick().await.unwrap();
    }
    assert_eq!(app.grant(before.id).await, before);
    world.tokens(&before).await;
}

async fn rule_04_a_failed_reauthentication_changes_nothing(world: &World) {
    let app = &world.app;
    first(world).await;
    let unchanged = world.snapshot().await;
    let declined = app.code(&SignIn::of(ALICE).declining()).await.unwrap_err();
    assert_eq!(declined.returned("error"), "access_denied");
    world.provider.set_faults(Faults {
        token: Some(Fault::status(502)),
        ..Faults::default()
    });
    app.code(&SignIn::of(ALICE)).await.unwrap_err();
    world.provider.set_faults(Faults::default());
    let other = app.code(&SignIn::of(BOB).hint(ALICE)).await.unwrap_err();
    assert_eq!(other.returned("error_code"), "25022");
    let code = app.code(&SignIn::of(ALICE)).await.unwrap();
    let elsewhere = SignIn::of(ALICE).back_to(&app.page_uri);
    app.exchange(&elsewhere, &code).await.unwrap_err();
    assert_eq!(world.snapshot().await, unchanged);
}

async fn rule_04_a_brought_token_replaces_and_keeps_the_same(world: &World) {
    let app = &world.app;
    let before = first(world).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    world.pass_secs(60);
    let token = app.minted(STAGING, ALICE);
    let after = app.bring(Google, Some(staging.id), &token).await.unwrap();
    assert_eq!((after.id, after.created_at), (before.id, before.created_at));
    assert_eq!(after.external_id, before.external_id);
    assert_eq!(after.credential_id, Some(staging.id));
    assert_eq!(
        (after.ip, after.user_agent, after.state),
        (None, None, None)
    );
    assert_eq!(after.updated_at, before.updated_at.plus_secs(60));
}

async fn rule_04_a_grant_without_an_end_gets_a_fresh_refresh_state_with_its_new_tokens(
    world: &World,
) {
    let app = &world.app;
    let grant = first(world).await;
    app.connect(&SignIn::of(ALICE)).await;
    let (application_id, id) = (grant.application_id, grant.id);
    let state = world
        .store
        .read(move |s| Box::pin(async move { s.refresh_state(application_id, id).await }))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (state.failures, state.last_error, state.version),
        (0, None, 2)
    );
}

on_both_databases!(
    rule_04_reauthentication_keeps_what_it_must_and_replaces_the_rest,
    rule_04_the_new_tokens_wait_for_the_exchange,
    rule_04_an_abandoned_reauthentication_changes_nothing,
    rule_04_a_failed_reauthentication_changes_nothing,
    rule_04_a_brought_token_replaces_and_keeps_the_same,
    rule_04_a_grant_without_an_end_gets_a_fresh_refresh_state_with_its_new_tokens,
);
