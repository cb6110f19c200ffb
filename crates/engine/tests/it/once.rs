//! Rule 9: codes, sign-in handles and rotating refresh tokens work once.

use keyway_core::provider::Provider::Google;
use keyway_engine::sign_in::Finish;
use keyway_engine::tokens::TokenAnswer;
use keyway_engine::{ErrorKind, Principal};
use keyway_testkit::{ALICE, DEV, Ended, SignIn, World, on_both_databases};
use secrecy::ExposeSecret as _;

fn access(answer: &TokenAnswer) -> &str {
    answer.access_token.expose_secret()
}

fn refresh(answer: &TokenAnswer) -> &str {
    answer.refresh_token.as_ref().unwrap().expose_secret()
}

async fn rule_09_a_replayed_code_ends_the_tokens_it_gave(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let sign_in = SignIn::of(ALICE).offline();
    let code = app.code(&sign_in).await.unwrap();
    let answer = app.exchange(&sign_in, &code).await.unwrap();
    assert!(matches!(
        world.engine.principal(access(&answer)).await,
        Ok(Principal::Token(_))
    ));
    let replayed = app.exchange(&sign_in, &code).await.unwrap_err();
    assert_eq!(replayed.error, "invalid_grant");
    let refused = world.engine.principal(access(&answer)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthorized);
    assert!(app.refresh(refresh(&answer)).await.is_err());
    // The grant stays: only the tokens of that code end.
    assert_eq!(app.grants().await.len(), 1);
}

async fn rule_09_of_two_exchanges_at_once_one_wins_and_its_tokens_live(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    for _ in 0..5 {
        let sign_in = SignIn::of(ALICE).offline();
        let code = app.code(&sign_in).await.unwrap();
        let exchange = || {
            let (engine, params) = (world.engine.clone(), app.exchange_params(&sign_in, &code));
            tokio::runtime::Handle::current().spawn(async move { engine.token(params).await })
        };
        let (one, other) = tokio::join!(exchange(), exchange());
        let won: Vec<_> = [one.unwrap(), other.unwrap()]
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(won.len(), 1);
    }
    assert_eq!(app.grants().await.len(), 1);
}

async fn rule_09_a_code_that_was_refused_once_is_burnt(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let sign_in = SignIn::of(ALICE);
    let code = app.code(&sign_in).await.unwrap();
    let mut wrong = app.exchange_params(&sign_in, &code);
    wrong.client_secret = Some("kwk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into());
    let refused = world.engine.token(wrong).await.unwrap_err();
    assert_eq!(refused.error, "invalid_client");
    assert!(app.exchange(&sign_in, &code).await.is_err());
    assert!(app.grants().await.is_empty());
}

async fn rule_09_a_code_ends_after_five_minutes(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let sign_in = SignIn::of(ALICE);
    let code = app.code(&sign_in).await.unwrap();
    world.pass_secs(300);
    assert!(app.exchange(&sign_in, &code).await.is_err());
    let code = app.code(&sign_in).await.unwrap();
    world.pass_secs(299);
    assert!(app.exchange(&sign_in, &code).await.is_ok());
}

async fn rule_09_a_callback_works_once(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let sign_in = SignIn::of(ALICE);
    let at = app.start(&sign_in).await.unwrap();
    let params = app.at_provider(&at, &sign_in);
    let code = app.code_from(&at, params.clone()).await.unwrap();
    let fresh = app.at_provider(&at, &sign_in);
    for replay in [params, fresh] {
        match app.code_from(&at, replay).await.unwrap_err() {
            Ended::Page(fault) => {
                assert_eq!((fault.as_str(), fault.status()), ("used", 400));
            }
            other => panic!("{other:?}"),
        }
    }
    // The first one's code is none the worse for it.
    assert!(app.exchange(&sign_in, &code).await.is_ok());
    assert_eq!(
        world
            .provider
            .counters()
            .token_requests_of("authorization_code"),
        1
    );
}

async fn rule_09_of_two_callbacks_at_once_one_wins(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let sign_in = SignIn::of(ALICE);
    for _ in 0..5 {
        let at = app.start(&sign_in).await.unwrap();
        let params = app.at_provider(&at, &sign_in);
        let callback = || {
            let (engine, params, cookies) = (world.engine.clone(), params.clone(), at.cookies());
            tokio::runtime::Handle::current()
                .spawn(async move { engine.finish_sign_in(params, cookies).await })
        };
        let (one, other) = tokio::join!(callback(), callback());
        let ends = [one.unwrap(), other.unwrap()];
        let back = ends
            .iter()
            .filter(|end| matches!(end, Finish::Application { .. }))
            .count();
        assert_eq!(back, 1, "{ends:?}");
    }
    assert_eq!(
        world
            .provider
            .counters()
            .token_requests_of("authorization_code"),
        5
    );
}

async fn rule_09_a_rotated_refresh_token_used_again_ends_its_family(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let first = app.sign_in(&SignIn::of(ALICE).rotating()).await;
    let second = app.refresh(refresh(&first)).await.unwrap();
    assert_ne!(refresh(&second), refresh(&first));
    let third = app.refresh(refresh(&second)).await.unwrap();
    assert_eq!(
        app.refresh(refresh(&first)).await.unwrap_err().error,
        "invalid_grant"
    );
    assert!(app.refresh(refresh(&third)).await.is_err());
    for answer in [&first, &second, &third] {
        assert!(world.engine.bearer(access(answer)).await.is_err());
    }
}

async fn rule_09_of_two_uses_of_a_rotating_refresh_token_at_once_one_wins(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let answer = app.sign_in(&SignIn::of(ALICE).rotating()).await;
    let using = || {
        let (engine, params) = (world.engine.clone(), app.refresh_params(refresh(&answer)));
        tokio::runtime::Handle::current().spawn(async move { engine.token(params).await })
    };
    let (one, other) = tokio::join!(using(), using());
    let won = [one.unwrap(), other.unwrap()].into_iter().flatten().count();
    assert_eq!(won, 1);
}

async fn a_refresh_token_that_does_not_rotate_works_again(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let answer = app.sign_in(&SignIn::of(ALICE).offline()).await;
    for _ in 0..2 {
        let again = app.refresh(refresh(&answer)).await.unwrap();
        assert_eq!(refresh(&again), refresh(&answer));
        assert_eq!(again.grant_id, answer.grant_id);
    }
}

on_both_databases!(
    rule_09_a_replayed_code_ends_the_tokens_it_gave,
    rule_09_of_two_exchanges_at_once_one_wins_and_its_tokens_live,
    rule_09_a_code_that_was_refused_once_is_burnt,
    rule_09_a_code_ends_after_five_minutes,
    rule_09_a_callback_works_once,
    rule_09_of_two_callbacks_at_once_one_wins,
    rule_09_a_rotated_refresh_token_used_again_ends_its_family,
    rule_09_of_two_uses_of_a_rotating_refresh_token_at_once_one_wins,
    a_refresh_token_that_does_not_rotate_works_again,
);
