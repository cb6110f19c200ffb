//! Rule 3: a sign-in's credential is chosen once, at its start.

use keyway_core::credential::CredentialType;
use keyway_core::provider::Provider::{Google, Zoom};
use keyway_engine::ErrorKind;
use keyway_engine::credentials::NewCredential;
use keyway_testkit::{ALICE, DEV, Ended, PROD, STAGING, SignIn, World, object, on_both_databases};

async fn rule_03_the_default_of_the_start_counts_whatever_it_becomes_meanwhile(world: &World) {
    let app = &world.app;
    let connector = app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let sign_in = SignIn::of(ALICE);
    let at = app.start(&sign_in).await.unwrap();
    app.make_default(Google, staging.id).await;
    let params = app.at_provider(&at, &sign_in);
    let code = app.code_from(&at, params).await.unwrap();
    app.make_default(Google, staging.id).await;
    let answer = app.exchange(&sign_in, &code).await.unwrap();
    let grant = app.grant(answer.grant_id).await;
    assert_eq!(grant.credential_id, connector.active_credential_id);
    let client = world
        .recorder
        .client_of(&world.tokens(&grant).await.access_token);
    assert_eq!(client.as_deref(), Some(DEV));
}

async fn rule_03_a_credential_deleted_while_the_user_is_away_ends_the_sign_in_in_words(
    world: &World,
) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let sign_in = SignIn::of(ALICE).through(staging.id).state("mine");
    let at = app.start(&sign_in).await.unwrap();
    world
        .engine
        .delete_credential(&app.caller, Google, staging.id)
        .await
        .unwrap();
    let params = app.at_provider(&at, &sign_in);
    let ended = app.code_from(&at, params).await.unwrap_err();
    assert_eq!(ended.returned("error"), "access_denied");
    assert!(
        ended
            .returned("error_description")
            .contains("removed while you were signing in")
    );
    assert_eq!(ended.returned("state"), "mine");
    assert!(app.grants().await.is_empty());
    assert_eq!(
        world
            .provider
            .counters()
            .token_requests_of("authorization_code"),
        0
    );
}

async fn rule_03_a_connector_deleted_while_the_user_is_away_ends_the_sign_in_in_words(
    world: &World,
) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let sign_in = SignIn::of(ALICE);
    let at = app.start(&sign_in).await.unwrap();
    world
        .engine
        .delete_connector(&app.caller, Google)
        .await
        .unwrap();
    let params = app.at_provider(&at, &sign_in);
    let ended = app.code_from(&at, params).await.unwrap_err();
    assert!(ended.returned("error_description").contains("start again"));
    assert!(app.grants().await.is_empty());
}

async fn rule_03_a_credential_deleted_before_the_exchange_refuses_the_code(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let sign_in = SignIn::of(ALICE).through(staging.id);
    let code = app.code(&sign_in).await.unwrap();
    world
        .engine
        .delete_credential(&app.caller, Google, staging.id)
        .await
        .unwrap();
    let refused = app.exchange(&sign_in, &code).await.unwrap_err();
    assert_eq!(refused.error, "invalid_grant");
    assert!(
        refused.description.contains("credential"),
        "{}",
        refused.description
    );
    assert!(app.grants().await.is_empty());
}

async fn rule_03_another_client_under_the_credential_before_the_exchange_refuses_the_code(
    world: &World,
) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let sign_in = SignIn::of(ALICE).through(staging.id);
    let code = app.code(&sign_in).await.unwrap();
    let patch = keyway_engine::credentials::CredentialPatch {
        data: Some(app.new_credential("staging", PROD).data),
        ..Default::default()
    };
    let edit = world
        .engine
        .update_credential(&app.caller, Google, staging.id, patch)
        .await;
    let exchange = app.exchange(&sign_in, &code).await;
    // Whichever of the two is refused: never one client's tokens under another client's credential.
    assert!(edit.is_err() || exchange.is_err());
}

async fn a_credential_that_cannot_be_used_is_told_to_the_application(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    app.connector(Zoom, DEV).await;
    let zoom = app.credential(Zoom, "zoom", STAGING).await;
    let wrong = SignIn::of(ALICE).at(Google).through(zoom.id);
    let ended = app.start(&wrong).await.unwrap_err();
    assert!(
        ended
            .returned("error_description")
            .starts_with("credential_id")
    );
    let mut odd = SignIn::of(ALICE);
    odd.query.credential_id = Some("not-an-id".into());
    let ended = app.start(&odd).await.unwrap_err();
    assert_eq!(ended.returned("error"), "invalid_request");
}

async fn several_connectors_and_no_provider_let_the_user_choose(world: &World) {
    let app = &world.app;
    app.connector(Zoom, DEV).await;
    app.connector(Google, DEV).await;
    match app.start(&SignIn::of(ALICE)).await.unwrap_err() {
        Ended::Choose(providers) => assert_eq!(providers, [Google, Zoom]),
        other => panic!("{other:?}"),
    }
}

async fn what_is_wrong_before_the_redirect_uri_is_known_is_never_redirected(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let unregistered = SignIn::of(ALICE).back_to("https://evil.example/");
    match app.start(&unregistered).await.unwrap_err() {
        Ended::Here(error) => assert_eq!(error.kind(), ErrorKind::RedirectUriNotAllowed),
        other => panic!("{other:?}"),
    }
    let almost = SignIn::of(ALICE).back_to(&format!("{}/", app.redirect_uri));
    assert!(matches!(app.start(&almost).await, Err(Ended::Here(_))));
    let long = SignIn::of(ALICE).state(&"x".repeat(257));
    assert!(matches!(app.start(&long).await, Err(Ended::Here(_))));
}

async fn a_service_account_is_refused_back_at_the_application(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let key = world
        .provider
        .create_service_account("robot@project.example", &[]);
    let new = NewCredential {
        name: "robot".to_owned(),
        credential_type: CredentialType::ServiceAccount,
        data: object(serde_json::from_str(&key.unwrap()).unwrap()),
    };
    let made = world.engine.create_credential(&app.caller, Google, new);
    let robot = made.await.unwrap();
    let ended = app.start(&SignIn::of(ALICE).through(robot.id)).await;
    let ended = ended.unwrap_err();
    assert_eq!(ended.returned("error"), "invalid_request");
    assert!(
        ended
            .returned("error_description")
            .contains("credential_id")
    );
}

on_both_databases!(
    a_service_account_is_refused_back_at_the_application,
    rule_03_the_default_of_the_start_counts_whatever_it_becomes_meanwhile,
    rule_03_a_credential_deleted_while_the_user_is_away_ends_the_sign_in_in_words,
    rule_03_a_connector_deleted_while_the_user_is_away_ends_the_sign_in_in_words,
    rule_03_a_credential_deleted_before_the_exchange_refuses_the_code,
    rule_03_another_client_under_the_credential_before_the_exchange_refuses_the_code,
    a_credential_that_cannot_be_used_is_told_to_the_application,
    several_connectors_and_no_provider_let_the_user_choose,
    what_is_wrong_before_the_redirect_uri_is_known_is_never_redirected,
);
