//! Rule 12: who is the same person.

use keyway_core::credential::Credential;
use keyway_core::provider::Provider::{self, Google, Microsoft};
use keyway_engine::{ErrorKind, OAuthError};
use keyway_sandbox::{Control, Fault, Faults, Lie, UserConfig};
use keyway_testkit::{ALICE, BOB, DEV, Ended, STAGING, SignIn, World, on_both_databases};

async fn two_clients(world: &World, provider: Provider) -> Credential {
    world.app.connector(provider, DEV).await;
    world.app.credential(provider, "staging", STAGING).await
}

/// The address is somebody else's from now on.
fn reassign(provider: &Control, email: &str) {
    let owner = UserConfig {
        sub: "another-sub".into(),
        oid: "00000000-0000-4000-8000-000000000999".into(),
        ..UserConfig::new(email)
    };
    provider.put_user(owner);
}

/// The account gets another address.
fn rename(provider: &Control, from: &str, to: &str) {
    let account = UserConfig {
        email: to.into(),
        ..provider.user(from)
    };
    provider.put_user(account);
}

fn refused(ended: &Ended, words: &str) {
    assert_eq!(ended.returned("error"), "access_denied");
    assert_eq!(ended.returned("error_code"), "25022");
    let description = ended.returned("error_description");
    assert!(
        description.starts_with("grant.reauth_email_invalid"),
        "{description}"
    );
    assert!(description.contains(words), "{description}");
}

async fn rule_12_googles_sub_is_one_person_to_every_client(world: &World) {
    let staging = two_clients(world, Google).await;
    assert_eq!(
        world.provider.subject(ALICE, DEV),
        world.provider.subject(ALICE, STAGING)
    );
    let first = world.app.connect(&SignIn::of(ALICE)).await;
    let again = world
        .app
        .connect(&SignIn::of(ALICE).through(staging.id))
        .await;
    assert_eq!(again.id, first.id);
    assert_eq!(again.provider_user_id, first.provider_user_id);
}

async fn rule_12_microsofts_sub_differs_but_oid_and_tid_do_not(world: &World) {
    let staging = two_clients(world, Microsoft).await;
    assert_ne!(
        world.provider.subject(ALICE, DEV),
        world.provider.subject(ALICE, STAGING)
    );
    let first = world.app.connect(&SignIn::of(ALICE)).await;
    let again = world
        .app
        .connect(&SignIn::of(ALICE).through(staging.id))
        .await;
    assert_eq!(again.id, first.id);
    let user = world.provider.user(ALICE);
    assert_eq!(again.provider_user_id, Some(user.oid));
    let brought = world.app.minted(DEV, ALICE);
    let default = world.app.bring(Microsoft, None, &brought).await.unwrap();
    assert_eq!(default.id, first.id);
}

async fn rule_12_an_address_that_is_another_persons_now_is_refused(world: &World) {
    let app = &world.app;
    two_clients(world, Google).await;
    app.connect(&SignIn::of(ALICE)).await;
    let before = world.snapshot().await;
    reassign(&world.provider, ALICE);
    refused(&app.code(&SignIn::of(ALICE)).await.unwrap_err(), "another");
    assert_eq!(world.snapshot().await, before);
}

async fn rule_12_a_microsoft_address_that_is_another_persons_now_is_refused(world: &World) {
    let staging = two_clients(world, Microsoft).await;
    world.app.connect(&SignIn::of(ALICE)).await;
    let before = world.snapshot().await;
    reassign(&world.provider, ALICE);
    let ended = world.app.code(&SignIn::of(ALICE).through(staging.id)).await;
    refused(&ended.unwrap_err(), "another");
    assert_eq!(world.snapshot().await, before);
}

async fn rule_12_the_application_may_replace_the_identity_behind_an_address(world: &World) {
    let app = &world.app;
    two_clients(world, Google).await;
    let first = app.connect(&SignIn::of(ALICE)).await;
    reassign(&world.provider, ALICE);
    let token = app.minted(DEV, ALICE);
    let replaced = app.bring(Google, None, &token).await.unwrap();
    assert_eq!(replaced.id, first.id);
    assert_eq!(replaced.provider_user_id.as_deref(), Some("another-sub"));
    // The new person may sign in from now on.
    let again = app.connect(&SignIn::of(ALICE)).await;
    assert_eq!(again.id, first.id);
}

async fn rule_12_a_new_address_of_the_same_person_is_the_same_grant(world: &World) {
    let app = &world.app;
    two_clients(world, Google).await;
    let first = app.connect(&SignIn::of(ALICE)).await;
    rename(&world.provider, ALICE, "alice@new.example");
    let again = app.connect(&SignIn::of("alice@new.example")).await;
    assert_eq!(
        (again.id, again.email.as_str()),
        (first.id, "alice@new.example")
    );
    assert_eq!(app.grants().await.len(), 1);
}

async fn rule_12_the_same_address_in_another_case_is_the_same_grant(world: &World) {
    two_clients(world, Google).await;
    let first = world.app.connect(&SignIn::of(ALICE)).await;
    let again = world
        .app
        .connect(&SignIn::of("ALICE@Example.com").hint("aLiCe@example.COM"))
        .await;
    assert_eq!(again.id, first.id);
}

async fn rule_12_a_hint_that_names_a_grant_must_be_answered_by_that_account(world: &World) {
    let app = &world.app;
    two_clients(world, Google).await;
    app.connect(&SignIn::of(ALICE)).await;
    app.connect(&SignIn::of(BOB)).await;
    let before = world.snapshot().await;
    for other in [BOB, "carol@example.org"] {
        refused(
            &app.code(&SignIn::of(other).hint(ALICE)).await.unwrap_err(),
            "another account",
        );
    }
    assert_eq!(world.snapshot().await, before);
    // A hint that names no grant is a hint and no more.
    let grant = app
        .connect(&SignIn::of("carol@example.org").hint("dora@example.org"))
        .await;
    assert_eq!(grant.email, "carol@example.org");
}

async fn rule_12_an_account_that_takes_over_another_grants_address_is_refused(world: &World) {
    let app = &world.app;
    two_clients(world, Google).await;
    app.connect(&SignIn::of(ALICE)).await;
    app.connect(&SignIn::of(BOB)).await;
    let before = world.snapshot().await;
    // Alice's account now has Bob's address.
    rename(&world.provider, ALICE, BOB);
    refused(&app.code(&SignIn::of(BOB)).await.unwrap_err(), "two grants");
    let brought = app
        .bring(Google, None, &app.minted(DEV, BOB))
        .await
        .unwrap_err();
    assert_eq!(brought.kind(), ErrorKind::ReauthEmailInvalid);
    assert_eq!(world.snapshot().await, before);
}

async fn rule_12_what_changes_between_callback_and_exchange_is_decided_again(world: &World) {
    let app = &world.app;
    two_clients(world, Google).await;
    // Two sign-ins of one address before either is exchanged, by two different people.
    let first = app.code(&SignIn::of(ALICE)).await.unwrap();
    reassign(&world.provider, ALICE);
    let second = app.code(&SignIn::of(ALICE)).await.unwrap();
    app.exchange(&SignIn::of(ALICE), &first).await.unwrap();
    let before = world.snapshot().await;
    let error: OAuthError = app.exchange(&SignIn::of(ALICE), &second).await.unwrap_err();
    assert_eq!(error.error, "invalid_grant");
    assert_eq!(world.snapshot().await, before);
}

async fn rule_12_two_first_sign_ins_of_one_person_at_once_make_one_grant(world: &World) {
    let app = &world.app;
    let staging = two_clients(world, Google).await;
    let through = SignIn::of(ALICE).through(staging.id);
    let (one, other) = (app.code(&SignIn::of(ALICE)).await, app.code(&through).await);
    let exchange = |sign_in: SignIn, code: String| {
        let (engine, params) = (world.engine.clone(), app.exchange_params(&sign_in, &code));
        tokio::runtime::Handle::current().spawn(async move { engine.token(params).await })
    };
    let (one, other) = tokio::join!(
        exchange(SignIn::of(ALICE), one.unwrap()),
        exchange(through, other.unwrap())
    );
    let (one, other) = (one.unwrap().unwrap(), other.unwrap().unwrap());
    assert_eq!(one.grant_id, other.grant_id);
    assert_eq!(app.grants().await.len(), 1);
}

async fn rule_12_without_an_identity_hosted_reauthentication_is_refused(world: &World) {
    let app = &world.app;
    // Google's entry with a provider that tells `sub` to nobody: neither id_token nor userinfo.
    two_clients(world, Microsoft).await;
    app.connect(&SignIn::of(ALICE)).await;
    let before = world.snapshot().await;
    let without_oid = UserConfig {
        oid: String::new(),
        ..world.provider.user(ALICE)
    };
    world.provider.put_user(without_oid);
    refused(
        &app.code(&SignIn::of(ALICE)).await.unwrap_err(),
        "no identity",
    );
    assert_eq!(world.snapshot().await, before);
    // The application may vouch for it all the same.
    let token = app.minted(DEV, ALICE);
    assert!(app.bring(Microsoft, None, &token).await.is_ok());
}

async fn rule_12_email_verified_is_passed_on_and_never_assumed(world: &World) {
    let app = &world.app;
    two_clients(world, Google).await;
    let unverified = UserConfig {
        email_verified: false,
        ..UserConfig::new(ALICE)
    };
    world.provider.put_user(unverified);
    let answer = app.sign_in(&SignIn::of(ALICE)).await;
    assert_eq!(
        crate::tokens::claims(&answer.id_token)["email_verified"],
        false
    );
}

async fn rule_12_userinfo_about_another_person_is_not_used(world: &World) {
    let app = &world.app;
    two_clients(world, Google).await;
    world.provider.set_faults(Faults {
        token: Some(Fault::lie(Lie::MissingEmail)),
        userinfo: Some(Fault::lie(Lie::OtherUser)),
        ..Faults::default()
    });
    let ended = app.code(&SignIn::of(ALICE)).await.unwrap_err();
    assert!(
        ended
            .returned("error_description")
            .contains("another subject")
    );
    assert!(app.grants().await.is_empty());
}

on_both_databases!(
    rule_12_googles_sub_is_one_person_to_every_client,
    rule_12_an_address_that_is_another_persons_now_is_refused,
    rule_12_the_application_may_replace_the_identity_behind_an_address,
    rule_12_a_new_address_of_the_same_person_is_the_same_grant,
    rule_12_the_same_address_in_another_case_is_the_same_grant,
    rule_12_a_hint_that_names_a_grant_must_be_answered_by_that_account,
    rule_12_an_account_that_takes_over_another_grants_address_is_refused,
    rule_12_what_changes_between_callback_and_exchange_is_decided_again,
    rule_12_two_first_sign_ins_of_one_person_at_once_make_one_grant,
    rule_12_email_verified_is_passed_on_and_never_assumed,
    rule_12_userinfo_about_another_person_is_not_used,
);
on_both_databases!(World::options().microsoft() =>
    rule_12_microsofts_sub_differs_but_oid_and_tid_do_not,
    rule_12_a_microsoft_address_that_is_another_persons_now_is_refused,
    rule_12_without_an_identity_hosted_reauthentication_is_refused,
);
