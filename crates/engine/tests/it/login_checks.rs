//! Whether passwords still open their accounts.

use crate::mail::{ANN, HOST, PASSWORD, ann, authenticate, connector, of_ann};
use keyway_core::change::Action;
use keyway_core::grant::{Grant, GrantStatus};
use keyway_core::provider::Provider::Imap;
use keyway_outbound::{CallError, CallErrorKind, MailFailure, ServerWords};
use keyway_testkit::{World, on_both_databases};
use serde_json::json;

const HOUR_SECS: i64 = 3600;
const DAY_SECS: i64 = 24 * HOUR_SECS;
const OTHER: &str = "imap.other.invalid";

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
    // It is asked less and less, and once a day for good.
    for hours in [1, 2, 4, 8, 16, 24, 24] {
        assert_eq!(round_after(world, hours * HOUR_SECS - 1).await, 0);
        assert_eq!(round_after(world, 1).await, 1);
    }
    assert_eq!(status(world, &grant).await, GrantStatus::Valid);
    world.mailboxes.fail(HOST, None);
    assert_eq!(round_after(world, DAY_SECS).await, 1);
    assert_eq!(round_after(world, HOUR_SECS).await, 0);
}

/// Grants of so many users of [`HOST`], one more of another server, and what the checks have to do with them.
async fn crowd(world: &World, users: usize) {
    connector(world, Imap, json!({})).await;
    let users = (0..users).map(|n| (HOST, format!("user{n}@mail.invalid")));
    let other = [(OTHER, "bob@other.invalid".to_owned())];
    for (host, name) in users.chain(other) {
        world.mailboxes.open(host, &name, PASSWORD);
        let settings = json!({"imap_username": name, "imap_password": PASSWORD, "imap_host": host});
        authenticate(world, Imap, settings).await.unwrap();
    }
}

/// A round after so much time; how many logins it made at [`HOST`] and at [`OTHER`].
async fn at_both_after(world: &World, secs: i64) -> (usize, usize) {
    let _ = world.mailboxes.take_seen();
    world.pass_secs(secs);
    world.engine.tick().await.unwrap();
    let seen = world.mailboxes.take_seen();
    let at = |host: &str| seen.iter().filter(|s| s.server.starts_with(host)).count();
    (at(HOST), at(OTHER))
}

async fn a_silent_server_is_left_alone_with_all_its_accounts(world: &World) {
    crowd(world, 20).await;
    let silence = CallError::new(CallErrorKind::Connect, HOST);
    let failure = MailFailure::Unreachable(silence);
    world.mailboxes.fail(HOST, Some(failure));
    let (silent, other) = at_both_after(world, DAY_SECS).await;
    assert!((1..=4).contains(&silent), "{silent}");
    assert_eq!(other, 1);
    // Not even those that were not tried are, until an hour has passed; then it is two.
    assert_eq!(at_both_after(world, HOUR_SECS - 1).await, (0, 0));
    let (silent, _) = at_both_after(world, 1).await;
    assert!((1..=4).contains(&silent), "{silent}");
    assert_eq!(at_both_after(world, 2 * HOUR_SECS - 1).await, (0, 0));
    // It answers again, and so everybody is tried.
    world.mailboxes.fail(HOST, None);
    assert_eq!(at_both_after(world, 1).await, (20, 0));
}

async fn a_slow_server_has_a_few_tries_in_a_round(world: &World) {
    crowd(world, 20).await;
    let clock = world.clock.clone();
    world.mailboxes.meanwhile(move |host| {
        if host == HOST {
            clock.advance_ms(11_000);
        }
    });
    let (slow, other) = at_both_after(world, DAY_SECS).await;
    assert!((1..=4).contains(&slow), "{slow}");
    assert_eq!(other, 1);
    // The others' turn comes, a few at a time.
    let (later, _) = at_both_after(world, 660).await;
    assert!((1..=4).contains(&later), "{later}");
}

async fn rule_06_only_a_refusal_of_the_login_ends_a_grant_soon(world: &World) {
    let grant = ann(world).await;
    let refuse = |code: Option<&str>| {
        let words = ServerWords {
            code: code.map(str::to_owned),
            text: "Too many simultaneous connections".to_owned(),
        };
        let failure = MailFailure::Refused(words);
        world.mailboxes.fail(HOST, Some(failure));
    };
    // A server that is busy, or wants the user to do something, says nothing of the password.
    for code in ["ALERT", "THROTTLED", "CONTACTADMIN"] {
        refuse(Some(code));
        for _ in 0..10 {
            world.pass_secs(DAY_SECS);
            world.engine.tick().await.unwrap();
        }
        assert_eq!(status(world, &grant).await, GrantStatus::Valid, "{code}");
    }
    // Nor does one that gives no reason, unless it goes on for days.
    refuse(None);
    assert_eq!(round_after(world, DAY_SECS).await, 1);
    for hours in [1, 2, 4, 8, 16, 24, 24] {
        assert_eq!(round_after(world, hours * HOUR_SECS - 1).await, 0);
        assert_eq!(status(world, &grant).await, GrantStatus::Valid);
        assert_eq!(round_after(world, 1).await, 1);
    }
    assert_eq!(status(world, &grant).await, GrantStatus::Invalid);
    for code in ["AUTHORIZATIONFAILED", "expired"] {
        world.mailboxes.fail(HOST, None);
        authenticate(world, Imap, of_ann(PASSWORD)).await.unwrap();
        refuse(Some(code));
        assert_eq!(round_after(world, DAY_SECS).await, 1);
        assert_eq!(round_after(world, HOUR_SECS).await, 1);
        assert_eq!(status(world, &grant).await, GrantStatus::Invalid, "{code}");
    }
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
    a_silent_server_is_left_alone_with_all_its_accounts,
    a_slow_server_has_a_few_tries_in_a_round,
    rule_06_only_a_refusal_of_the_login_ends_a_grant_soon,
    one_refusal_between_two_good_logins_counts_for_nothing,
    rule_05_of_two_processes_one_tries_an_account,
    a_grant_that_cannot_be_used_is_left_alone,
);
