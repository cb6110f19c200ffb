//! Terms that rotate while servers work, and a master key that is replaced under them.

use keyway_core::grant::Grant;
use keyway_core::provider::Provider::Google;
use keyway_core::sealed::Sealed;
use keyway_engine::keyring::{ANNOUNCED_FOR, KeyringStatus, RETIRES_AFTER_SECS, RotateError};
use keyway_engine::sign_in::Finish;
use keyway_engine::unlock::{self, MasterKey};
use keyway_engine::{Engine, ErrorKind};
use keyway_store::{SealedColumn, SealedRow, StoreError};
use keyway_testkit::{
    ALICE, BOB, DEV, SignIn, World, captured_logs, eventually, on_both_databases,
};
use keyway_vault::{KeyState, SystemEntropy, UnlockError, sealed_prefix};
use secrecy::ExposeSecret as _;
use std::collections::BTreeSet;
use std::time::Duration;

const NO_PAUSE: Duration = Duration::ZERO;

/// Lets time pass for the states of keys, which are judged by the database's own clock.
async fn age_keys(world: &World, secs: i64) {
    let sql = format!(
        "UPDATE vault_keys SET state_since = coalesce(state_since, created_at) - {}",
        secs * 1000
    );
    world.database().execute(&sql).await;
}

async fn announce(world: &World) -> u32 {
    let term = world.engine.announce_term().await.unwrap();
    age_keys(world, i64::try_from(ANNOUNCED_FOR.as_secs()).unwrap() + 1).await;
    term
}

/// A rotation whose new term seals, and nothing else.
async fn rotate(world: &World) -> u32 {
    let term = announce(world).await;
    assert!(world.engine.activate_announced().await.unwrap());
    term
}

async fn passwords_are_sealed_anew_and_open_as_before(world: &World) {
    let grant = crate::mail::ann(world).await;
    rotate(world).await;
    let resealed = world.engine.reseal(NO_PAUSE, |_| ()).await.unwrap();
    assert!(resealed.is_complete, "{resealed:?}");
    let after = [(1, KeyState::Retiring, false), (2, KeyState::Active, true)];
    assert_eq!(states(&status(world).await), after);
    let _ = world.mailboxes.take_seen();
    world.pass_secs(24 * 3600);
    world.engine.tick().await.unwrap();
    assert_eq!(world.mailboxes.take_seen().len(), 1);
    let state = world.app.grant(grant.id).await.effective_status();
    assert_eq!(state, keyway_core::grant::GrantStatus::Valid);
}

async fn status(world: &World) -> KeyringStatus {
    world.engine.keyring_status().await.unwrap()
}

fn states(status: &KeyringStatus) -> Vec<(u32, KeyState, bool)> {
    let state = |t: &keyway_engine::keyring::TermStatus| (t.term, t.state, t.total() > 0);
    status.terms.iter().map(state).collect()
}

async fn connected(world: &World, who: &str) -> Grant {
    world.app.connect(&SignIn::of(who)).await
}

async fn serves(engine: &Engine, grant: &Grant) -> bool {
    match engine.fresh_token(grant).await {
        Ok(token) => !token.access_token.expose_secret().is_empty(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
            false
        }
    }
}

async fn a_rotation_seals_everything_anew_and_retires_the_old_term_when_cookies_are_over(
    world: &World,
) {
    world.app.connector(Google, DEV).await;
    let alice = connected(world, ALICE).await;
    let bob = SignIn::of(BOB);
    let at_provider = world.app.start(&bob).await.unwrap();
    let waiting = world
        .app
        .code(&SignIn::of("carol@example.com"))
        .await
        .unwrap();

    assert_eq!(rotate(world).await, 2);
    let after = [(1, KeyState::Retiring, true), (2, KeyState::Active, false)];
    assert_eq!(states(&status(world).await), after);
    let resealed = world.engine.reseal(NO_PAUSE, |_| ()).await.unwrap();
    assert!(resealed.is_complete && resealed.done >= 4, "{resealed:?}");
    assert_eq!(resealed.unreadable, Vec::<String>::new());
    let after = [(1, KeyState::Retiring, false), (2, KeyState::Active, true)];
    assert_eq!(states(&status(world).await), after);
    assert_eq!(status(world).await.to_reseal(), 0);

    // Nothing is sealed with it, and yet a browser may bring a cookie that is.
    assert_eq!(
        world.engine.retire_terms().await.unwrap(),
        Vec::<u32>::new()
    );
    let params = world.app.at_provider(&at_provider, &bob);
    let code = world.app.code_from(&at_provider, params).await.unwrap();
    world.app.exchange(&bob, &code).await.unwrap();
    let carol = SignIn::of("carol@example.com");
    world.app.exchange(&carol, &waiting).await.unwrap();

    age_keys(world, RETIRES_AFTER_SECS).await;
    assert_eq!(world.engine.retire_terms().await.unwrap(), [1]);
    let after = [(1, KeyState::Retired, false), (2, KeyState::Active, true)];
    assert_eq!(states(&status(world).await), after);
    // Digests are no matter of terms: the API key opens, here and in a new process.
    let new = world.second_engine().await;
    new.caller(world.app.api_key()).await.unwrap();
    world.pass_secs(3601);
    assert!(serves(&new, &alice).await);
    assert!(serves(&world.engine, &alice).await);
}

async fn a_term_seals_only_when_it_was_announced_for_long_enough(world: &World) {
    world.engine.announce_term().await.unwrap();
    assert!(!world.engine.activate_announced().await.unwrap());
    let before = [
        (1, KeyState::Active, false),
        (2, KeyState::Announced, false),
    ];
    assert_eq!(states(&status(world).await), before);
    let again = world.engine.announce_term().await;
    assert!(
        matches!(again, Err(RotateError::UnderWay { term: 2 })),
        "{again:?}"
    );
    age_keys(world, 10).await;
    assert!(world.engine.activate_announced().await.unwrap());
    assert!(!world.engine.activate_announced().await.unwrap());
}

async fn of_two_that_rotate_at_once_one_does(world: &World) {
    let other = world.second_engine().await;
    let (one, two) = tokio::join!(world.engine.announce_term(), other.announce_term());
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert_eq!(status(world).await.terms.len(), 2);
}

async fn a_server_takes_up_a_new_term_by_itself_and_goes_on_with_the_rotation(world: &World) {
    world.app.connector(Google, DEV).await;
    let grant = connected(world, ALICE).await;
    let other = world.second_engine().await;
    other.run_background();
    rotate(world).await;
    world.engine.reseal(NO_PAUSE, |_| ()).await.unwrap();
    eventually(
        "the other process opens what the new term sealed",
        async || serves(&other, &grant).await,
    )
    .await;
    assert!(other.is_ready().await);
    other.shutdown().await;
}

async fn what_a_process_cannot_open_yet_is_asked_for_again_and_not_lost(world: &World) {
    world.app.connector(Google, DEV).await;
    let grant = connected(world, ALICE).await;
    // A process that does not follow, as if the database had kept the news from it.
    let behind = world.second_engine().await;
    rotate(world).await;
    world.engine.reseal(NO_PAUSE, |_| ()).await.unwrap();
    assert!(!serves(&behind, &grant).await);
    behind.take_up_keys().await.unwrap();
    assert!(serves(&behind, &grant).await);
}

async fn a_round_goes_on_with_a_rotation_wherever_it_was_left(world: &World) {
    world.app.connector(Google, DEV).await;
    connected(world, ALICE).await;
    announce(world).await;
    world.engine.tick().await.unwrap();
    let after = [(1, KeyState::Retiring, false), (2, KeyState::Active, true)];
    assert_eq!(states(&status(world).await), after);
    age_keys(world, RETIRES_AFTER_SECS).await;
    world.engine.tick().await.unwrap();
    let after = [(1, KeyState::Retired, false), (2, KeyState::Active, true)];
    assert_eq!(states(&status(world).await), after);
}

async fn only_one_process_at_a_time_seals_anew(world: &World) {
    world.app.connector(Google, DEV).await;
    rotate(world).await;
    let held = world.store.write::<_, StoreError, _>(|s| {
        Box::pin(async move { s.take_lease("reseal", "somebody else", 60_000).await })
    });
    assert!(held.await.unwrap());
    let resealed = world.engine.reseal(NO_PAUSE, |_| ()).await.unwrap();
    assert!(!resealed.is_complete && resealed.done == 0, "{resealed:?}");
    assert!(status(world).await.to_reseal() > 0);
}

/// Seals the first client secret with the term before, as a process that stood still might.
async fn put_back(world: &World, old: (SealedRow, Sealed)) {
    let (column, prefix) = (SealedColumn::CredentialSecrets, sealed_prefix(9));
    let put = world.store.write::<_, StoreError, _>(move |s| {
        Box::pin(async move {
            let found = s
                .sealed_otherwise(column, &SealedRow::default(), &prefix, 1)
                .await?;
            let (row, now) = found.into_iter().next().unwrap();
            assert_eq!(row, old.0);
            s.replace_sealed(column, &row, &now, &old.1).await
        })
    });
    assert!(put.await.unwrap());
}

async fn first_secret(world: &World) -> (SealedRow, Sealed) {
    let (column, prefix) = (SealedColumn::CredentialSecrets, sealed_prefix(9));
    let read = world.store.read(move |s| {
        Box::pin(async move {
            s.sealed_otherwise(column, &SealedRow::default(), &prefix, 1)
                .await
        })
    });
    read.await.unwrap().remove(0)
}

async fn a_value_stored_after_its_term_retired_brings_the_term_back(world: &World) {
    world.app.connector(Google, DEV).await;
    let straggler = first_secret(world).await;
    rotate(world).await;
    world.engine.reseal(NO_PAUSE, |_| ()).await.unwrap();
    age_keys(world, RETIRES_AFTER_SECS).await;
    assert_eq!(world.engine.retire_terms().await.unwrap(), [1]);

    put_back(world, straggler).await;
    let seen = status(world).await;
    assert_eq!(states(&seen)[0], (1, KeyState::Retired, true));
    assert_eq!(seen.to_reseal(), 1);
    world.engine.revive_terms().await.unwrap();
    let resealed = world.engine.reseal(NO_PAUSE, |_| ()).await.unwrap();
    assert_eq!((resealed.done, resealed.unreadable.len()), (1, 0));
    assert_eq!(status(world).await.to_reseal(), 0);
}

async fn a_damaged_value_stays_is_named_and_keeps_its_term(world: &World) {
    world.app.connector(Google, DEV).await;
    let (row, Sealed(mut bytes)) = first_secret(world).await;
    *bytes.last_mut().unwrap() ^= 1;
    put_back(world, (row.clone(), Sealed(bytes))).await;
    rotate(world).await;
    let resealed = world.engine.reseal(NO_PAUSE, |_| ()).await.unwrap();
    assert!(resealed.is_complete);
    let named = format!("credential_secrets.sealed/{}", row.id);
    assert_eq!(resealed.unreadable, [named]);
    age_keys(world, RETIRES_AFTER_SECS).await;
    assert_eq!(
        world.engine.retire_terms().await.unwrap(),
        Vec::<u32>::new()
    );
    assert_eq!(
        states(&status(world).await)[0],
        (1, KeyState::Retiring, true)
    );
}

fn new_master() -> (MasterKey, String) {
    let key = MasterKey::generate(&SystemEntropy);
    let text = key.to_base64().to_string();
    (key, text)
}

fn master(world: &World) -> MasterKey {
    MasterKey::parse_base64(world.master_key()).unwrap()
}

async fn a_replaced_master_key_leaves_running_servers_at_work_and_every_row_as_it_was(
    world: &World,
) {
    world.app.connector(Google, DEV).await;
    let grant = connected(world, ALICE).await;
    let before = first_secret(world).await;
    let (new, text) = new_master();
    let replaced = world
        .engine
        .replace_master(&master(world), &new)
        .await
        .unwrap();
    assert_eq!(replaced, 2);
    assert_eq!(status(world).await.master_fingerprint, new.fingerprint());
    assert_eq!(first_secret(world).await, before);
    assert!(serves(&world.engine, &grant).await);

    // A rotation needs the master key again, and finds the one that counts beside the other.
    let refused = world.engine.announce_term().await;
    assert!(
        matches!(&refused, Err(RotateError::Unlock(_))),
        "{refused:?}"
    );
    world.masters.replace([world.master_key().to_owned(), text]);
    assert_eq!(rotate(world).await, 2);
    assert!(serves(&world.engine, &grant).await);
}

async fn only_the_master_key_in_use_can_be_replaced_and_only_once(world: &World) {
    let ((one, _), (two, _)) = (new_master(), new_master());
    let wrong = world.engine.replace_master(&one, &two).await;
    assert!(
        matches!(
            &wrong,
            Err(RotateError::Unlock(unlock::UnlockError::Keys(
                UnlockError::WrongMasterKey { .. }
            )))
        ),
        "{wrong:?}"
    );
    let old = master(world);
    let (first, second) = tokio::join!(
        world.engine.replace_master(&old, &one),
        world.engine.replace_master(&old, &two),
    );
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let counts = if first.is_ok() { &one } else { &two };
    assert_eq!(status(world).await.master_fingerprint, counts.fingerprint());
}

async fn fingerprints(world: &World) -> BTreeSet<String> {
    let keys = world
        .store
        .read(|s| Box::pin(async move { s.keys().await }));
    let keys = keys.await.unwrap().into_iter();
    keys.map(|key| key.master_fingerprint).collect()
}

async fn a_term_made_while_the_master_key_is_replaced_is_not_left_behind_under_the_old_one(
    world: &World,
) {
    let other = world.second_engine().await;
    let (old, (new, _)) = (master(world), new_master());
    let replacing = world
        .masters
        .while_one_waits(other.replace_master(&old, &new));
    let (replaced, announced) = tokio::join!(replacing, world.engine.announce_term());
    replaced.unwrap();
    assert!(
        matches!(announced, Err(RotateError::KeysChanged)),
        "{announced:?}"
    );
    assert_eq!(fingerprints(world).await, [new.fingerprint()].into());
}

async fn a_process_that_missed_an_activation_seals_nothing_back_with_the_term_before(
    world: &World,
) {
    world.app.connector(Google, DEV).await;
    let behind = world.second_engine().await;
    announce(world).await;
    behind.take_up_keys().await.unwrap();
    assert!(world.engine.activate_announced().await.unwrap());
    world.engine.reseal(NO_PAUSE, |_| ()).await.unwrap();
    // It holds the new term, and believes that the one before seals.
    behind.tick().await.unwrap();
    assert_eq!(status(world).await.to_reseal(), 0);
}

async fn a_server_that_lacks_keys_leaves_the_rotation_to_others(world: &World) {
    world.app.connector(Google, DEV).await;
    let other = world.second_engine().await;
    world.masters.replace([]);
    world.engine.run_background();
    other.announce_term().await.unwrap();
    eventually("it knows that it lacks a key", async || {
        !world.engine.is_ready().await
    })
    .await;
    age_keys(world, 10).await;
    assert!(other.activate_announced().await.unwrap());
    world.engine.tick().await.unwrap();
    let resealed = other.reseal(NO_PAUSE, |_| ()).await.unwrap();
    assert!(resealed.is_complete && resealed.done > 0, "{resealed:?}");
}

async fn a_finished_rotation_is_looked_at_again_only_when_the_old_term_may_be_retired(
    world: &World,
) {
    world.app.connector(Google, DEV).await;
    let straggler = first_secret(world).await;
    rotate(world).await;
    world.engine.tick().await.unwrap();
    assert_eq!(status(world).await.to_reseal(), 0);

    put_back(world, straggler).await;
    world.engine.tick().await.unwrap();
    assert_eq!(status(world).await.to_reseal(), 1, "nobody looked");
    age_keys(world, RETIRES_AFTER_SECS).await;
    world.engine.tick().await.unwrap();
    let after = [(1, KeyState::Retired, false), (2, KeyState::Active, true)];
    assert_eq!(states(&status(world).await), after);
}

async fn a_browser_that_returns_to_a_process_without_the_new_term_may_come_again(world: &World) {
    world.app.connector(Google, DEV).await;
    let behind = world.second_engine().await;
    rotate(world).await;
    let bob = SignIn::of(BOB);
    let at_provider = world.app.start(&bob).await.unwrap();
    let params = world.app.at_provider(&at_provider, &bob);
    captured_logs();
    let there = world.app.at(&behind);
    match there.finish(&at_provider, params.clone()).await {
        Finish::Page(page) => assert_eq!(page.status(), 503, "{page:?}"),
        other => panic!("{other:?}"),
    }
    assert!(captured_logs().contains("a sign-in could not be finished"));
    behind.take_up_keys().await.unwrap();
    there.code_from(&at_provider, params).await.unwrap();
}

async fn a_browser_with_a_cookie_of_a_retired_term_starts_anew(world: &World) {
    world.app.connector(Google, DEV).await;
    let bob = SignIn::of(BOB);
    let at_provider = world.app.start(&bob).await.unwrap();
    let params = world.app.at_provider(&at_provider, &bob);
    rotate(world).await;
    age_keys(world, RETIRES_AFTER_SECS).await;
    world.engine.reseal(NO_PAUSE, |_| ()).await.unwrap();
    assert_eq!(world.engine.retire_terms().await.unwrap(), [1]);
    match world.app.finish(&at_provider, params).await {
        Finish::Page(page) => assert_eq!(page.status(), 400, "{page:?}"),
        other => panic!("{other:?}"),
    }
}

on_both_databases! {
    passwords_are_sealed_anew_and_open_as_before,
    a_rotation_seals_everything_anew_and_retires_the_old_term_when_cookies_are_over,
    a_term_seals_only_when_it_was_announced_for_long_enough,
    of_two_that_rotate_at_once_one_does,
    a_server_takes_up_a_new_term_by_itself_and_goes_on_with_the_rotation,
    what_a_process_cannot_open_yet_is_asked_for_again_and_not_lost,
    a_round_goes_on_with_a_rotation_wherever_it_was_left,
    only_one_process_at_a_time_seals_anew,
    a_value_stored_after_its_term_retired_brings_the_term_back,
    a_damaged_value_stays_is_named_and_keeps_its_term,
    a_replaced_master_key_leaves_running_servers_at_work_and_every_row_as_it_was,
    only_the_master_key_in_use_can_be_replaced_and_only_once,
    a_term_made_while_the_master_key_is_replaced_is_not_left_behind_under_the_old_one,
    a_process_that_missed_an_activation_seals_nothing_back_with_the_term_before,
    a_server_that_lacks_keys_leaves_the_rotation_to_others,
    a_finished_rotation_is_looked_at_again_only_when_the_old_term_may_be_retired,
    a_browser_that_returns_to_a_process_without_the_new_term_may_come_again,
    a_browser_with_a_cookie_of_a_retired_term_starts_anew,
}
