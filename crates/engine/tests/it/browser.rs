//! Rule 14: the browser that ends a sign-in is the one that began it.

use keyway_core::provider::Provider::Google;
use keyway_engine::sign_in::{CallbackParams, Finish};
use keyway_testkit::{ALICE, AtProvider, BOB, DEV, SignIn, World, on_both_databases};

async fn page(
    world: &World,
    params: &CallbackParams,
    cookies: Vec<(String, String)>,
) -> &'static str {
    match world.engine.finish_sign_in(params.clone(), cookies).await {
        Finish::Page(fault) => {
            assert_eq!(fault.status(), 400);
            fault.as_str()
        }
        Finish::Application { .. } => panic!("sent on to the application"),
    }
}

async fn away(world: &World, email: &str) -> (AtProvider, CallbackParams) {
    let sign_in = SignIn::of(email);
    let at = world.app.start(&sign_in).await.unwrap();
    let params = world.app.at_provider(&at, &sign_in);
    (at, params)
}

const OTHER_BROWSER: &str = "other_browser";

async fn rule_14_a_callback_without_the_cookie_gets_an_error_page(world: &World) {
    world.app.connector(Google, DEV).await;
    let (at, params) = away(world, ALICE).await;
    assert_eq!(page(world, &params, Vec::new()).await, OTHER_BROWSER);
    assert_eq!(
        world
            .provider
            .counters()
            .token_requests_of("authorization_code"),
        0
    );
    // It used nothing up: the right browser can still come.
    assert!(world.app.code_from(&at, params).await.is_ok());
}

async fn rule_14_another_sign_ins_cookie_does_not_do(world: &World) {
    world.app.connector(Google, DEV).await;
    let (_, alices) = away(world, ALICE).await;
    let (bobs_browser, _) = away(world, BOB).await;
    assert_eq!(
        page(world, &alices, bobs_browser.cookies()).await,
        OTHER_BROWSER
    );
}

async fn rule_14_another_sign_ins_cookie_under_this_ones_name_does_not_do(world: &World) {
    world.app.connector(Google, DEV).await;
    let (own, alices) = away(world, ALICE).await;
    let (other, _) = away(world, BOB).await;
    let forged = vec![(own.cookie.name.clone(), other.cookie.value.clone())];
    assert_eq!(page(world, &alices, forged).await, OTHER_BROWSER);
}

async fn rule_14_a_tampered_cookie_does_not_do(world: &World) {
    world.app.connector(Google, DEV).await;
    let (at, params) = away(world, ALICE).await;
    let value = &at.cookie.value;
    let middle = value.len() / 2;
    let other = if &value[middle..=middle] == "A" {
        "B"
    } else {
        "A"
    };
    let flipped = format!("{}{other}{}", &value[..middle], &value[middle + 1..]);
    for bad in [
        flipped,
        value[..middle].to_owned(),
        String::new(),
        "%%%".to_owned(),
    ] {
        let cookies = vec![(at.cookie.name.clone(), bad)];
        assert_eq!(page(world, &params, cookies).await, OTHER_BROWSER);
    }
}

async fn rule_14_a_sign_in_that_took_half_an_hour_has_expired(world: &World) {
    world.app.connector(Google, DEV).await;
    let (at, params) = away(world, ALICE).await;
    world.pass_secs(30 * 60);
    assert_eq!(page(world, &params, at.cookies()).await, "expired");
}

async fn rule_14_several_sign_ins_of_one_browser_go_side_by_side(world: &World) {
    world.app.connector(Google, DEV).await;
    let (first, firsts) = away(world, ALICE).await;
    let (second, seconds) = away(world, BOB).await;
    let both = [first.cookies(), second.cookies()].concat();
    for params in [seconds, firsts] {
        let finish = world.engine.finish_sign_in(params, both.clone()).await;
        assert!(matches!(finish, Finish::Application { .. }));
    }
}

async fn rule_14_a_callback_without_state_or_with_a_made_up_one_gets_an_error_page(world: &World) {
    world.app.connector(Google, DEV).await;
    let (at, params) = away(world, ALICE).await;
    let with = |state: Option<&str>| CallbackParams {
        state: state.map(str::to_owned),
        ..params.clone()
    };
    assert_eq!(page(world, &with(None), at.cookies()).await, "no_state");
    assert_eq!(
        page(world, &with(Some("made-up")), at.cookies()).await,
        OTHER_BROWSER
    );
}

async fn rule_14_the_spent_cookie_is_named_for_clearing(world: &World) {
    world.app.connector(Google, DEV).await;
    let (at, params) = away(world, ALICE).await;
    match world.app.finish(&at, params).await {
        Finish::Application { spent_cookie, .. } => assert_eq!(spent_cookie, at.cookie.name),
        Finish::Page(fault) => panic!("{fault:?}"),
    }
}

on_both_databases!(
    rule_14_a_callback_without_the_cookie_gets_an_error_page,
    rule_14_another_sign_ins_cookie_does_not_do,
    rule_14_another_sign_ins_cookie_under_this_ones_name_does_not_do,
    rule_14_a_tampered_cookie_does_not_do,
    rule_14_a_sign_in_that_took_half_an_hour_has_expired,
    rule_14_several_sign_ins_of_one_browser_go_side_by_side,
    rule_14_a_callback_without_state_or_with_a_made_up_one_gets_an_error_page,
    rule_14_the_spent_cookie_is_named_for_clearing,
);
