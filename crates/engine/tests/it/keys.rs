//! API keys, here and in other processes.

use keyway_core::ids::ApiKeyId;
use keyway_core::provider::Provider::Google;
use keyway_engine::keys::Rotation;
use keyway_engine::{Engine, ErrorKind};
use keyway_testkit::{ALICE, DEV, SignIn, World, eventually, on_both_databases};
use secrecy::{ExposeSecret as _, SecretString};
use std::time::Duration;
use tokio::time::Instant;

async fn opens(engine: &Engine, key: &SecretString) -> bool {
    match engine.caller(key.expose_secret()).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unauthorized);
            false
        }
    }
}

async fn make(world: &World) -> (ApiKeyId, SecretString) {
    let (row, secret) = world
        .engine
        .create_key(world.app.id, "second", None)
        .await
        .unwrap();
    (row.id, secret)
}

async fn a_revoked_key_opens_nothing_from_that_moment_on(world: &World) {
    let (id, key) = make(world).await;
    assert!(opens(&world.engine, &key).await);
    world.engine.revoke_key(world.app.id, id).await.unwrap();
    assert!(!opens(&world.engine, &key).await);
    let again = world.engine.revoke_key(world.app.id, id).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotFound);
    // The first key is none the worse for it.
    assert!(world.engine.caller(world.app.api_key()).await.is_ok());
}

async fn a_revoked_key_opens_nothing_in_another_process_within_a_tenth_of_a_second(world: &World) {
    let other = world.second_engine().await;
    world.engine.run_background();
    other.run_background();
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let (id, key) = make(world).await;
        assert!(opens(&other, &key).await);
        world.engine.revoke_key(world.app.id, id).await.unwrap();
        let began = Instant::now();
        eventually("the other process knows", async || {
            !opens(&other, &key).await
        })
        .await;
        fastest = fastest.min(began.elapsed());
    }
    // The fastest of five: a machine busy with other tests must not fail this one.
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
    other.shutdown().await;
}

async fn a_key_ends_when_it_was_to_end(world: &World) {
    let end = world.engine.now().plus_secs(60);
    let (_, key) = world
        .engine
        .create_key(world.app.id, "short", Some(end))
        .await
        .unwrap();
    world.pass_secs(59);
    assert!(opens(&world.engine, &key).await);
    world.pass_secs(1);
    assert!(!opens(&world.engine, &key).await);
}

async fn a_key_that_is_remembered_ends_at_the_very_millisecond(world: &World) {
    let (engine, id) = (&world.engine, world.app.id);
    let end = engine.now().plus_ms(60_001);
    let (_, key) = engine.create_key(id, "short", Some(end)).await.unwrap();
    let text = key.expose_secret();
    assert!(opens(engine, &key).await && engine.known_principal(text).is_some());
    world.pass_secs(60);
    assert!(opens(engine, &key).await && engine.known_principal(text).is_some());
    world.clock.advance_ms(1);
    assert!(!opens(engine, &key).await && engine.known_principal(text).is_none());
    // An expired key, a revoked one and one that never was are refused in the same words.
    let refusal = async |text: &str| engine.caller(text).await.unwrap_err().to_string();
    let (revoked, secret) = engine.create_key(id, "gone", None).await.unwrap();
    engine.revoke_key(id, revoked.id).await.unwrap();
    let words = refusal(text).await;
    assert_eq!(words, refusal(secret.expose_secret()).await);
    assert_eq!(words, refusal(&format!("kwk_{}", "A".repeat(43))).await);
}

async fn an_expired_key_is_no_client_secret(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let end = world.engine.now().plus_secs(60);
    let (_, key) = world
        .engine
        .create_key(app.id, "short", Some(end))
        .await
        .unwrap();
    for (passed, works) in [(59, true), (1, false)] {
        world.pass_secs(passed);
        let sign_in = SignIn::of(ALICE);
        let code = app.code(&sign_in).await.unwrap();
        let mut params = app.exchange_params(&sign_in, &code);
        params.client_secret = Some(key.expose_secret().to_owned());
        assert_eq!(world.engine.token(params).await.is_ok(), works);
    }
}

fn overlapping(hours: i64) -> Rotation {
    Rotation {
        overlap_secs: hours * 3600,
        expires_at: None,
    }
}

async fn a_rotated_key_and_its_successor_are_both_good_during_the_overlap(world: &World) {
    let (engine, app) = (&world.engine, &world.app);
    let old = SecretString::from(app.api_key().to_owned());
    let rotated = engine
        .rotate_key(app.id, app.caller.key_id, overlapping(2))
        .await
        .unwrap();
    assert_eq!(rotated.new.name, rotated.old.name);
    assert_eq!(rotated.new.expires_at, None);
    assert_eq!(rotated.old.expires_at, Some(engine.now().plus_secs(7200)));
    world.pass_secs(7199);
    assert!(opens(engine, &old).await && opens(engine, &rotated.secret).await);
    world.pass_secs(1);
    assert!(!opens(engine, &old).await && opens(engine, &rotated.secret).await);
    let over = engine
        .rotate_key(app.id, rotated.old.id, overlapping(2))
        .await;
    assert_eq!(over.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn a_rotation_without_overlap_ends_the_old_key_at_once_everywhere(world: &World) {
    let other = world.second_engine().await;
    world.engine.run_background();
    other.run_background();
    let (id, old) = make(world).await;
    assert!(opens(&world.engine, &old).await && opens(&other, &old).await);
    let rotated = world.engine.rotate_key(world.app.id, id, overlapping(0));
    let rotated = rotated.await.unwrap();
    assert!(!opens(&world.engine, &old).await);
    assert!(opens(&other, &rotated.secret).await);
    eventually("the other process knows", async || {
        !opens(&other, &old).await
    })
    .await;
    other.shutdown().await;
}

async fn a_successor_lives_as_long_as_its_predecessor_was_made_for(world: &World) {
    let (engine, id) = (&world.engine, world.app.id);
    let end = engine.now().plus_secs(1000);
    let (old, _) = engine.create_key(id, "short", Some(end)).await.unwrap();
    world.pass_secs(900);
    let rotated = engine.rotate_key(id, old.id, overlapping(1)).await.unwrap();
    assert_eq!(rotated.new.expires_at, Some(engine.now().plus_secs(1000)));
    // It would have ended sooner by itself, and still does.
    assert_eq!(rotated.old.expires_at, Some(end));
    let end = engine.now().plus_secs(5);
    let told = Rotation {
        expires_at: Some(end),
        ..overlapping(0)
    };
    let again = engine.rotate_key(id, rotated.new.id, told).await.unwrap();
    assert_eq!(again.new.expires_at, Some(end));
    assert_eq!(again.old.expires_at, Some(engine.now()));
}

async fn a_key_that_was_rotated_before_is_not_by_mistake_rotated_again(world: &World) {
    let (engine, id, key_id) = (&world.engine, world.app.id, world.app.caller.key_id);
    world.pass_secs(1);
    let rotated = engine.rotate_key(id, key_id, overlapping(2)).await;
    assert_eq!(rotated.unwrap().new.expires_at, None);
    world.pass_secs(1);
    let seq = world.latest_seq().await;
    let refused = engine.rotate_key(id, key_id, overlapping(2)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidRequest);
    assert_eq!(world.latest_seq().await, seq);
    let told = Rotation {
        expires_at: Some(engine.now().plus_secs(60)),
        ..overlapping(1)
    };
    let again = engine.rotate_key(id, key_id, told).await.unwrap();
    assert_eq!(again.old.expires_at, Some(engine.now().plus_secs(3600)));
}

async fn rule_08_a_key_is_rotated_by_its_own_application_alone(world: &World) {
    let other = world.application("other").await;
    let seq = world.latest_seq().await;
    let rotation = overlapping(0);
    let refused = world
        .engine
        .rotate_key(other.id, world.app.caller.key_id, rotation);
    assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(world.latest_seq().await, seq);
    assert!(world.engine.caller(world.app.api_key()).await.is_ok());
}

async fn an_application_has_two_hundred_live_keys_and_no_more(world: &World) {
    let (engine, id) = (&world.engine, world.app.id);
    let end = Some(engine.now().plus_secs(60));
    for n in 1..200 {
        engine
            .create_key(id, &format!("key {n}"), end)
            .await
            .unwrap();
    }
    let refused = engine.create_key(id, "one more", None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    assert!(refused.message().contains("200"), "{refused}");
    let other = world.application("other").await;
    assert!(engine.create_key(other.id, "first", None).await.is_ok());
    world.pass_secs(60);
    assert!(engine.create_key(id, "one more", None).await.is_ok());
}

async fn what_is_no_key_opens_nothing(world: &World) {
    let key = world.app.api_key();
    let changed = format!("{}A", &key[..key.len() - 1]);
    for text in [
        "",
        "Bearer",
        key.trim_start_matches("kwk_"),
        &changed,
        "kwk_",
    ] {
        let wrong = SecretString::from(text.to_owned());
        assert!(text == key || !opens(&world.engine, &wrong).await, "{text}");
    }
}

on_both_databases!(
    a_revoked_key_opens_nothing_from_that_moment_on,
    a_revoked_key_opens_nothing_in_another_process_within_a_tenth_of_a_second,
    a_key_ends_when_it_was_to_end,
    a_key_that_is_remembered_ends_at_the_very_millisecond,
    an_expired_key_is_no_client_secret,
    a_rotated_key_and_its_successor_are_both_good_during_the_overlap,
    a_rotation_without_overlap_ends_the_old_key_at_once_everywhere,
    a_successor_lives_as_long_as_its_predecessor_was_made_for,
    a_key_that_was_rotated_before_is_not_by_mistake_rotated_again,
    rule_08_a_key_is_rotated_by_its_own_application_alone,
    an_application_has_two_hundred_live_keys_and_no_more,
    what_is_no_key_opens_nothing,
);
