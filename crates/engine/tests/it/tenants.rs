//! Rule 8: nothing of one application is another's to read, change, count or guess.

use keyway_core::connector::Connector;
use keyway_core::credential::Credential;
use keyway_core::grant::{Grant, GrantLocator};
use keyway_core::page::Page;
use keyway_core::provider::Provider::{Google, Yahoo};
use keyway_engine::applications::{ApplicationPatch, CallbackUriPatch};
use keyway_engine::connectors::ConnectorPatch;
use keyway_engine::credentials::CredentialPatch;
use keyway_engine::custom::CustomAuthentication;
use keyway_engine::grants::GrantPatch;
use keyway_engine::redirect_uris::RedirectUriPatch;
use keyway_engine::tokens::{TokenAnswer, TokenParams};
use keyway_engine::{Error, ErrorKind, GrantFilter};
use keyway_testkit::{
    ALICE, BOB, DEV, STAGING, SignIn, TestApplication, World, object, on_both_databases,
};
use secrecy::ExposeSecret as _;
use serde_json::json;

/// What the victim has; the stranger has a connector of the same provider, and nothing else.
struct Victims {
    connector: Connector,
    credential: Credential,
    answer: TokenAnswer,
    grant: Grant,
    stranger: TestApplication,
}

async fn set_up(world: &World) -> Victims {
    let app = &world.app;
    let connector = app.connector(Google, DEV).await;
    app.connector(Yahoo, DEV).await;
    let credential = app.credential(Google, "staging", STAGING).await;
    let sign_in = SignIn::of(ALICE).at(Google).external_id("user-1").offline();
    let answer = app.sign_in(&sign_in).await;
    let grant = app.grant(answer.grant_id).await;
    let stranger = world.application("stranger").await;
    stranger.connector(Google, DEV).await;
    Victims {
        connector,
        credential,
        answer,
        grant,
        stranger,
    }
}

fn not_found<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotFound);
}

fn no_grant<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    let error = outcome.unwrap_err();
    let told = (error.kind(), error.message());
    assert_eq!(
        told,
        (ErrorKind::GrantNotFound, "No Grant found for this Grant ID")
    );
}

async fn rule_08_a_strangers_connectors_and_credentials_do_not_exist(world: &World) {
    let victims = set_up(world).await;
    let (engine, caller) = (&world.engine, &victims.stranger.caller);
    let before = world.snapshot().await;
    let seq = world.latest_seq().await;
    not_found(engine.connector(caller, Yahoo).await);
    not_found(
        engine
            .update_connector(caller, Yahoo, ConnectorPatch::default())
            .await,
    );
    not_found(engine.delete_connector(caller, Yahoo).await);
    not_found(engine.credentials(caller, Yahoo, Page::default()).await);
    let new = victims.stranger.new_credential("staging", STAGING);
    not_found(engine.create_credential(caller, Yahoo, new).await);
    let id = victims.credential.id;
    not_found(engine.credential(caller, Google, id).await);
    not_found(
        engine
            .update_credential(caller, Google, id, CredentialPatch::default())
            .await,
    );
    not_found(engine.delete_credential(caller, Google, id).await);
    not_found(engine.credential_health(caller, Google, id).await);
    let steal = ConnectorPatch {
        active_credential_id: Some(id),
        ..ConnectorPatch::default()
    };
    let refused = engine
        .update_connector(caller, Google, steal)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    let seen = engine.connectors(caller, 200, 0).await.unwrap();
    assert!(
        seen.iter()
            .all(|connector| connector.application_id == victims.stranger.id)
    );
    let own = engine
        .credentials(caller, Google, Page::default())
        .await
        .unwrap();
    assert_eq!((seen.len(), own.len()), (1, 1));
    assert_eq!(world.snapshot().await, before);
    assert_eq!(world.latest_seq().await, seq);
}

async fn rule_08_a_strangers_grants_do_not_exist(world: &World) {
    let victims = set_up(world).await;
    let (engine, stranger) = (&world.engine, &victims.stranger);
    let before = world.snapshot().await;
    let seq = world.latest_seq().await;
    for locator in [
        GrantLocator::Id(victims.grant.id),
        GrantLocator::Email(ALICE.into()),
        GrantLocator::External("user-1".into()),
    ] {
        no_grant(engine.grant(&stranger.principal(), locator.clone()).await);
        let patch = GrantPatch {
            external_id: Some(Some("stolen".into())),
            ..GrantPatch::default()
        };
        no_grant(
            engine
                .update_grant(&stranger.caller, locator.clone(), patch)
                .await,
        );
        no_grant(engine.delete_grant(&stranger.caller, locator).await);
    }
    let all = GrantFilter::default;
    for filter in [
        all(),
        GrantFilter {
            credential_id: victims.grant.credential_id,
            ..all()
        },
        GrantFilter {
            connector_id: Some(victims.connector.id),
            ..all()
        },
        GrantFilter {
            email_key: Some(ALICE.into()),
            ..all()
        },
        GrantFilter {
            external_id: Some("user-1".into()),
            ..all()
        },
    ] {
        let seen = engine
            .grants(&stranger.caller, filter, Page::default())
            .await
            .unwrap();
        assert!(seen.is_empty());
    }
    assert_eq!(world.snapshot().await, before);
    assert_eq!(world.latest_seq().await, seq);
}

async fn rule_08_a_strangers_redirect_uris_and_keys_do_not_exist(world: &World) {
    let victims = set_up(world).await;
    let (engine, caller) = (&world.engine, &victims.stranger.caller);
    let uri = engine
        .redirect_uris(&world.app.caller)
        .await
        .unwrap()
        .remove(0);
    let before = world.snapshot().await;
    not_found(engine.redirect_uri(caller, uri.id).await);
    not_found(
        engine
            .update_redirect_uri(caller, uri.id, RedirectUriPatch::default())
            .await,
    );
    not_found(engine.delete_redirect_uri(caller, uri.id).await);
    let seize = ApplicationPatch {
        callback_uris: Some(vec![CallbackUriPatch::Kept(
            uri.id,
            RedirectUriPatch {
                url: Some("https://stranger.example/new".into()),
                ..RedirectUriPatch::default()
            },
        )]),
        ..ApplicationPatch::default()
    };
    assert!(engine.update_application(caller, seize).await.is_err());
    not_found(
        engine
            .revoke_key(victims.stranger.id, world.app.key.id)
            .await,
    );
    assert_eq!(world.snapshot().await, before);
    let seen = engine.redirect_uris(caller).await.unwrap();
    assert!(
        seen.iter()
            .all(|uri| uri.application_id == victims.stranger.id)
    );
}

async fn rule_08_sign_ins_and_custom_authentication_take_no_strangers_credential(world: &World) {
    let victims = set_up(world).await;
    let (engine, stranger) = (&world.engine, &victims.stranger);
    let before = world.snapshot().await;
    let id = victims.credential.id;
    let ended = stranger
        .start(&SignIn::of(BOB).through(id))
        .await
        .unwrap_err();
    let foreign = ended.returned("error_description").to_owned();
    let nobodys = SignIn::of(BOB).through(keyway_core::ids::CredentialId::from_u128(7));
    let ended = stranger.start(&nobodys).await.unwrap_err();
    assert_eq!(ended.returned("error_description"), foreign);
    let token = stranger.minted(STAGING, BOB);
    assert!(stranger.bring(Google, Some(id), &token).await.is_err());
    let nested = CustomAuthentication {
        provider: Some(Google),
        settings: object(json!({"refresh_token": token, "credential_id": id.to_string()})),
        ..CustomAuthentication::default()
    };
    assert!(
        engine
            .custom_authentication(&stranger.caller, nested)
            .await
            .is_err()
    );
    let uri = SignIn::of(BOB).back_to(&world.app.redirect_uri);
    assert!(stranger.start(&uri).await.is_err());
    // A hint is looked up among the application's own grants only.
    let mut hinted = SignIn::of(BOB).hint(ALICE);
    hinted.query.include_grant_scopes = Some("true".into());
    assert!(stranger.start(&hinted).await.is_ok());
    assert_eq!(world.snapshot().await, before);
    assert_eq!(
        world.provider.counters().token_requests_of("refresh_token"),
        0
    );
}

async fn rule_08_the_token_endpoint_knows_whose_code_and_token_it_is(world: &World) {
    let victims = set_up(world).await;
    let (app, stranger) = (&world.app, &victims.stranger);
    let sign_in = SignIn::of(BOB).at(Google);
    let fresh = async || app.code(&sign_in).await.unwrap();
    let token = async |params: TokenParams| world.engine.token(params).await.unwrap_err().error;
    let mut theirs = stranger.exchange_params(&sign_in, &fresh().await);
    theirs.redirect_uri = Some(app.redirect_uri.clone());
    assert_eq!(token(theirs).await, "invalid_grant");
    let mut wrong_secret = app.exchange_params(&sign_in, &fresh().await);
    wrong_secret.client_secret = Some(stranger.api_key().into());
    assert_eq!(token(wrong_secret).await, "invalid_client");
    let refresh = victims
        .answer
        .refresh_token
        .as_ref()
        .unwrap()
        .expose_secret();
    assert_eq!(
        token(stranger.refresh_params(refresh)).await,
        "invalid_grant"
    );
    let credentials = TokenParams {
        grant_type: Some("client_credentials".into()),
        client_id: Some(stranger.id.to_string()),
        client_secret: Some(stranger.api_key().into()),
        grant_id: Some(victims.grant.id.to_string()),
        ..TokenParams::default()
    };
    assert_eq!(token(credentials).await, "invalid_grant");
    // All that ended nothing of the victim's.
    assert!(app.refresh(refresh).await.is_ok());
}

async fn rule_08_an_access_token_opens_its_own_grant_and_no_other(world: &World) {
    let victims = set_up(world).await;
    let app = &world.app;
    let bob = app
        .connect(&SignIn::of(BOB).at(Google).external_id("user-2"))
        .await;
    let access = victims.answer.access_token.expose_secret();
    let principal = world.engine.principal(access).await.unwrap();
    let own = [
        GrantLocator::Me,
        GrantLocator::Id(victims.grant.id),
        GrantLocator::Email(ALICE.into()),
        GrantLocator::External("user-1".into()),
    ];
    for locator in own {
        let grant = world.engine.grant(&principal, locator).await.unwrap();
        assert_eq!(grant.id, victims.grant.id);
    }
    let others = [
        GrantLocator::Id(bob.id),
        GrantLocator::Email(BOB.into()),
        GrantLocator::External("user-2".into()),
    ];
    for locator in others {
        no_grant(world.engine.grant(&principal, locator).await);
    }
    assert!(world.engine.caller(access).await.is_err());
}

async fn rule_08_the_same_user_in_two_applications_is_two_grants(world: &World) {
    let victims = set_up(world).await;
    let theirs = victims
        .stranger
        .connect(&SignIn::of(ALICE).external_id("user-1"))
        .await;
    assert_ne!(theirs.id, victims.grant.id);
    let grants = world.app.grants().await;
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0], victims.grant);
}

async fn rule_08_a_browser_page_may_call_for_its_own_application_only(world: &World) {
    let victims = set_up(world).await;
    let (app, stranger) = (&world.app, &victims.stranger);
    let origin = app.origin();
    assert!(world.engine.origin_is_registered(&origin).await.unwrap());
    assert!(
        world
            .engine
            .origin_is_allowed(app.id, &origin)
            .await
            .unwrap()
    );
    assert!(
        !world
            .engine
            .origin_is_allowed(stranger.id, &origin)
            .await
            .unwrap()
    );
    assert!(
        !world
            .engine
            .origin_is_registered("https://nobody.example")
            .await
            .unwrap()
    );
}

on_both_databases!(
    rule_08_a_strangers_connectors_and_credentials_do_not_exist,
    rule_08_a_strangers_grants_do_not_exist,
    rule_08_a_strangers_redirect_uris_and_keys_do_not_exist,
    rule_08_sign_ins_and_custom_authentication_take_no_strangers_credential,
    rule_08_the_token_endpoint_knows_whose_code_and_token_it_is,
    rule_08_an_access_token_opens_its_own_grant_and_no_other,
    rule_08_the_same_user_in_two_applications_is_two_grants,
    rule_08_a_browser_page_may_call_for_its_own_application_only,
);
