//! A provider that is down, silent or half there: what waits for it waits alone, and nothing is lost.

use keyway_core::change::{Action, Entity};
use keyway_core::grant::{Grant, GrantLocator};
use keyway_core::provider::Provider::Google;
use keyway_engine::Error;
use keyway_sandbox::{Fault, Faults, Lie, Rotation};
use keyway_testkit::{ALICE, BOB, DEV, STAGING, SignIn, World, eventually, on_both_databases};
use std::time::Duration;

const DAY_SECS: i64 = 24 * 3600;

fn on_revocation(fault: Fault) -> Faults {
    Faults {
        revocation: Some(fault),
        ..Faults::default()
    }
}

async fn delete(world: &World, grant: &Grant) {
    let locator = GrantLocator::Id(grant.id);
    let deleted = world.engine.delete_grant(&world.app.caller, locator);
    deleted.await.unwrap();
}

/// How many revocations wait to be told.
async fn waiting(world: &World) -> usize {
    let job = world
        .store
        .read(|s| Box::pin(async move { s.revoking_token_sets(10).await }));
    job.await.unwrap().len()
}

async fn asked(world: &World, times: u64) {
    eventually("the provider is asked", async || {
        world.provider.counters().revocations >= times
    })
    .await;
}

/// A grant deleted while the provider's revocation endpoint is down.
async fn delete_in_vain(world: &World, email: &str) {
    let grant = world.app.connect(&SignIn::of(email)).await;
    let before = world.provider.counters().revocations;
    delete(world, &grant).await;
    asked(world, before + 1).await;
}

async fn rule_13_deleting_a_grant_tells_of_that_grant_alone(world: &World) {
    world.app.connector(Google, DEV).await;
    let bob = world.app.connect(&SignIn::of(BOB)).await;
    world.provider.set_faults(on_revocation(Fault::status(503)));
    delete_in_vain(world, ALICE).await;
    world.provider.set_faults(Faults::default());
    delete(world, &bob).await;
    eventually("Bob's is done", async || waiting(world).await == 1).await;
    assert_eq!(world.provider.counters().revocations, 2);
}

async fn rule_13_a_revocation_in_vain_rests_ever_longer(world: &World) {
    world.app.connector(Google, DEV).await;
    world.provider.set_faults(on_revocation(Fault::status(503)));
    delete_in_vain(world, ALICE).await;
    let mut tries = Vec::new();
    for _ in 0..8 {
        world.pass_secs(60);
        world.engine.tick().await.unwrap();
        tries.push(world.provider.counters().revocations - 1);
    }
    // After one minute, two, four and eight.
    assert_eq!(tries, [1, 2, 2, 3, 3, 3, 3, 4]);
    assert_eq!(waiting(world).await, 1);
}

async fn rule_13_a_revocation_is_given_up_after_a_day(world: &World) {
    world.app.connector(Google, DEV).await;
    world.provider.set_faults(on_revocation(Fault::status(503)));
    delete_in_vain(world, ALICE).await;
    world.pass_secs(DAY_SECS - 1);
    world.engine.tick().await.unwrap();
    assert_eq!(waiting(world).await, 1);
    world.pass_secs(3600);
    world.engine.tick().await.unwrap();
    assert_eq!(waiting(world).await, 0);
    // It was tried once more before.
    assert_eq!(world.provider.counters().revocations, 3);
}

async fn a_silent_provider_is_waited_for_once_in_a_round(world: &World) {
    world.app.connector(Google, DEV).await;
    let grants = [
        world.app.connect(&SignIn::of(ALICE)).await,
        world.app.connect(&SignIn::of(BOB)).await,
    ];
    world.recorder.limit_deadlines(Duration::from_millis(100));
    world
        .provider
        .set_faults(on_revocation(Fault::delay(5_000)));
    for grant in &grants {
        delete(world, grant).await;
    }
    asked(world, 2).await;
    world.pass_secs(61);
    let before = world.provider.counters().revocations;
    world.engine.tick().await.unwrap();
    assert_eq!(world.provider.counters().revocations, before + 1);
    // Both rest now: the next round asks nobody.
    world.engine.tick().await.unwrap();
    assert_eq!(world.provider.counters().revocations, before + 1);
    assert_eq!(waiting(world).await, 2);
}

async fn rule_10_a_grant_swept_with_its_credential_leaves_an_entry(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let grant = app.connect(&SignIn::of(ALICE).through(staging.id)).await;
    let kept = app.connect(&SignIn::of(BOB)).await;
    let deleted = world
        .engine
        .delete_credential(&app.caller, Google, staging.id);
    deleted.await.unwrap();
    let seq = world.latest_seq().await;
    world.pass_secs(31 * DAY_SECS);
    world.engine.tick().await.unwrap();
    let changes = world.changes_since(seq).await;
    let gone: Vec<_> = changes
        .iter()
        .filter(|c| c.entity == Entity::Grant && c.action == Action::Deleted)
        .collect();
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].entity_id, grant.id.to_string());
    assert_eq!(gone[0].application_id, app.id);
    assert_eq!(gone[0].actor, "engine");
    assert_eq!(gone[0].detail["cause"], "connector_or_credential_deleted");
    let left: Vec<_> = app.grants().await.iter().map(|g| g.id).collect();
    assert_eq!(left, [kept.id]);
}

/// The id_token says too little, and userinfo fails in that way.
fn nobody_says_whose(userinfo: Fault) -> Faults {
    Faults {
        token: Some(Fault::lie(Lie::MissingEmail)),
        userinfo: Some(userinfo),
        ..Faults::default()
    }
}

async fn bring_under(world: &World, faults: Faults) -> Result<Grant, Error> {
    world.app.connector(Google, DEV).await;
    world.provider.set_faults(faults);
    let token = world.app.minted(DEV, ALICE);
    world.app.bring(Google, None, &token).await
}

async fn rule_05_a_replaced_token_outlasts_a_moment_without_userinfo(world: &World) {
    let twice = Fault {
        next_n: Some(2),
        ..Fault::status(503)
    };
    let grant = bring_under(world, nobody_says_whose(twice)).await.unwrap();
    let kept = world.tokens(&grant).await.refresh_token.unwrap();
    assert!(world.provider.is_alive(&kept));
    assert_eq!(
        world.provider.counters().token_requests_of("refresh_token"),
        1
    );
}

async fn an_application_is_told_that_its_token_was_replaced_in_vain(world: &World) {
    let faults = nobody_says_whose(Fault::status(404));
    let error = bring_under(world, faults).await.unwrap_err();
    let words = error.message();
    assert!(words.contains("has replaced the refresh token"), "{words}");
    assert!(world.app.grants().await.is_empty());
}

async fn a_token_that_was_not_replaced_may_be_sent_again(world: &World) {
    let faults = nobody_says_whose(Fault::status(503));
    let error = bring_under(world, faults).await.unwrap_err();
    let words = error.message();
    assert!(words.contains("userinfo"), "{words}");
    assert!(!words.contains("has replaced"), "{words}");
}

async fn nothing_remembered_counts_when_changes_are_no_longer_followed(world: &World) {
    let (engine, key) = (&world.engine, world.app.api_key());
    // A command of the program follows nothing, and remembers its own.
    engine.caller(key).await.unwrap();
    assert!(engine.known_principal(key).is_some());
    engine.run_background();
    eventually("what is remembered counts again", async || {
        engine.caller(key).await.is_ok() && engine.known_principal(key).is_some()
    })
    .await;
    engine.shutdown().await;
    eventually("it counts no more", async || {
        engine.known_principal(key).is_none()
    })
    .await;
    // The database is asked instead.
    assert!(engine.caller(key).await.is_ok());
    assert!(engine.known_principal(key).is_none());
}

on_both_databases!(
    rule_13_deleting_a_grant_tells_of_that_grant_alone,
    rule_13_a_revocation_in_vain_rests_ever_longer,
    rule_13_a_revocation_is_given_up_after_a_day,
    a_silent_provider_is_waited_for_once_in_a_round,
    rule_10_a_grant_swept_with_its_credential_leaves_an_entry,
    a_token_that_was_not_replaced_may_be_sent_again,
    nothing_remembered_counts_when_changes_are_no_longer_followed,
);
on_both_databases!(World::options().rotation(Rotation::OnWithReuseDetection) =>
    rule_05_a_replaced_token_outlasts_a_moment_without_userinfo,
    an_application_is_told_that_its_token_was_replaced_in_vain,
);
