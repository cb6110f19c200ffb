//! Whether passwords still open their accounts.

use crate::mail::{ANN, HOST, PASSWORD, ann, authenticate, of_ann};
use keyway_core::change::Action;
use keyway_core::grant::{Grant, GrantStatus};
use keyway_core::provider::Provider::Imap;
use keyway_outbound::{CallError, CallErrorKind, MailFailure};
use keyway_testkit::{World, on_both_databases};

const HOUR_SECS: i64 = 3600;
const DAY_SECS: i64 = 24 * HOUR_SECS;

async fn status(world: &World, grant: &Grant) -> GrantStatus {
    world.app.grant(grant.id).await.effective_status()
}

/// A round after so much time; how many logins it made.
async fn round_after(world: &World, secs: i64) -> usize {
    let _ = world.mailboxes.take_seen();
    world.pass_secs(secs);
    world.engine.tick().await.unwrap();
    world.mailboxes.take_seen().len()
}

async fn a_password_is_tried_once_a_day(world: &World) {
    let grant = ann(world).await;
    assert_eq!(round_after(world, 20 * HOUR_SECS).await, 0);
    assert_eq!(round_after(world, 4 * HOUR_SECS).await, 1);
    assert_eq!(round_after(world, HOUR_SECS).await, 0);
    assert_eq!(round_after(world, DAY_SECS).await, 1);
    assert_eq!(status(world, &grant).await, GrantStatus::Valid);
}

async fn rule_06_two_refusals_an_hour_apart_end_a_grant_and_the_user_is_the_cause(world: &World) {
    let grant = ann(world).await;
    world.mailboxes.open(HOST, ANN, "changed-by-ann");
    let seq = world.latest_seq().await;
    assert_eq!(round_after(world, DAY_SECS).await, 1);
    assert_eq!(status(world, &grant).await, GrantStatus::Valid);
    assert_eq!(round_after(world, HOUR_SECS / 2).await, 0);
    assert_eq!(round_after(world, HOUR_SECS).await, 1);
    assert_eq!(status(world, &grant).await, GrantStatus::Invalid);
    let changes = world.changes_since(seq).await;
    let [change] = changes.as_slice() else {
        panic!("one change: {changes:?}")
    };
    assert_eq!(change.action, Action::Expired);
    assert_eq!(change.detail["cause"], "user");
    assert_eq!(change.detail["error"], "AUTHENTICATIONFAILED");
    // Nobody knocks at a door that is shut.
    assert_eq!(round_after(world, 3 * DAY_SECS).await, 0);
    let back = authenticate(world, Imap, of_ann("changed-by-ann")).await;
    assert_eq!(back.unwrap().id, grant.id);
    assert_eq!(status(world, &grant).await, GrantStatus::Valid);
    assert_eq!(round_after(world, DAY_SECS).await, 1);
    assert_eq!(status(world, &grant).await, GrantStatus::Valid);
}

async fn rule_06_a_server_that_is_not_there_ends_no_grant(world: &World) {
    let grant = ann(world).await;
    let silence = CallError::new(CallErrorKind::Connect, HOST);
    let failure = MailFailure::Unreachable(silence);
    world.mailboxes.fail(HOST, Some(failure));
    assert_eq!(round_after(world, DAY_SECS).await, 1);
    for _ in 0..5 {
        assert_eq!(round_after(world, HOUR_SECS).await, 1);
    }
    assert_eq!(status(world, &grant).await, GrantStatus::Valid);
    world.mailboxes.fail(HOST, None);
    assert_eq!(round_after(world, HOUR_SECS).await, 1);
    assert_eq!(round_after(world, HOUR_SECS).await, 0);
}

async fn one_refusal_between_two_good_logins_counts_for_nothing(world: &World) {
    let grant = ann(world).await;
    for _ in 0..3 {
        world.mailboxes.open(HOST, ANN, "for a moment");
        assert_eq!(round_after(world, DAY_SECS).await, 1);
        world.mailboxes.open(HOST, ANN, PASSWORD);
        assert_eq!(round_after(world, HOUR_SECS).await, 1);
    }
    assert_eq!(status(world, &grant).await, GrantStatus::Valid);
}

async fn rule_05_of_two_processes_one_tries_an_account(world: &World) {
    ann(world).await;
    let other = world.second_engine().await;
    let _ = world.mailboxes.take_seen();
    world.pass_secs(DAY_SECS);
    let (one, two) = tokio::join!(world.engine.tick(), other.tick());
    one.unwrap();
    two.unwrap();
    assert_eq!(world.mailboxes.take_seen().len(), 1);
    other.shutdown().await;
}

async fn a_grant_that_cannot_be_used_is_left_alone(world: &World) {
    let grant = ann(world).await;
    let engine = &world.engine;
    engine
        .delete_connector(&world.app.caller, Imap)
        .await
        .unwrap();
    assert_eq!(round_after(world, DAY_SECS).await, 0);
    assert_eq!(status(world, &grant).await, GrantStatus::Invalid);
}

on_both_databases!(
    a_password_is_tried_once_a_day,
    rule_06_two_refusals_an_hour_apart_end_a_grant_and_the_user_is_the_cause,
    rule_06_a_server_that_is_not_there_ends_no_grant,
    one_refusal_between_two_good_logins_counts_for_nothing,
    rule_05_of_two_processes_one_tries_an_account,
    a_grant_that_cannot_be_used_is_left_alone,
);
