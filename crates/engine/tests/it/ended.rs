//! What has ended goes, and nothing else.

use crate::tokens::{limit_refresh_tokens, refresh};
use keyway_core::change::{Action, Entity};
use keyway_core::provider::Provider::Google;
use keyway_store::{StoreError, portable_table};
use keyway_testkit::{ALICE, BOB, DEV, SignIn, World, on_both_databases};

const HOUR_SECS: i64 = 3600;
const DAY_SECS: i64 = 24 * HOUR_SECS;

async fn tick_after(world: &World, secs: i64) {
    world.pass_secs(secs);
    world.engine.tick().await.unwrap();
}

async fn refresh_tokens(world: &World) -> i64 {
    let table = portable_table("refresh_tokens").unwrap();
    let job = world
        .store
        .read(move |s| Box::pin(async move { s.count_portable(table).await }));
    let counted: Result<_, StoreError> = job.await;
    counted.unwrap()
}

async fn refresh_tokens_past_their_applications_limits_go(world: &World) {
    let (app, other) = (&world.app, world.application("other").await);
    // Without limits, and before and behind those that have some.
    for free in [&other, &world.application("third").await] {
        free.connector(Google, DEV).await;
        free.sign_in(&SignIn::of(ALICE).offline()).await;
    }
    app.connector(Google, DEV).await;
    limit_refresh_tokens(world, Some(2 * HOUR_SECS), Some(DAY_SECS)).await;
    let unused = app.sign_in(&SignIn::of(ALICE).offline()).await;
    let used = app.sign_in(&SignIn::of(BOB).offline()).await;
    tick_after(world, HOUR_SECS).await;
    app.refresh(refresh(&used)).await.unwrap();
    tick_after(world, HOUR_SECS - 1).await;
    assert_eq!(refresh_tokens(world).await, 4);
    tick_after(world, HOUR_SECS).await;
    assert_eq!(refresh_tokens(world).await, 3);
    let refused = app.refresh(refresh(&unused)).await.unwrap_err();
    assert_eq!(refused.error, "invalid_grant");
    app.refresh(refresh(&used)).await.unwrap();
    for _ in 0..22 {
        tick_after(world, HOUR_SECS).await;
        let _ = app.refresh(refresh(&used)).await;
    }
    // However often it was used.
    assert_eq!(refresh_tokens(world).await, 2);
    assert_eq!(world.database().half_done().await, Vec::<String>::new());
}

async fn rule_10_api_keys_go_a_month_after_they_ended_and_leave_an_entry(world: &World) {
    let (engine, id) = (&world.engine, world.app.id);
    let (revoked, _) = engine.create_key(id, "revoked", None).await.unwrap();
    engine.revoke_key(id, revoked.id).await.unwrap();
    let end = Some(engine.now().plus_secs(HOUR_SECS));
    let (expired, _) = engine.create_key(id, "expired", end).await.unwrap();
    let seq = world.latest_seq().await;
    let keys = async || {
        let keys = engine.keys(id).await.unwrap();
        keys.into_iter().map(|key| key.name).collect::<Vec<_>>()
    };
    tick_after(world, 30 * DAY_SECS).await;
    assert_eq!(keys().await.len(), 3);
    tick_after(world, HOUR_SECS).await;
    assert!(!keys().await.contains(&"revoked".to_owned()));
    tick_after(world, HOUR_SECS).await;
    assert_eq!(keys().await.len(), 1);
    let changes = world.changes_since(seq).await;
    let gone = changes.iter().filter(|c| c.entity == Entity::ApiKey);
    let gone: Vec<_> = gone.map(|c| (c.action, c.entity_id.clone())).collect();
    let entry = |id: String| (Action::Deleted, id);
    assert_eq!(
        gone,
        [entry(revoked.id.to_string()), entry(expired.id.to_string())]
    );
    assert_eq!(world.database().half_done().await, Vec::<String>::new());
}

on_both_databases!(
    refresh_tokens_past_their_applications_limits_go,
    rule_10_api_keys_go_a_month_after_they_ended_and_leave_an_entry,
);
