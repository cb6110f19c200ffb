//! PKCE towards applications, and who may leave out the client secret.

use keyway_core::provider::Provider::Google;
use keyway_engine::OAuthError;
use keyway_engine::tokens::TokenAnswer;
use keyway_testkit::{ALICE, DEV, SignIn, World, on_both_databases};
use secrecy::ExposeSecret as _;

/// Verifier, challenge as the official SDKs make it, challenge of RFC 7636.
const VECTORS: [(&str, &str, &str); 3] = [
    (
        "nylas",
        "ZTk2YmY2Njg2YTNjMzUxMGU5ZTkyN2RiNzA2OWNiMWNiYTliOTliMDIyZjQ5NDgzYTZjZTMyNzA4MDllNjhhMg",
        "6Wv2aGo8NRDp6SfbcGnLHLqbmbAi9JSDps4ycICeaKI",
    ),
    (
        "10eae03c-0447-43a3-9465-883a66af33e8",
        "MzNhMjVjZTVjYTc5OWU1M2U5MzE5MWM4NmJhZjNjN2M4ZjlmZDcxZGUxYmMyMTliMWY5MGZiZjZmMmY2ZjFjMA",
        "M6Jc5cp5nlPpMZHIa688fI-f1x3hvCGbH5D79vL28cA",
    ),
    (
        "23CHas0aL8wvm5dP4iSkA.jn6tKYiz6XxvQHkA.YM8MAstQP3AHqgAc4DX2eef~g",
        "N2ZhNDQ1ZWY2NTBhN2RjNTBiYTBmZWVkZWYzOTY0YjE0NGVhNzZiNTZkOGI4NjZmNGY2ZWVkOGRiNDcwZDYyMQ",
        "f6RF72UKfcULoP7t7zlksUTqdrVti4ZvT27tjbRw1iE",
    ),
];
/// The hex digest of `nylas`.
const BARE_HEX: &str = "e96bf6686a3c3510e9e927db7069cb1cba9b99b022f49483a6ce3270809e68a2";
const PKCE_FAILED: i64 = 45004;

/// The whole story as a page in a browser tells it: no client secret.
async fn from_a_page(world: &World, sign_in: SignIn) -> Result<TokenAnswer, OAuthError> {
    let app = &world.app;
    let sign_in = sign_in.back_to(&app.page_uri);
    let code = app.code(&sign_in).await.unwrap();
    let mut params = app.exchange_params(&sign_in, &code);
    params.client_secret = None;
    world.engine.token(params).await
}

async fn every_spelling_of_an_s256_challenge_is_understood(world: &World) {
    world.app.connector(Google, DEV).await;
    for (verifier, sdks, rfc) in VECTORS {
        for (challenge, method) in [(sdks, "s256"), (sdks, "S256"), (rfc, "S256")] {
            let sign_in = SignIn::of(ALICE).pkce(challenge, method, verifier);
            assert!(
                from_a_page(world, sign_in).await.is_ok(),
                "{verifier} {challenge}"
            );
        }
        let padded = format!("{}=", rfc.replace('-', "+").replace('_', "/"));
        let sign_in = SignIn::of(ALICE).pkce(&padded, "S256", verifier);
        assert!(
            from_a_page(world, sign_in).await.is_ok(),
            "{verifier} padded"
        );
    }
    let bare = SignIn::of(ALICE).pkce(BARE_HEX, "S256", "nylas");
    assert!(from_a_page(world, bare).await.is_ok());
    let plain = SignIn::of(ALICE).pkce("a-plain-one", "plain", "a-plain-one");
    assert!(from_a_page(world, plain).await.is_ok());
}

async fn a_wrong_or_missing_verifier_is_refused(world: &World) {
    world.app.connector(Google, DEV).await;
    let (verifier, challenge, _) = VECTORS[0];
    let wrong = SignIn::of(ALICE).pkce(challenge, "S256", "another");
    assert_eq!(
        from_a_page(world, wrong).await.unwrap_err().error_code,
        PKCE_FAILED
    );
    let mut missing = SignIn::of(ALICE).pkce(challenge, "S256", verifier);
    missing.verifier = None;
    assert_eq!(
        from_a_page(world, missing).await.unwrap_err().error_code,
        PKCE_FAILED
    );
    // With S256, the challenge itself is no verifier.
    let echoed = SignIn::of(ALICE).pkce(challenge, "S256", challenge);
    assert!(from_a_page(world, echoed).await.is_err());
}

async fn a_verifier_without_a_challenge_is_refused_as_a_downgrade(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let mut sign_in = SignIn::of(ALICE);
    sign_in.verifier = Some("nylas".into());
    assert_eq!(app.code(&sign_in).await.map(|_| ()).ok(), Some(()));
    let code = app.code(&sign_in).await.unwrap();
    let refused = app.exchange(&sign_in, &code).await.unwrap_err();
    assert_eq!(
        (refused.error, refused.error_code),
        ("invalid_grant", PKCE_FAILED)
    );
    assert!(app.grants().await.is_empty());
}

async fn an_odd_challenge_is_told_to_the_application(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let long = "x".repeat(257);
    for (challenge, method) in [("x", "S512"), (long.as_str(), "S256")] {
        let ended = app
            .start(&SignIn::of(ALICE).pkce(challenge, method, "v"))
            .await;
        assert_eq!(ended.unwrap_err().returned("error"), "invalid_request");
    }
}

async fn only_public_platforms_with_pkce_may_leave_out_the_secret(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let (verifier, challenge, _) = VECTORS[0];
    let with = |uri: &str| {
        SignIn::of(ALICE)
            .pkce(challenge, "S256", verifier)
            .back_to(uri)
    };
    let without = |uri: &str| SignIn::of(ALICE).back_to(uri);
    let (web, js, ios) = (&app.redirect_uri, &app.page_uri, &app.mobile_uri);
    for (sign_in, may) in [
        (with(js), true),
        (with(ios), true),
        (with(web), false),
        (without(js), false),
        (without(ios), false),
        (without(web), false),
    ] {
        let code = app.code(&sign_in).await.unwrap();
        let mut params = app.exchange_params(&sign_in, &code);
        params.client_secret = None;
        let outcome = world.engine.token(params).await;
        assert_eq!(outcome.is_ok(), may, "{sign_in:?}");
        if let Err(error) = outcome {
            assert_eq!(error.error, "invalid_client");
            assert!(error.description.contains("client_secret"));
        }
    }
}

async fn a_secret_that_is_given_must_be_right_even_where_none_is_needed(world: &World) {
    let app = &world.app;
    let other = world.application("other").await;
    app.connector(Google, DEV).await;
    let (verifier, challenge, _) = VECTORS[0];
    let sign_in = SignIn::of(ALICE)
        .pkce(challenge, "S256", verifier)
        .back_to(&app.page_uri);
    for wrong in ["nonsense", other.api_key()] {
        let code = app.code(&sign_in).await.unwrap();
        let mut params = app.exchange_params(&sign_in, &code);
        params.client_secret = Some(wrong.into());
        assert_eq!(
            world.engine.token(params).await.unwrap_err().error,
            "invalid_client"
        );
    }
}

async fn a_public_clients_refresh_token_needs_no_secret_and_a_servers_does(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let (verifier, challenge, _) = VECTORS[0];
    let page = SignIn::of(ALICE)
        .pkce(challenge, "S256", verifier)
        .offline();
    let public = from_a_page(world, page).await.unwrap();
    let server = app.sign_in(&SignIn::of(ALICE).offline()).await;
    for (answer, may) in [(&public, true), (&server, false)] {
        let token = answer.refresh_token.as_ref().unwrap();
        let mut params = app.refresh_params(token.expose_secret());
        params.client_secret = None;
        assert_eq!(world.engine.token(params).await.is_ok(), may);
    }
}

on_both_databases!(
    every_spelling_of_an_s256_challenge_is_understood,
    a_wrong_or_missing_verifier_is_refused,
    a_verifier_without_a_challenge_is_refused_as_a_downgrade,
    an_odd_challenge_is_told_to_the_application,
    only_public_platforms_with_pkce_may_leave_out_the_secret,
    a_secret_that_is_given_must_be_right_even_where_none_is_needed,
    a_public_clients_refresh_token_needs_no_secret_and_a_servers_does,
);
