//! Keyway's own tokens: refresh limits, client_credentials, tokeninfo, revoke, id_tokens and their keys.

use keyway_core::application::AdditionalSettings;
use keyway_core::grant::GrantLocator;
use keyway_core::provider::Provider::Google;
use keyway_engine::applications::ApplicationPatch;
use keyway_engine::tokens::{TokenAnswer, TokenParams};
use keyway_engine::{ErrorKind, Principal};
use keyway_testkit::{ALICE, DEV, SignIn, World, on_both_databases};
use keyway_vault::jwt::{PublicJwk, decode_unverified, verify_own};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};

/// The claims of an id_token, unverified.
pub(crate) fn claims(id_token: &str) -> Map<String, Value> {
    decode_unverified(id_token).unwrap()
}

fn access(answer: &TokenAnswer) -> &str {
    answer.access_token.expose_secret()
}

pub(crate) fn refresh(answer: &TokenAnswer) -> &str {
    answer.refresh_token.as_ref().unwrap().expose_secret()
}

pub(crate) async fn limit_refresh_tokens(world: &World, idle: Option<i64>, absolute: Option<i64>) {
    let patch = ApplicationPatch {
        additional_settings: Some(AdditionalSettings {
            refresh_token_expiration_idle: idle,
            refresh_token_expiration_absolute: absolute,
            ..AdditionalSettings::default()
        }),
        ..ApplicationPatch::default()
    };
    world
        .engine
        .update_application(&world.app.caller, patch)
        .await
        .unwrap();
}

async fn published_keys(world: &World) -> Vec<PublicJwk> {
    let jwks = world.engine.jwks().await.unwrap();
    serde_json::from_value(jwks["keys"].clone()).unwrap()
}

async fn an_exchange_gives_tokens_that_open_the_grant_and_say_who_it_is(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let answer = app.sign_in(&SignIn::of(ALICE).scope("mail.read")).await;
    assert_eq!((answer.expires_in, answer.email.as_str()), (3600, ALICE));
    assert_eq!(answer.provider, Some(Google));
    assert!(answer.scope.split(' ').any(|scope| scope == "mail.read"));
    assert!(answer.refresh_token.is_none());
    let principal = world.engine.principal(access(&answer)).await.unwrap();
    let me = world
        .engine
        .grant(&principal, GrantLocator::Me)
        .await
        .unwrap();
    assert_eq!(me.id, answer.grant_id);
    let by_key = world
        .engine
        .grant(&app.principal(), GrantLocator::Me)
        .await
        .unwrap_err();
    assert_eq!(by_key.kind(), ErrorKind::InvalidRequest);
}

async fn an_id_token_verifies_against_the_published_keys(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let answer = app.sign_in(&SignIn::of(ALICE)).await;
    let issuer = "http://127.0.0.1:8080";
    let now = world.engine.now();
    let claims = verify_own(&published_keys(world).await, &answer.id_token, issuer, now).unwrap();
    assert_eq!(claims["sub"], answer.grant_id.to_string());
    assert_eq!(claims["aud"], app.origin());
    assert_eq!(claims["azp"], app.id.to_string());
    assert_eq!(claims["email"], ALICE);
    assert_eq!(claims["email_verified"], true);
    assert_eq!(claims["name"], "Alice");
    assert_eq!(claims["provider"], "google");
    assert_eq!(claims["iat"], now.as_secs());
    assert_eq!(claims["exp"], now.as_secs() + 3600);
}

async fn tokeninfo_reads_both_kinds_of_token(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let answer = app.sign_in(&SignIn::of(ALICE)).await;
    let by_id = world
        .engine
        .token_info(Some(&answer.id_token), None)
        .await
        .unwrap();
    let by_access = world
        .engine
        .token_info(None, Some(access(&answer)))
        .await
        .unwrap();
    assert_eq!(by_id, by_access);
    assert_eq!(
        (by_id.aud, by_id.sub),
        (app.origin(), answer.grant_id.to_string())
    );
    assert_eq!(by_id.exp - by_id.iat, 3600);
    assert_eq!(by_id.application_id, app.id);
    for wrong in [(None, None), (Some("a"), Some("b"))] {
        let error = world.engine.token_info(wrong.0, wrong.1).await.unwrap_err();
        assert_eq!(error.error, "invalid_request");
    }
    world.pass_secs(3600);
    for (id, access) in [
        (Some(answer.id_token.as_str()), None),
        (None, Some(access(&answer))),
    ] {
        let error = world.engine.token_info(id, access).await.unwrap_err();
        assert_eq!(error.error, "invalid_token");
    }
}

async fn a_token_signed_by_nobody_we_know_says_nothing(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let answer = app.sign_in(&SignIn::of(ALICE)).await;
    let (head, signature) = answer.id_token.rsplit_once('.').unwrap();
    let flipped: String = signature.chars().rev().collect();
    for forged in [
        format!("{head}.{flipped}"),
        format!("{head}."),
        "a.b.c".to_owned(),
    ] {
        assert!(
            world.engine.token_info(Some(&forged), None).await.is_err(),
            "{forged}"
        );
    }
}

async fn an_access_token_ends_after_an_hour(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let answer = app.sign_in(&SignIn::of(ALICE)).await;
    world.pass_secs(3599);
    assert!(world.engine.bearer(access(&answer)).await.is_ok());
    world.pass_secs(1);
    assert!(world.engine.bearer(access(&answer)).await.is_err());
    world.engine.tick().await.unwrap();
    assert!(world.engine.bearer(access(&answer)).await.is_err());
}

async fn revoking_either_token_ends_the_family_and_leaves_the_grant(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    for by_refresh in [false, true] {
        let answer = app.sign_in(&SignIn::of(ALICE).offline()).await;
        let younger = app.refresh(refresh(&answer)).await.unwrap();
        assert!(world.engine.bearer(access(&younger)).await.is_ok());
        let token = if by_refresh {
            refresh(&answer)
        } else {
            access(&answer)
        };
        world.engine.revoke(Some(token)).await.unwrap();
        assert!(world.engine.bearer(access(&answer)).await.is_err());
        assert!(world.engine.bearer(access(&younger)).await.is_err());
        assert!(app.refresh(refresh(&answer)).await.is_err());
        assert_eq!(
            world.engine.revoke(Some(token)).await.unwrap_err().error,
            "invalid_token"
        );
        let grant = app.grant(answer.grant_id).await;
        assert!(
            world
                .provider
                .is_alive(&world.tokens(&grant).await.access_token)
        );
    }
    assert_eq!(
        world.engine.revoke(None).await.unwrap_err().error,
        "invalid_request"
    );
}

async fn a_refresh_token_dies_when_unused_for_too_long(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    limit_refresh_tokens(world, Some(100), None).await;
    let answer = app.sign_in(&SignIn::of(ALICE).offline()).await;
    for _ in 0..3 {
        world.pass_secs(99);
        app.refresh(refresh(&answer)).await.unwrap();
    }
    world.pass_secs(100);
    assert_eq!(
        app.refresh(refresh(&answer)).await.unwrap_err().error,
        "invalid_grant"
    );
}

async fn a_refresh_token_dies_of_age_however_often_it_was_rotated(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    limit_refresh_tokens(world, None, Some(100)).await;
    let mut answer = app.sign_in(&SignIn::of(ALICE).rotating()).await;
    world.pass_secs(60);
    answer = app.refresh(refresh(&answer)).await.unwrap();
    world.pass_secs(39);
    answer = app.refresh(refresh(&answer)).await.unwrap();
    world.pass_secs(1);
    assert!(app.refresh(refresh(&answer)).await.is_err());
}

async fn client_credentials_opens_a_grant_of_the_application(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let grant = app.connect(&SignIn::of(ALICE)).await;
    let params = TokenParams {
        grant_type: Some("client_credentials".into()),
        client_id: Some(app.id.to_string()),
        client_secret: Some(app.api_key().into()),
        grant_id: Some(grant.id.to_string()),
        ..TokenParams::default()
    };
    let answer = world.engine.token(params.clone()).await.unwrap();
    assert!(answer.refresh_token.is_none() && answer.provider.is_none());
    let principal = world.engine.principal(access(&answer)).await.unwrap();
    assert!(matches!(principal, Principal::Token(bearer) if bearer.grant_id == grant.id));
    let by_header = TokenParams {
        client_secret: None,
        bearer: Some(app.api_key().into()),
        ..params.clone()
    };
    assert!(world.engine.token(by_header).await.is_ok());
    let without = TokenParams {
        client_secret: None,
        ..params.clone()
    };
    assert_eq!(
        world.engine.token(without).await.unwrap_err().error,
        "invalid_client"
    );
    let nobody = TokenParams {
        grant_id: Some("00000000-0000-4000-8000-000000000000".into()),
        ..params
    };
    assert_eq!(
        world.engine.token(nobody).await.unwrap_err().error,
        "invalid_grant"
    );
}

async fn what_the_token_endpoint_does_not_know_is_refused_by_name(world: &World) {
    let token = async |params| world.engine.token(params).await.unwrap_err();
    let claims = TokenParams {
        idp_claims: Some("x".into()),
        ..TokenParams::default()
    };
    assert!(token(claims).await.description.starts_with("idp_claims"));
    let odd = TokenParams {
        grant_type: Some("password".into()),
        ..TokenParams::default()
    };
    assert_eq!(token(odd).await.error, "unsupported_grant_type");
    let none = token(TokenParams::default()).await;
    assert_eq!((none.error, none.error_code), ("invalid_request", 400));
}

async fn a_signing_key_is_renewed_by_age_and_its_predecessor_stays_published(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let issuer = "http://127.0.0.1:8080";
    app.sign_in(&SignIn::of(ALICE)).await;
    let first = published_keys(world).await;
    assert_eq!(first.len(), 1);
    world.pass_secs(90 * 24 * 3600);
    // The successor is published a day before it signs.
    let ahead = published_keys(world).await;
    assert_eq!(ahead.len(), 2);
    let by_the_old = app.sign_in(&SignIn::of(ALICE)).await.id_token;
    assert!(verify_own(&first, &by_the_old, issuer, world.engine.now()).is_ok());
    world.pass_secs(24 * 3600);
    let by_the_new = app.sign_in(&SignIn::of(ALICE)).await.id_token;
    assert!(verify_own(&first, &by_the_new, issuer, world.engine.now()).is_err());
    assert!(verify_own(&ahead, &by_the_new, issuer, world.engine.now()).is_ok());
    assert_eq!(published_keys(world).await.len(), 2);
    // A second process signs with the same keys.
    let other = world.second_engine().await;
    assert!(other.token_info(Some(&by_the_new), None).await.is_ok());
    world.pass_secs(24 * 3600);
    world.engine.tick().await.unwrap();
    let last = published_keys(world).await;
    assert_eq!(last.len(), 1);
    assert_ne!(last, first);
}

async fn the_tokens_of_a_deleted_grant_open_nothing(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let answer = app.sign_in(&SignIn::of(ALICE).offline()).await;
    assert!(world.engine.bearer(access(&answer)).await.is_ok());
    let locator = GrantLocator::Id(answer.grant_id);
    world
        .engine
        .delete_grant(&app.caller, locator)
        .await
        .unwrap();
    assert!(world.engine.bearer(access(&answer)).await.is_err());
    assert!(app.refresh(refresh(&answer)).await.is_err());
    assert!(
        world
            .engine
            .token_info(Some(&answer.id_token), None)
            .await
            .is_err()
    );
}

on_both_databases!(
    an_exchange_gives_tokens_that_open_the_grant_and_say_who_it_is,
    an_id_token_verifies_against_the_published_keys,
    tokeninfo_reads_both_kinds_of_token,
    a_token_signed_by_nobody_we_know_says_nothing,
    an_access_token_ends_after_an_hour,
    revoking_either_token_ends_the_family_and_leaves_the_grant,
    a_refresh_token_dies_when_unused_for_too_long,
    a_refresh_token_dies_of_age_however_often_it_was_rotated,
    client_credentials_opens_a_grant_of_the_application,
    what_the_token_endpoint_does_not_know_is_refused_by_name,
    a_signing_key_is_renewed_by_age_and_its_predecessor_stays_published,
    the_tokens_of_a_deleted_grant_open_nothing,
);
