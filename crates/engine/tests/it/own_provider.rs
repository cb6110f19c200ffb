//! A provider that the operator's configuration describes: what its entry leaves out, and what is left once it is gone.

use keyway_core::catalogue::{ClientAuth, EntryForm, UserinfoMethod};
use keyway_core::grant::{GrantLocator, GrantStatus};
use keyway_core::provider::Provider;
use keyway_engine::ErrorKind;
use keyway_outbound::Response;
use keyway_testkit::{
    ALICE, DEV, Ended, SignIn, World, WorldOptions, callback_params, on_both_databases,
};
use serde_json::{Value, json};
use std::sync::Arc;

fn acme() -> Provider {
    "acme".parse().unwrap()
}

fn form() -> EntryForm {
    let at = |path: &str| Some(format!("https://acme.test{path}"));
    EntryForm {
        authorization_endpoint: at("/authorize"),
        token_endpoint: at("/token"),
        userinfo_endpoint: at("/me"),
        api_base_url: at("/api"),
        client_auth: Some(ClientAuth::Post),
        email_claims: Some(vec!["contact.email".into()]),
        ..EntryForm::default()
    }
}

/// Nothing in the entry identifies a person.
fn without_identity() -> WorldOptions {
    World::options().entry(acme(), form())
}

fn with_identity() -> WorldOptions {
    let claims = Some(vec!["id".into()]);
    let form = EntryForm {
        identity_claims: claims,
        ..form()
    };
    World::options().entry(acme(), form)
}

/// Tokens last, and whether one still holds is asked by introspection.
fn with_introspection() -> WorldOptions {
    let form = EntryForm {
        identity_claims: Some(vec!["id".into()]),
        userinfo_method: Some(UserinfoMethod::Introspect),
        refresh_tokens: Some(false),
        ..form()
    };
    World::options().entry(acme(), form)
}

/// The provider, which lets everybody in and shows `profile`.
async fn standing_in(world: &World, profile: Value) {
    let renewed = profile.get("active").is_none();
    let tokens = match renewed {
        true => json!({"access_token": "a", "refresh_token": "r", "expires_in": 3600}),
        false => json!({"access_token": "a", "expires_in": profile.get("expires_in")}),
    };
    let answers = Arc::new(move |request: &keyway_outbound::Request| Response {
        status: http::StatusCode::OK,
        headers: http::HeaderMap::new(),
        body: match request.url.path() {
            "/token" => tokens.to_string().into(),
            _ => profile.to_string().into(),
        },
    });
    world.recorder.stand_in("acme.test", answers);
}

async fn try_sign_in(world: &World) -> Result<keyway_core::ids::GrantId, Ended> {
    let sign_in = SignIn::of(ALICE).at(acme());
    let at = world.app.start(&sign_in).await?;
    let mut params = callback_params(&at.location);
    params.code = Some("code".into());
    let code = world.app.code_from(&at, params).await?;
    let answer = world.app.exchange(&sign_in, &code).await;
    answer.map(|a| a.grant_id).map_err(Ended::Token)
}

async fn rule_12_an_entry_without_identity_signs_nobody_in_again(world: &World) {
    standing_in(world, json!({"id": 7, "contact": {"email": ALICE}})).await;
    world.app.connector(acme(), DEV).await;
    let id = try_sign_in(world).await.unwrap();
    let grant = world.app.grant(id).await;
    assert_eq!(
        (grant.email.as_str(), grant.identity.clone()),
        (ALICE, None)
    );
    let refused = try_sign_in(world).await.unwrap_err();
    let words = refused.returned("error_description");
    assert!(words.starts_with("grant.reauth_email_invalid"), "{words}");
    assert!(
        words.contains("no identity that is the same in every app"),
        "{words}"
    );
    assert_eq!(world.app.grant(id).await, grant);
    // The application vouches for its users.
    let brought = world.app.bring(acme(), None, "r2").await.unwrap();
    assert_eq!(brought.id, id);
}

async fn rule_12_an_identity_that_does_not_come_is_none(world: &World) {
    standing_in(world, json!({"contact": {"email": ALICE}})).await;
    world.app.connector(acme(), DEV).await;
    let id = try_sign_in(world).await.unwrap();
    standing_in(world, json!({"id": 7, "contact": {"email": ALICE}})).await;
    let refused = try_sign_in(world).await.unwrap_err();
    let words = refused.returned("error_description");
    assert!(words.contains("another account"), "{words}");
    assert_eq!(world.app.grant(id).await.identity, None);
}

async fn rule_06_a_token_that_is_inactive_ends_its_grant(world: &World) {
    let profile = |active| json!({"active": active, "id": 7, "contact": {"email": ALICE}});
    standing_in(world, profile(true)).await;
    world.app.connector(acme(), DEV).await;
    let id = try_sign_in(world).await.unwrap();
    let (locator, principal) = (GrantLocator::Id(id), world.app.principal());
    let target = world.engine.call_target(&principal, locator, None).await;
    let call = world.engine.call_to(target.unwrap()).await.unwrap();
    standing_in(world, profile(false)).await;
    let error = world.engine.call_again(&call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    let ended = world.app.grant(id).await;
    assert_eq!(ended.effective_status(), GrantStatus::Invalid);
}

/// The grant's token is no longer believed by the provider's API: what comes of asking about it.
async fn asked_again(world: &World, id: keyway_core::ids::GrantId) -> keyway_engine::Error {
    let (locator, principal) = (GrantLocator::Id(id), world.app.principal());
    let target = world.engine.call_target(&principal, locator, None).await;
    let call = world.engine.call_to(target.unwrap()).await.unwrap();
    refusing_the_client(world);
    world.engine.call_again(&call).await.unwrap_err()
}

/// An introspection endpoint that does not accept the client (RFC 7662, 2.3).
fn refusing_the_client(world: &World) {
    let answers = Arc::new(|_: &keyway_outbound::Request| Response {
        status: http::StatusCode::UNAUTHORIZED,
        headers: http::HeaderMap::new(),
        body: r#"{"error": "invalid_client"}"#.into(),
    });
    world.recorder.stand_in("acme.test", answers);
}

async fn rule_06_an_introspection_that_refuses_the_client_ends_no_grant(world: &World) {
    standing_in(
        world,
        json!({"active": true, "id": 7, "contact": {"email": ALICE}}),
    )
    .await;
    world.app.connector(acme(), DEV).await;
    let id = try_sign_in(world).await.unwrap();
    let error = asked_again(world, id).await;
    assert_ne!(error.kind(), ErrorKind::Unauthorized, "{error}");
    let grant = world.app.grant(id).await;
    assert_eq!(grant.effective_status(), GrantStatus::Valid);
}

async fn a_token_that_nothing_renews_keeps_its_end_however_often_it_is_asked_about(world: &World) {
    let told = json!({"active": true, "id": 7, "contact": {"email": ALICE}, "expires_in": 3600});
    standing_in(world, told).await;
    world.app.connector(acme(), DEV).await;
    let id = try_sign_in(world).await.unwrap();
    let (locator, principal) = (|| GrantLocator::Id(id), world.app.principal());
    // Shortly before its end it is asked about, and is good for what is left.
    world.pass_secs(3600 - 30);
    let target = world.engine.call_target(&principal, locator(), None).await;
    world.engine.call_to(target.unwrap()).await.unwrap();
    let end = world.app.grant(id).await;
    assert_eq!(end.effective_status(), GrantStatus::Valid);
    world.pass_secs(60);
    let error = match world.engine.call_target(&principal, locator(), None).await {
        Ok(target) => world.engine.call_to(target).await.unwrap_err(),
        // Asking ahead of the end was slower than the end.
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    let ended = world.app.grant(id).await;
    assert_eq!(ended.effective_status(), GrantStatus::Invalid);
}

async fn a_user_without_an_address_is_sent_back_with_words(world: &World) {
    standing_in(world, json!({"id": 7, "contact": {"email": null}})).await;
    world.app.connector(acme(), DEV).await;
    let refused = try_sign_in(world).await.unwrap_err();
    let words = refused.returned("error_description");
    assert!(words.contains("holds an e-mail address"), "{words}");
    assert!(world.app.grants().await.is_empty());
}

async fn rule_06_a_provider_that_nothing_describes_any_more_costs_no_grant(world: &World) {
    standing_in(world, json!({"id": 7, "contact": {"email": ALICE}})).await;
    let connector = world.app.connector(acme(), DEV).await;
    let id = try_sign_in(world).await.unwrap();
    let poorer = world.engine_without_entries().await;
    assert_eq!(poorer.undescribed_providers().await.unwrap(), [acme()]);
    assert!(
        world
            .engine
            .undescribed_providers()
            .await
            .unwrap()
            .is_empty()
    );
    let app = world.app.at(&poorer);
    world.pass_secs(3601);
    let sign_in = SignIn::of(ALICE).at(acme());
    let at = world.app.start(&sign_in).await.unwrap();
    let grant = app.grant(id).await;
    let told = "no longer describes the provider acme; contact its administrator";
    for _ in 0..2 {
        let error = poorer.fresh_token(&grant).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.message().contains(told), "{error}");
    }
    assert_eq!(app.grants().await.len(), 1);
    assert_eq!(app.grant(id).await.effective_status(), GrantStatus::Valid);
    let named = SignIn::of(ALICE).through(connector.active_credential_id.unwrap());
    for sign_in in [SignIn::of(ALICE), named] {
        let ended = app.start(&sign_in).await.unwrap_err();
        assert!(ended.returned("error_description").contains(told));
    }
    let mut params = callback_params(&at.location);
    params.code = Some("code".into());
    let ended = app.code_from(&at, params).await.unwrap_err();
    assert_eq!(ended.returned("error"), "server_error");
    let deleted = poorer.delete_grant(&app.caller, GrantLocator::Id(id)).await;
    deleted.unwrap();
    // Where it is described, all is as it was.
    assert_eq!(try_sign_in(world).await.map(|_| ()).ok(), Some(()));
    poorer.shutdown().await;
}

on_both_databases!(without_identity() =>
    rule_12_an_entry_without_identity_signs_nobody_in_again,
);
on_both_databases!(with_introspection() =>
    rule_06_a_token_that_is_inactive_ends_its_grant,
    rule_06_an_introspection_that_refuses_the_client_ends_no_grant,
    a_token_that_nothing_renews_keeps_its_end_however_often_it_is_asked_about,
);
on_both_databases!(with_identity() =>
    rule_12_an_identity_that_does_not_come_is_none,
    a_user_without_an_address_is_sent_back_with_words,
    rule_06_a_provider_that_nothing_describes_any_more_costs_no_grant,
);
