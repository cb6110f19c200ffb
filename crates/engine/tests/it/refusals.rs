//! Refused refreshes: whose fault each is, and what follows (rule 6).

use keyway_core::change::Action;
use keyway_core::credential::HealthStatus;
use keyway_core::grant::{Grant, GrantStatus};
use keyway_core::provider::Provider::Google;
use keyway_core::time::UnixMillis;
use keyway_core::token_set::RefreshState;
use keyway_engine::ErrorKind;
use keyway_sandbox::{Fault, Faults, Rotation, When};
use keyway_testkit::{ALICE, BOB, DEV, SignIn, World, on_both_databases};

fn token_faults(fault: Fault) -> Faults {
    Faults {
        token: Some(fault),
        ..Faults::default()
    }
}

fn refreshes(world: &World) -> u64 {
    world.provider.counters().token_requests_of("refresh_token")
}

async fn expired(world: &World) -> Grant {
    world.app.connector(Google, DEV).await;
    let grant = world.app.connect(&SignIn::of(ALICE)).await;
    world.pass_secs(3601);
    grant
}

async fn refused_with(world: &World, grant: &Grant, fault: Fault) -> ErrorKind {
    world.provider.set_faults(token_faults(fault));
    world.engine.fresh_token(grant).await.unwrap_err().kind()
}

async fn health(world: &World, grant: &Grant) -> HealthStatus {
    let (app, id) = (&world.app, grant.credential_id.unwrap());
    let report = world
        .engine
        .credential_health(&app.caller, Google, id)
        .await
        .unwrap();
    report.health.status
}

async fn rule_06_a_users_fault_ends_the_grant_with_its_cause(world: &World) {
    let grant = expired(world).await;
    let seq = world.latest_seq().await;
    let kind = refused_with(world, &grant, Fault::error("invalid_grant", "revoked")).await;
    assert_eq!(kind, ErrorKind::Unauthorized);
    let ended = world.app.grant(grant.id).await;
    assert_eq!((ended.id, ended.status), (grant.id, GrantStatus::Invalid));
    let changes = world.changes_since(seq).await;
    let expired: Vec<_> = changes
        .iter()
        .filter(|c| c.action == Action::Expired)
        .collect();
    assert_eq!(expired.len(), 1);
    assert_eq!(expired[0].detail["cause"], "user");
    assert_eq!(health(world, &grant).await, HealthStatus::Healthy);
    // Nothing is tried any more, and a new sign-in brings it back under its id.
    let asked = refreshes(world);
    assert!(world.engine.fresh_token(&ended).await.is_err());
    assert_eq!(refreshes(world), asked);
    world.provider.set_faults(Faults::default());
    let revived = world.app.connect(&SignIn::of(ALICE)).await;
    assert_eq!((revived.id, revived.status), (grant.id, GrantStatus::Valid));
    assert!(world.engine.fresh_token(&revived).await.is_ok());
}

async fn rule_06_an_administrators_refusal_ends_the_grant_too(world: &World) {
    let grant = expired(world).await;
    let seq = world.latest_seq().await;
    refused_with(
        world,
        &grant,
        Fault::error("admin_policy_enforced", "restricted"),
    )
    .await;
    assert_eq!(world.app.grant(grant.id).await.status, GrantStatus::Invalid);
    let changes = world.changes_since(seq).await;
    let cause = changes
        .iter()
        .find(|c| c.action == Action::Expired)
        .unwrap();
    assert_eq!(cause.detail["cause"], "tenant_admin");
}

async fn rule_06_e5_a_broken_credential_is_shown_on_it_and_its_grants_come_back(world: &World) {
    let grant = expired(world).await;
    let other = world.app.connect(&SignIn::of(BOB)).await;
    world.pass_secs(3601);
    let kind = refused_with(
        world,
        &grant,
        Fault::error("invalid_client", "secret expired"),
    )
    .await;
    assert_eq!(kind, ErrorKind::CredentialFailing);
    assert_eq!(health(world, &grant).await, HealthStatus::Failing);
    for grant in [&grant, &other] {
        assert_eq!(world.app.grant(grant.id).await.status, GrantStatus::Valid);
    }
    // The breaker is open: callers of every grant are turned away without asking the provider.
    let asked = refreshes(world);
    for grant in [&grant, &other] {
        assert!(world.engine.fresh_token(grant).await.is_err());
    }
    assert_eq!(refreshes(world), asked);
    // Mended: one call is let through, and all are served again, within seconds.
    world.provider.set_faults(Faults::default());
    world.pass_secs(5);
    assert!(world.engine.fresh_token(&grant).await.is_ok());
    assert!(world.engine.fresh_token(&other).await.is_ok());
    assert_eq!(health(world, &grant).await, HealthStatus::Healthy);
}

async fn rule_06_a_retry_after_is_honoured(world: &World) {
    let grant = expired(world).await;
    let mut overloaded = Fault::status(429);
    overloaded.retry_after_s = Some(120);
    assert_eq!(
        refused_with(world, &grant, overloaded).await,
        ErrorKind::ProviderUnavailable
    );
    world.provider.set_faults(Faults::default());
    let asked = refreshes(world);
    world.pass_secs(119);
    assert!(world.engine.fresh_token(&grant).await.is_err());
    assert_eq!(refreshes(world), asked);
    world.pass_secs(2);
    assert!(world.engine.fresh_token(&grant).await.is_ok());
}

async fn rule_06_what_makes_no_sense_ends_nothing(world: &World) {
    let grant = expired(world).await;
    for fault in [
        Fault::error("temporarily_unavailable", "later"),
        Fault::error("invalid_scope", "?"),
        Fault::error("a_word_nobody_knows", "?"),
        Fault::status(500),
        Fault::drop_connection(When::Before),
    ] {
        world.provider.set_faults(token_faults(fault));
        assert!(world.engine.fresh_token(&grant).await.is_err());
        assert_eq!(world.app.grant(grant.id).await.status, GrantStatus::Valid);
        world.pass_secs(3600);
    }
    world.provider.set_faults(Faults::default());
    assert!(world.engine.fresh_token(&grant).await.is_ok());
}

async fn rule_06_unauthorized_client_on_the_only_grant_is_that_grants(world: &World) {
    let grant = expired(world).await;
    refused_with(
        world,
        &grant,
        Fault::error("unauthorized_client", "Unauthorized"),
    )
    .await;
    assert_eq!(world.app.grant(grant.id).await.status, GrantStatus::Invalid);
    assert_eq!(health(world, &grant).await, HealthStatus::Healthy);
}

/// Why the grant ended, as the sequence of changes has it.
async fn cause_of_end(world: &World, seq: i64) -> String {
    let changes = world.changes_since(seq).await;
    let expired = changes
        .iter()
        .find(|c| c.action == Action::Expired)
        .unwrap();
    let cause = &expired.detail["cause"];
    cause.as_str().unwrap().to_owned()
}

async fn rule_05_a_grant_lost_with_an_answer_has_a_cause_of_its_own(world: &World) {
    let grant = expired(world).await;
    let seq = world.latest_seq().await;
    world
        .provider
        .set_faults(token_faults(Fault::drop_connection(When::After)));
    assert!(world.engine.fresh_token(&grant).await.is_err());
    // It was used before all the same, for all the provider knows; another fault in between hides nothing.
    for fault in [Fault::status(503), Fault::default()] {
        world.pass_secs(10);
        world.provider.set_faults(token_faults(fault));
        assert!(world.engine.fresh_token(&grant).await.is_err());
    }
    assert_eq!(world.app.grant(grant.id).await.status, GrantStatus::Invalid);
    assert_eq!(cause_of_end(world, seq).await, "answer_lost");
    assert_eq!(world.engine.refresh_report().lost, 1);
}

/// What a process leaves that dies while a refresh is under way.
async fn abandon(world: &World, grant: &Grant) {
    let (application_id, id) = (grant.application_id, grant.id);
    let job = world.store.write(move |s| {
        Box::pin(async move {
            let known = s.refresh_state(application_id, id).await?.unwrap();
            let held = RefreshState {
                lease_owner: Some("a process that died".to_owned()),
                lease_until: Some(UnixMillis(1)),
                ..known.clone()
            };
            s.upsert_refresh_state(application_id, id, &held, Some(known.version))
                .await
        })
    });
    assert!(job.await.unwrap());
}

async fn state_of(world: &World, grant: &Grant) -> RefreshState {
    let (application_id, id) = (grant.application_id, grant.id);
    let job = world
        .store
        .read(move |s| Box::pin(async move { s.refresh_state(application_id, id).await }));
    job.await.unwrap().unwrap()
}

/// Whoever holds a lease could not give it back if its row changed, and the grant would stand still.
async fn rule_05_work_that_is_put_off_touches_no_lease(world: &World) {
    let grant = expired(world).await;
    refused_with(world, &grant, Fault::error("invalid_client", "expired")).await;
    abandon(world, &grant).await;
    world.pass_secs(200 * 24 * 3600);
    world
        .provider
        .set_faults(token_faults(Fault::error("invalid_client", "expired")));
    assert!(world.engine.fresh_token(&grant).await.is_err());
    abandon(world, &grant).await;
    let before = state_of(world, &grant).await;
    // The breaker is open: the grant is due, and put off.
    world.engine.tick().await.unwrap();
    assert_eq!(state_of(world, &grant).await, before);
}

async fn rule_05_a_grant_lost_with_a_process_has_a_cause_of_its_own(world: &World) {
    let grant = expired(world).await;
    abandon(world, &grant).await;
    let seq = world.latest_seq().await;
    refused_with(world, &grant, Fault::error("invalid_grant", "reused")).await;
    assert_eq!(cause_of_end(world, seq).await, "refresh_interrupted");
    assert_eq!(world.engine.refresh_report().lost, 1);
}

async fn rule_05_what_a_dead_process_left_is_forgotten_once_a_refresh_is_stored(world: &World) {
    let grant = expired(world).await;
    abandon(world, &grant).await;
    world.engine.fresh_token(&grant).await.unwrap();
    world.pass_secs(3601);
    let seq = world.latest_seq().await;
    refused_with(world, &grant, Fault::error("invalid_grant", "revoked")).await;
    assert_eq!(cause_of_end(world, seq).await, "user");
    let report = world.engine.refresh_report();
    assert_eq!(report.lost, 0);
    assert_eq!(
        report.outcomes[..3],
        [("stored", 1), ("not_stored", 0), ("user", 1)]
    );
    assert!(report.unstored_us_max > 0);
}

on_both_databases!(
    rule_06_a_users_fault_ends_the_grant_with_its_cause,
    rule_06_an_administrators_refusal_ends_the_grant_too,
    rule_06_e5_a_broken_credential_is_shown_on_it_and_its_grants_come_back,
    rule_06_a_retry_after_is_honoured,
    rule_06_what_makes_no_sense_ends_nothing,
    rule_06_unauthorized_client_on_the_only_grant_is_that_grants,
    rule_05_a_grant_lost_with_a_process_has_a_cause_of_its_own,
    rule_05_work_that_is_put_off_touches_no_lease,
    rule_05_what_a_dead_process_left_is_forgotten_once_a_refresh_is_stored,
);
on_both_databases!(World::options().rotation(Rotation::OnWithReuseDetection) =>
    rule_05_a_grant_lost_with_an_answer_has_a_cause_of_its_own,
);
