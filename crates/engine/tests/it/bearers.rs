//! What an access token of Keyway's own opens: its grant, and nothing else.

use keyway_core::grant::GrantLocator;
use keyway_core::ids::GrantId;
use keyway_core::provider::Provider::{Google, Yahoo};
use keyway_engine::tokens::TokenAnswer;
use keyway_engine::{Error, ErrorKind, Principal};
use keyway_testkit::{ALICE, BOB, DEV, SignIn, World, eventually, on_both_databases};
use secrecy::ExposeSecret as _;

async fn principal(world: &World, answer: &TokenAnswer) -> Result<Principal, Error> {
    let text = answer.access_token.expose_secret();
    world.engine.principal(text).await
}

async fn rule_08_an_access_token_learns_of_no_grant_but_its_own(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    app.connector(Yahoo, DEV).await;
    let sign_in = SignIn::of(ALICE).at(Google).external_id("user-1");
    let alice = app.sign_in(&sign_in).await;
    let other = app.connect(&SignIn::of(ALICE).at(Yahoo)).await;
    let bob = app
        .connect(&SignIn::of(BOB).at(Google).external_id("user-2"))
        .await;
    let bearer = principal(world, &alice).await.unwrap();
    for own in [
        GrantLocator::Me,
        GrantLocator::Id(alice.grant_id),
        // With an API key this address is refused, and the providers of both grants are named.
        GrantLocator::Email("Alice@Example.com".into()),
        GrantLocator::External("user-1".into()),
    ] {
        let found = world.engine.grant(&bearer, own).await.unwrap();
        assert_eq!(found.id, alice.grant_id);
    }
    for foreign in [
        GrantLocator::Id(bob.id),
        GrantLocator::Id(other.id),
        GrantLocator::Id(GrantId::from_u128(1)),
        GrantLocator::Email(BOB.into()),
        GrantLocator::Email("nobody@example.com".into()),
        GrantLocator::External("user-2".into()),
        GrantLocator::External("nobody".into()),
    ] {
        let told = format!("{foreign:?}");
        let error = world
            .engine
            .shared_grant(&bearer, foreign)
            .await
            .unwrap_err();
        let words = (error.kind(), error.message());
        let missing = "No Grant found for this Grant ID";
        assert_eq!(words, (ErrorKind::GrantNotFound, missing), "{told}");
    }
}

async fn a_blocked_applications_access_tokens_open_nothing_until_it_is_unblocked(world: &World) {
    world.engine.run_background();
    let app = &world.app;
    app.connector(Google, DEV).await;
    let answer = app.sign_in(&SignIn::of(ALICE)).await;
    let text = answer.access_token.expose_secret();
    eventually("the token is remembered", async || {
        principal(world, &answer).await.unwrap();
        world.engine.known_principal(text).is_some()
    })
    .await;
    world.set_blocked(app, true).await;
    eventually("the token is refused", async || {
        let refused = principal(world, &answer).await;
        refused.is_err_and(|error| error.kind() == ErrorKind::Blocked)
    })
    .await;
    assert!(world.engine.known_principal(text).is_none());
    world.set_blocked(app, false).await;
    principal(world, &answer).await.unwrap();
}

on_both_databases!(
    rule_08_an_access_token_learns_of_no_grant_but_its_own,
    a_blocked_applications_access_tokens_open_nothing_until_it_is_unblocked,
);
