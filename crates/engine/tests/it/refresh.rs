//! Fresh provider tokens: one refresh at a time, durable before it is served, valid ones never withheld.

use keyway_core::grant::{Grant, GrantStatus};
use keyway_core::provider::Provider::Google;
use keyway_engine::grants::GrantPatch;
use keyway_sandbox::{Fault, Faults, Lie, Rotation};
use keyway_testkit::{
    ALICE, DEV, PROD, SignIn, World, WorldOptions, eventually, on_both_databases,
};
use secrecy::ExposeSecret as _;
use std::sync::Arc;

/// The sandbox's tokens live an hour.
const LIFETIME_SECS: i64 = 3600;

fn token_faults(fault: Fault) -> Faults {
    Faults {
        token: Some(fault),
        ..Faults::default()
    }
}

fn refreshes(world: &World) -> u64 {
    world.provider.counters().token_requests_of("refresh_token")
}

async fn connected(world: &World) -> Grant {
    world.app.connector(Google, DEV).await;
    world.app.connect(&SignIn::of(ALICE)).await
}

async fn expired(world: &World) -> Grant {
    let grant = connected(world).await;
    world.pass_secs(LIFETIME_SECS + 1);
    grant
}

async fn served(world: &World, grant: &Grant) -> String {
    let grant = world.app.grant(grant.id).await;
    let token = world.engine.fresh_token(&grant).await.unwrap();
    token.access_token.expose_secret().to_owned()
}

async fn a_fresh_token_is_served_without_asking_anybody(world: &World) {
    let grant = connected(world).await;
    let stored = world.tokens(&grant).await.access_token;
    assert_eq!(served(world, &grant).await, stored);
    assert!(world.engine.known_token(&grant).is_some());
    assert_eq!(refreshes(world), 0);
}

async fn rule_05_e4_a_thousand_callers_of_two_processes_cause_one_refresh(world: &World) {
    let grant = expired(world).await;
    let other = world.second_engine().await;
    world.provider.set_faults(token_faults(Fault::delay(400)));
    let callers = (0..1000).map(|n| {
        let engine = if n % 2 == 0 {
            world.engine.clone()
        } else {
            other.clone()
        };
        let grant = grant.clone();
        async move { engine.fresh_token(&grant).await.unwrap() }
    });
    let tokens = futures_util::future::join_all(callers).await;
    assert_eq!(refreshes(world), 1);
    let first = tokens[0].access_token.expose_secret();
    assert!(
        tokens
            .iter()
            .all(|token| token.access_token.expose_secret() == first)
    );
    assert!(world.provider.is_alive(first));
    assert_eq!(world.provider.counters().overlapping_refreshes, 0);
}

async fn rule_05_a_rotated_refresh_token_is_stored_before_its_access_token_is_served(
    world: &World,
) {
    let grant = expired(world).await;
    let before = world.tokens(&grant).await.refresh_token.unwrap();
    let token = served(world, &grant).await;
    let after = world.tokens(&grant).await;
    assert_eq!(after.access_token, token);
    let kept = after.refresh_token.unwrap();
    assert!(kept != before && world.provider.is_alive(&kept) && !world.provider.is_alive(&before));
}

async fn rule_01_a_refresh_goes_through_the_grants_own_credential(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let production = app.credential(Google, "production", PROD).await;
    let grant = app.connect(&SignIn::of(ALICE).through(production.id)).await;
    world.pass_secs(LIFETIME_SECS + 1);
    let token = served(world, &grant).await;
    assert_eq!(world.recorder.client_of(&token).as_deref(), Some(PROD));
}

async fn rule_11_e1_a_valid_token_is_served_while_the_provider_is_down(world: &World) {
    let grant = connected(world).await;
    let stored = world.tokens(&grant).await.access_token;
    world.provider.set_faults(token_faults(Fault::status(503)));
    // Ageing: due for a refresh, and good for another minute.
    world.pass_secs(LIFETIME_SECS - 60);
    for _ in 0..3 {
        assert_eq!(served(world, &grant).await, stored);
    }
    eventually("the refresh was tried", async || refreshes(world) > 0).await;
    eventually("and has failed", async || {
        world.engine.refreshes_under_way() == 0
    })
    .await;
    assert_eq!(served(world, &grant).await, stored);
    assert_eq!(world.app.grant(grant.id).await.status, GrantStatus::Valid);
    // Mended: a use after the pause renews it, with nobody waiting.
    world.provider.set_faults(Faults::default());
    world.pass_secs(10);
    eventually("it is renewed", async || {
        served(world, &grant).await != stored
    })
    .await;
}

async fn rule_11_an_expired_token_is_not_served_and_the_wait_is_told(world: &World) {
    let grant = expired(world).await;
    world.provider.set_faults(token_faults(Fault::status(503)));
    let refused = world.engine.fresh_token(&grant).await.unwrap_err();
    assert_eq!(
        refused.kind(),
        keyway_engine::ErrorKind::ProviderUnavailable
    );
    assert!(refused.retry_after_secs().is_some());
    // Nobody hammers: until the pause is over, the provider is left alone.
    let asked = refreshes(world);
    for _ in 0..5 {
        assert!(world.engine.fresh_token(&grant).await.is_err());
    }
    assert_eq!(refreshes(world), asked);
    world.provider.set_faults(Faults::default());
    world.pass_secs(2);
    assert!(world.engine.fresh_token(&grant).await.is_ok());
}

async fn rule_04_e2_a_reauthentication_during_a_refresh_wins(world: &World) {
    let app = &world.app;
    let grant = expired(world).await;
    let production = app.credential(Google, "production", PROD).await;
    world.provider.set_faults(token_faults(
        Fault::delay(300).for_grant_type("refresh_token"),
    ));
    let (engine, refreshed) = (world.engine.clone(), grant.clone());
    let refresh = async move { engine.fresh_token(&refreshed).await };
    let moved = async {
        eventually("the refresh is under way", async || refreshes(world) > 0).await;
        app.connect(&SignIn::of(ALICE).through(production.id)).await
    };
    let (_, moved) = Box::pin(futures_util::future::join(refresh, moved)).await;
    assert_eq!(moved.id, grant.id);
    let current = world.tokens(&moved).await;
    assert_eq!(current.set.credential_id, production.id);
    assert_eq!(
        world.recorder.client_of(&current.access_token).as_deref(),
        Some(PROD)
    );
    assert_eq!(served(world, &grant).await, current.access_token);
}

async fn e3_a_patch_during_a_refresh_is_not_lost(world: &World) {
    let app = &world.app;
    let grant = expired(world).await;
    world.provider.set_faults(token_faults(Fault::delay(200)));
    let (engine, refreshed) = (world.engine.clone(), grant.clone());
    let refresh = async move { engine.fresh_token(&refreshed).await.unwrap() };
    let patch = async {
        eventually("the refresh is under way", async || refreshes(world) > 0).await;
        let patch = GrantPatch {
            external_id: Some(Some("ext".into())),
            ..GrantPatch::default()
        };
        let locator = keyway_core::grant::GrantLocator::Id(grant.id);
        world
            .engine
            .update_grant(&app.caller, locator, patch)
            .await
            .unwrap()
    };
    futures_util::future::join(refresh, patch).await;
    assert_eq!(
        app.grant(grant.id).await.external_id.as_deref(),
        Some("ext")
    );
}

async fn a_refresh_is_finished_though_its_caller_has_hung_up(world: &World) {
    let grant = expired(world).await;
    let before = world.tokens(&grant).await.refresh_token.unwrap();
    world.provider.set_faults(token_faults(Fault::delay(200)));
    let hanging = Box::pin(world.engine.fresh_token(&grant));
    tokio::select! {
        _ = hanging => panic!("it was done too soon"),
        () = eventually("the provider is asked", async || refreshes(world) > 0) => {}
    }
    eventually("the rotated token is stored", async || {
        world.tokens(&grant).await.refresh_token.unwrap() != before
    })
    .await;
}

async fn odd_answers_to_a_refresh_are_made_plausible(world: &World) {
    let grant = expired(world).await;
    for lie in [
        Lie::MissingExpiresIn,
        Lie::AbsurdExpiresIn,
        Lie::NegativeExpiresIn,
        Lie::ExpiresInAsText,
        Lie::MissingScope,
        Lie::OtherScope,
    ] {
        world.provider.set_faults(token_faults(Fault::lie(lie)));
        let token = served(world, &grant).await;
        assert!(world.provider.is_alive(&token), "{lie:?}");
        // Whatever it said, the token is refreshed again in time.
        world.pass_secs(91 * 24 * LIFETIME_SECS);
    }
    assert_eq!(refreshes(world), 6);
}

async fn an_answer_without_a_refresh_token_keeps_the_old_one(world: &World) {
    let grant = expired(world).await;
    let before = world.tokens(&grant).await.refresh_token;
    world
        .provider
        .set_faults(token_faults(Fault::lie(Lie::MissingRefreshToken)));
    served(world, &grant).await;
    assert_eq!(world.tokens(&grant).await.refresh_token, before);
}

async fn a_refused_token_is_replaced_once_for_all_who_hold_it(world: &World) {
    let grant = connected(world).await;
    let refused = world.engine.fresh_token(&grant).await.unwrap();
    let replaced = (0..8).map(|_| world.engine.replace_refused(&grant, Arc::clone(&refused)));
    let tokens = futures_util::future::join_all(replaced).await;
    assert_eq!(refreshes(world), 1);
    for token in tokens {
        assert!(!token.unwrap().is_same_as(&refused));
    }
    // Somebody who held the old one all along gets the new one, not another.
    world.engine.replace_refused(&grant, refused).await.unwrap();
    assert_eq!(refreshes(world), 1);
}

async fn a_token_opened_ten_minutes_ago_is_opened_anew_and_remembered_again(world: &World) {
    let grant = connected(world).await;
    world.engine.fresh_token(&grant).await.unwrap();
    for _ in 0..3 {
        assert!(world.engine.known_token(&grant).is_some());
        world.pass_secs(601);
        assert!(world.engine.known_token(&grant).is_none());
        world.engine.fresh_token(&grant).await.unwrap();
    }
    assert_eq!(refreshes(world), 0);
}

async fn what_another_process_changed_is_not_served_from_memory(world: &World) {
    let grant = connected(world).await;
    let app = &world.app;
    let production = app.credential(Google, "production", PROD).await;
    let second = world.second_engine().await;
    second.run_background();
    let remembered = async || {
        eventually("it is remembered", async || {
            let grant = app.grant(grant.id).await;
            drop(second.fresh_token(&grant).await);
            second.known_token(&grant).is_some()
        })
        .await;
    };
    remembered().await;
    // Moved: the old tokens are forgotten there.
    app.connect(&SignIn::of(ALICE).through(production.id)).await;
    eventually("it is forgotten", async || {
        second.known_token(&grant).is_none()
    })
    .await;
    remembered().await;
    // Replaced.
    let held = second.known_token(&app.grant(grant.id).await).unwrap();
    let moved = app.grant(grant.id).await;
    let replaced = world.engine.replace_refused(&moved, Arc::clone(&held));
    replaced.await.unwrap();
    eventually("another is served", async || {
        let grant = app.grant(grant.id).await;
        !second.fresh_token(&grant).await.unwrap().is_same_as(&held)
    })
    .await;
    second.shutdown().await;
}

async fn a_grant_kept_alive_by_one_process_is_left_alone_by_the_other(world: &World) {
    let grant = connected(world).await;
    world.pass_secs(61 * 24 * 3600);
    let second = world.second_engine().await;
    let (one, other) = futures_util::future::join(world.engine.tick(), second.tick()).await;
    one.unwrap();
    other.unwrap();
    second.tick().await.unwrap();
    assert_eq!(refreshes(world), 1);
    assert_eq!(world.app.grant(grant.id).await.status, GrantStatus::Valid);
}

async fn grants_nobody_uses_are_kept_alive_and_no_oftener(world: &World) {
    let grant = connected(world).await;
    world.engine.tick().await.unwrap();
    assert_eq!(refreshes(world), 0);
    world.pass_secs(61 * 24 * 3600);
    world.engine.tick().await.unwrap();
    assert_eq!(refreshes(world), 1);
    world.pass_secs(24 * 3600);
    world.engine.tick().await.unwrap();
    assert_eq!(refreshes(world), 1);
    assert_eq!(world.app.grant(grant.id).await.status, GrantStatus::Valid);
}

on_both_databases!(
    a_fresh_token_is_served_without_asking_anybody,
    rule_01_a_refresh_goes_through_the_grants_own_credential,
    rule_11_e1_a_valid_token_is_served_while_the_provider_is_down,
    rule_11_an_expired_token_is_not_served_and_the_wait_is_told,
    e3_a_patch_during_a_refresh_is_not_lost,
    odd_answers_to_a_refresh_are_made_plausible,
    an_answer_without_a_refresh_token_keeps_the_old_one,
    a_refused_token_is_replaced_once_for_all_who_hold_it,
    a_token_opened_ten_minutes_ago_is_opened_anew_and_remembered_again,
    what_another_process_changed_is_not_served_from_memory,
    a_grant_kept_alive_by_one_process_is_left_alone_by_the_other,
    grants_nobody_uses_are_kept_alive_and_no_oftener,
);

fn rotating() -> WorldOptions {
    World::options().rotation(Rotation::OnWithReuseDetection)
}

on_both_databases!(rotating() =>
    rule_05_e4_a_thousand_callers_of_two_processes_cause_one_refresh,
    rule_05_a_rotated_refresh_token_is_stored_before_its_access_token_is_served,
    rule_04_e2_a_reauthentication_during_a_refresh_wins,
    a_refresh_is_finished_though_its_caller_has_hung_up,
);
