//! What somebody tries who has a code, a state, a cookie or a token that is not theirs, and what comes of it.

use keyway_core::application::AdditionalSettings;
use keyway_core::grant::GrantLocator;
use keyway_core::ids::CredentialId;
use keyway_core::provider::Provider::{Google, Zoom};
use keyway_core::scope::Scopes;
use keyway_engine::applications::ApplicationPatch;
use keyway_engine::connectors::NewConnector;
use keyway_engine::sign_in::{CallbackParams, Finish};
use keyway_engine::{AllowedApplications, Engine, ErrorKind, SharedApp};
use keyway_testkit::{
    ALICE, AtProvider, BOB, DEV, Ended, PROD, STAGING, SignIn, TestApplication, World,
    WorldOptions, object, on_both_databases, returned,
};
use secrecy::ExposeSecret as _;
use serde_json::json;

/// A user who is back from the provider, before the callback.
async fn away(app: &TestApplication, sign_in: &SignIn) -> (AtProvider, CallbackParams) {
    let at = app.start(sign_in).await.unwrap();
    let params = app.at_provider(&at, sign_in);
    (at, params)
}

/// The callback of one sign-in with the code of another.
fn with_code_of(own: &CallbackParams, other: &CallbackParams) -> CallbackParams {
    CallbackParams {
        state: own.state.clone(),
        ..other.clone()
    }
}

/// `code` brought back by the browser of `at`: the application hears of an error, and nothing else happened.
async fn refused(
    world: &World,
    app: &TestApplication,
    at: &AtProvider,
    params: CallbackParams,
) -> Ended {
    let before = world.snapshot().await;
    let ended = app.code_from(at, params).await.unwrap_err();
    assert_eq!(world.snapshot().await, before, "{ended:?}");
    ended
}

fn token_requests(world: &World) -> u64 {
    let counters = world.provider.counters();
    counters.token_requests_of("authorization_code")
}

async fn mix_up_an_answer_of_another_issuer_sends_its_code_nowhere(world: &World) {
    world.app.connector(Google, DEV).await;
    let sign_in = SignIn::of(ALICE);
    for iss in [
        "https://attacker.example",
        "",
        "https://accounts.google.com",
    ] {
        let (at, params) = away(&world.app, &sign_in).await;
        let params = CallbackParams {
            iss: Some(iss.to_owned()),
            ..params
        };
        let ended = refused(world, &world.app, &at, params).await;
        assert_eq!(ended.returned("error"), "invalid_request", "{iss}");
    }
    assert_eq!(token_requests(world), 0);
}

async fn mix_up_a_code_of_another_provider_or_credential_is_good_for_nothing(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    app.connector(Zoom, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let sign_ins = [
        SignIn::of(ALICE).at(Google),
        SignIn::of(ALICE).at(Zoom),
        SignIn::of(ALICE).at(Google).through(staging.id),
    ];
    for own in &sign_ins {
        for other in &sign_ins {
            let (at, params) = away(app, own).await;
            let (_, stolen) = away(app, other).await;
            let ended = refused(world, app, &at, with_code_of(&params, &stolen)).await;
            assert_eq!(ended.returned("error"), "server_error");
        }
    }
    assert!(app.grants().await.is_empty());
}

async fn code_injection_a_users_code_in_another_browsers_sign_in_is_refused(world: &World) {
    world.app.connector(Google, DEV).await;
    // Same provider, same client, same application: all that tells them apart is PKCE and nonce.
    let (attackers, own) = away(&world.app, &SignIn::of(BOB)).await;
    let (_, victims) = away(&world.app, &SignIn::of(ALICE)).await;
    let ended = refused(world, &world.app, &attackers, with_code_of(&own, &victims)).await;
    assert_eq!(ended.returned("error"), "server_error");
    assert!(
        ended
            .returned("error_description")
            .contains("refused its code")
    );
}

fn lending() -> WorldOptions {
    let app = SharedApp {
        client_id: PROD.into(),
        client_secret: format!("{PROD}-secret").into(),
        applications: AllowedApplications::All,
        scopes: Scopes::parse("openid email mail.read").unwrap(),
    };
    World::options().shared_app(Google, app)
}

async fn code_injection_through_a_shared_app_reaches_no_other_application(world: &World) {
    let stranger = world.application("stranger").await;
    for app in [&world.app, &stranger] {
        let new = NewConnector {
            provider: Google,
            name: None,
            settings: object(json!({})),
            scope: Scopes::parse("mail.read").unwrap(),
        };
        let made = world.engine.create_connector(&app.caller, new).await;
        made.unwrap();
    }
    let (attackers, own) = away(&stranger, &SignIn::of(BOB)).await;
    let (_, victims) = away(&world.app, &SignIn::of(ALICE)).await;
    refused(world, &stranger, &attackers, with_code_of(&own, &victims)).await;
    assert!(stranger.grants().await.is_empty());
}

/// An application that may read provider tokens, with a lent credential and one of its own.
async fn lent_and_own(world: &World) -> (CredentialId, CredentialId) {
    let app = &world.app;
    let new = NewConnector {
        provider: Google,
        name: None,
        settings: object(json!({})),
        scope: Scopes::parse("mail.read").unwrap(),
    };
    let made = world.engine.create_connector(&app.caller, new).await;
    let lent = made.unwrap().active_credential_id.unwrap();
    let own = app.credential(Google, "own", DEV).await;
    let additional = AdditionalSettings {
        allow_provider_tokens: true,
        ..AdditionalSettings::default()
    };
    let patch = ApplicationPatch {
        additional_settings: Some(additional),
        ..ApplicationPatch::default()
    };
    let patched = world.engine.update_application(&app.caller, patch);
    patched.await.unwrap();
    (lent, own.id)
}

async fn a_lent_token_is_not_handed_out_though_the_grant_has_just_moved(world: &World) {
    let (app, elsewhere) = (&world.app, world.second_engine().await);
    let (lent, own) = lent_and_own(world).await;
    let grant = app.connect(&SignIn::of(ALICE).through(own)).await;
    let locator = || GrantLocator::Id(grant.id);
    // The other process remembers the grant as it was, and not yet its token.
    let remembered = elsewhere.shared_grant(&app.principal(), locator()).await;
    assert_eq!(remembered.unwrap().grant.credential_id, Some(own));
    app.connect(&SignIn::of(ALICE).through(lent)).await;
    let refused = elsewhere.provider_token(&app.caller, locator()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::AccessDenied);
    app.connect(&SignIn::of(ALICE).through(own)).await;
    let given = world.engine.provider_token(&app.caller, locator()).await;
    assert_eq!(given.unwrap().credential_id, own);
    elsewhere.shutdown().await;
}

async fn a_lent_token_is_not_handed_out_though_its_credential_has_just_gone(world: &World) {
    let (app, elsewhere) = (&world.app, world.second_engine().await);
    let (lent, _) = lent_and_own(world).await;
    let grant = app.connect(&SignIn::of(ALICE).through(lent)).await;
    let locator = || GrantLocator::Id(grant.id);
    let remembered = elsewhere.shared_grant(&app.principal(), locator()).await;
    assert!(remembered.unwrap().grant.is_anchored);
    let deleted = world.engine.delete_connector(&app.caller, Google);
    deleted.await.unwrap();
    let refused = elsewhere.provider_token(&app.caller, locator()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::AccessDenied);
    elsewhere.shutdown().await;
}

async fn code_injection_a_code_is_for_its_own_redirect_uri(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let sign_in = SignIn::of(ALICE);
    let code = app.code(&sign_in).await.unwrap();
    let elsewhere = sign_in.back_to(&app.page_uri);
    let error = app.exchange(&elsewhere, &code).await.unwrap_err();
    assert_eq!(error.error, "invalid_grant");
    assert!(app.grants().await.is_empty());
}

async fn login_csrf_a_cookie_a_neighbouring_host_can_set_finishes_nothing(world: &World) {
    world.app.connector(Google, DEV).await;
    // The attacker's own sign-in: state, code and cookie are all good, and are put into a victim's browser.
    let (attackers, params) = away(&world.app, &SignIn::of(BOB)).await;
    let bound = attackers.cookie.name.strip_prefix("__Host-");
    let settable = bound.unwrap();
    for name in [
        settable,
        &format!("__Secure-{settable}"),
        &format!(" {settable}"),
    ] {
        let cookies = vec![(name.to_owned(), attackers.cookie.value.clone())];
        match world.engine.finish_sign_in(params.clone(), cookies).await {
            Finish::Page(fault) => assert_eq!(fault.as_str(), "other_browser"),
            Finish::Application { .. } => panic!("{name}: finished"),
        }
    }
    assert!(world.app.code_from(&attackers, params).await.is_ok());
}

async fn login_csrf_a_second_cookie_of_that_name_does_not_hide_the_first(world: &World) {
    world.app.connector(Google, DEV).await;
    let (at, params) = away(&world.app, &SignIn::of(ALICE)).await;
    let junk = (at.cookie.name.clone(), "junk".to_owned());
    let cookies = [vec![junk], at.cookies()].concat();
    let finish = world.engine.finish_sign_in(params, cookies).await;
    assert!(matches!(finish, Finish::Application { .. }));
}

async fn state_fixation_what_the_request_calls_state_never_reaches_the_provider(world: &World) {
    world.app.connector(Google, DEV).await;
    let fixed = SignIn::of(ALICE).state("kws_chosen-by-an-attacker");
    let (one, other) = (
        away(&world.app, &fixed).await,
        away(&world.app, &fixed).await,
    );
    for name in ["state", "nonce", "code_challenge"] {
        let (first, second) = (one.0.asked(name), other.0.asked(name));
        assert_ne!(first, second, "{name}");
        assert!(first.len() >= 43 && !first.contains("chosen"), "{name}");
    }
    match world.app.finish(&one.0, one.1).await {
        Finish::Application { location, .. } => {
            assert_eq!(returned(&location)["state"], "kws_chosen-by-an-attacker");
        }
        Finish::Page(fault) => panic!("{fault:?}"),
    }
}

async fn token_substitution_what_is_of_one_kind_opens_nothing_of_another(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let sign_in = SignIn::of(ALICE).offline();
    let code = app.code(&sign_in).await.unwrap();
    let answer = app.sign_in(&sign_in).await;
    let refresh = answer.refresh_token.as_ref().unwrap().expose_secret();
    let access = answer.access_token.expose_secret();
    for text in [&code, refresh, &answer.id_token] {
        assert!(world.engine.principal(text).await.is_err());
    }
    for text in [&code, access, &answer.id_token, app.api_key()] {
        assert_eq!(app.refresh(text).await.unwrap_err().error, "invalid_grant");
    }
    for text in [access, refresh, &answer.id_token, app.api_key()] {
        let error = app.exchange(&sign_in, text).await.unwrap_err();
        assert_eq!(error.error, "invalid_grant");
    }
    for text in [access, refresh, &code, &answer.id_token] {
        let mut params = app.exchange_params(&sign_in, &code);
        params.client_secret = Some(text.to_owned());
        let error = world.engine.token(params).await.unwrap_err().error;
        assert!(["invalid_client", "invalid_grant"].contains(&error));
    }
    let (as_id, as_access) = (
        world.engine.token_info(Some(access), None).await,
        world.engine.token_info(None, Some(&answer.id_token)).await,
    );
    assert!(as_id.is_err() && as_access.is_err());
}

async fn replay_at_another_replica_is_a_replay(world: &World) {
    let (app, other) = (&world.app, world.second_engine().await);
    app.connector(Google, DEV).await;
    let sign_in = SignIn::of(ALICE);
    let (at, params) = away(app, &sign_in).await;
    let code = app.code_from(&at, params.clone()).await.unwrap();
    match other.finish_sign_in(params, at.cookies()).await {
        Finish::Page(fault) => assert_eq!(fault.as_str(), "used"),
        Finish::Application { .. } => panic!("finished twice"),
    }
    let exchange = app.exchange_params(&sign_in, &code);
    let answer = world.engine.token(exchange.clone()).await.unwrap();
    assert_eq!(
        other.token(exchange).await.unwrap_err().error,
        "invalid_grant"
    );
    // The replay was noticed there, and ended the tokens everywhere.
    assert!(
        other
            .bearer(answer.access_token.expose_secret())
            .await
            .is_err()
    );
    other.shutdown().await;
}

/// Whatever became of the application while its user was at the provider.
async fn nowhere_to_go(engine: &Engine, at: &AtProvider, params: CallbackParams) {
    match engine.finish_sign_in(params, at.cookies()).await {
        Finish::Page(fault) => assert_eq!(fault.as_str(), "withdrawn"),
        Finish::Application { location, .. } => panic!("sent to {location}"),
    }
}

async fn a_redirect_uri_withdrawn_while_the_user_was_away_gets_no_code(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let (at, params) = away(app, &SignIn::of(ALICE)).await;
    let uris = world.engine.redirect_uris(&app.caller).await.unwrap();
    let own = uris.iter().find(|uri| uri.url == app.redirect_uri).unwrap();
    let deleted = world.engine.delete_redirect_uri(&app.caller, own.id);
    deleted.await.unwrap();
    nowhere_to_go(&world.engine, &at, params).await;
    assert_eq!(token_requests(world), 0);
}

async fn an_application_blocked_while_the_user_was_away_gets_no_code(world: &World) {
    world.app.connector(Google, DEV).await;
    let (at, params) = away(&world.app, &SignIn::of(ALICE)).await;
    world.set_blocked(&world.app, true).await;
    let elsewhere = world.second_engine().await;
    nowhere_to_go(&elsewhere, &at, params).await;
    elsewhere.shutdown().await;
}

on_both_databases!(
    mix_up_an_answer_of_another_issuer_sends_its_code_nowhere,
    mix_up_a_code_of_another_provider_or_credential_is_good_for_nothing,
    code_injection_a_users_code_in_another_browsers_sign_in_is_refused,
    code_injection_a_code_is_for_its_own_redirect_uri,
    login_csrf_a_second_cookie_of_that_name_does_not_hide_the_first,
    state_fixation_what_the_request_calls_state_never_reaches_the_provider,
    token_substitution_what_is_of_one_kind_opens_nothing_of_another,
    replay_at_another_replica_is_a_replay,
    a_redirect_uri_withdrawn_while_the_user_was_away_gets_no_code,
    an_application_blocked_while_the_user_was_away_gets_no_code,
);
on_both_databases!(World::options().https() =>
    login_csrf_a_cookie_a_neighbouring_host_can_set_finishes_nothing,
);
on_both_databases!(lending() =>
    a_lent_token_is_not_handed_out_though_the_grant_has_just_moved,
    a_lent_token_is_not_handed_out_though_its_credential_has_just_gone,
    code_injection_through_a_shared_app_reaches_no_other_application,
);
