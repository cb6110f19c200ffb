//! A provider that answers garbage, nothing, or untruths: documented errors, and nothing changed.

use keyway_core::grant::GrantLocator;
use keyway_core::provider::Provider::Google;
use keyway_engine::ErrorKind;
use keyway_engine::grants::GrantPatch;
use keyway_sandbox::{BodyKind, Fault, Faults, Lie, When};
use keyway_testkit::{ALICE, DEV, Ended, STAGING, SignIn, World, object, on_both_databases};
use serde_json::json;
use std::time::Duration;

fn body(kind: BodyKind) -> Fault {
    Fault {
        body: Some(kind),
        ..Fault::default()
    }
}

fn on_token(fault: Fault) -> Faults {
    Faults {
        token: Some(fault),
        ..Faults::default()
    }
}

fn unusable_answers() -> Vec<Fault> {
    use BodyKind::{BrokenJson, Empty, EmptyObject, Garbage, Html, Huge};
    let bodies = [Garbage, Html, Empty, EmptyObject, BrokenJson, Huge].map(body);
    let mut faults = bodies.to_vec();
    faults.extend([Fault::status(404), Fault::lie(Lie::MissingAccessToken)]);
    faults
}

fn lost_answers() -> [Fault; 5] {
    [
        Fault::status(502),
        Fault::status(429),
        body(BodyKind::CutOff),
        Fault::drop_connection(When::Before),
        Fault::drop_connection(When::After),
    ]
}

const UNTRUE_ID_TOKENS: [Lie; 5] = [
    Lie::WrongIssuer,
    Lie::WrongAudience,
    Lie::ExpiredIdToken,
    Lie::UnsignedIdToken,
    Lie::BadSignature,
];

/// An existing grant, so that there is something to spoil.
async fn prepare(world: &World) {
    world.app.connector(Google, DEV).await;
    world.app.connect(&SignIn::of(ALICE)).await;
}

/// Signs in under `faults`: `error` comes back, and nothing has changed.
async fn hosted(world: &World, faults: Faults, error: &str, error_code: &str) -> Ended {
    let before = world.snapshot().await;
    let told = format!("{faults:?}");
    world.provider.set_faults(faults);
    let ended = world
        .app
        .code(&SignIn::of(ALICE).state("mine"))
        .await
        .unwrap_err();
    world.provider.set_faults(Faults::default());
    assert_eq!(ended.returned("error"), error, "{told} {ended:?}");
    assert_eq!(ended.returned("error_code"), error_code, "{told}");
    assert_eq!(ended.returned("state"), "mine");
    assert!(!ended.returned("error_description").is_empty());
    assert_eq!(world.snapshot().await, before, "{told}");
    ended
}

/// Brings a token under `faults`: an error of that kind, and nothing has changed.
async fn brought(world: &World, faults: Faults, kind: ErrorKind) -> String {
    let before = world.snapshot().await;
    let told = format!("{faults:?}");
    world.provider.set_faults(faults);
    let token = world.app.minted(DEV, ALICE);
    let error = world.app.bring(Google, None, &token).await.unwrap_err();
    world.provider.set_faults(Faults::default());
    assert_eq!(error.kind(), kind, "{told} {error:?}");
    assert_eq!(world.snapshot().await, before, "{told}");
    error.message().to_owned()
}

async fn an_unusable_token_answer_ends_the_sign_in_and_changes_nothing(world: &World) {
    prepare(world).await;
    for fault in unusable_answers() {
        hosted(world, on_token(fault), "server_error", "45001").await;
    }
    for fault in lost_answers() {
        hosted(world, on_token(fault), "temporarily_unavailable", "45001").await;
    }
    let refused = on_token(Fault::error("invalid_grant", "Bad Request"));
    let ended = hosted(world, refused, "server_error", "45001").await;
    assert!(
        ended
            .returned("error_description")
            .contains("invalid_grant (Bad Request)")
    );
    let client = on_token(Fault::error("invalid_client", "Unauthorized"));
    let ended = hosted(world, client, "unauthorized_client", "45001").await;
    assert!(ended.returned("error_description").contains("health"));
    // After all that, it works again.
    world.app.connect(&SignIn::of(ALICE)).await;
}

async fn an_untrue_id_token_ends_the_sign_in_and_changes_nothing(world: &World) {
    prepare(world).await;
    for lie in UNTRUE_ID_TOKENS
        .into_iter()
        .chain([Lie::WrongNonce, Lie::MissingIdToken])
    {
        hosted(world, on_token(Fault::lie(lie)), "server_error", "45001").await;
    }
    for (fault, error) in [
        (Fault::status(503), "temporarily_unavailable"),
        (Fault::lie(Lie::OtherKeys), "server_error"),
    ] {
        // Keys fetched before are used for a day, if no others are to be had.
        world.pass_secs(24 * 3600 + 1);
        let faults = Faults {
            jwks: Some(fault),
            ..Faults::default()
        };
        hosted(world, faults, error, "45001").await;
    }
}

async fn another_users_id_token_is_not_taken_for_the_one_asked_for(world: &World) {
    prepare(world).await;
    let before = world.snapshot().await;
    world
        .provider
        .set_faults(on_token(Fault::lie(Lie::OtherUser)));
    let ended = world
        .app
        .code(&SignIn::of(ALICE).hint(ALICE))
        .await
        .unwrap_err();
    assert_eq!(ended.returned("error_code"), "25022");
    let grant = world.app.grants().await.remove(0);
    let patch = GrantPatch {
        settings: Some(object(
            json!({"refresh_token": world.app.minted(DEV, ALICE)}),
        )),
        ..GrantPatch::default()
    };
    let patched = world
        .engine
        .update_grant(&world.app.caller, GrantLocator::Id(grant.id), patch);
    assert_eq!(
        patched.await.unwrap_err().kind(),
        ErrorKind::ReauthEmailInvalid
    );
    assert_eq!(world.snapshot().await, before);
}

async fn a_sign_in_that_can_not_last_or_lacks_scopes_is_refused(world: &World) {
    prepare(world).await;
    let ended = hosted(
        world,
        on_token(Fault::lie(Lie::MissingRefreshToken)),
        "server_error",
        "45001",
    )
    .await;
    assert!(
        ended
            .returned("error_description")
            .contains("the provider gave no refresh token")
    );
    hosted(
        world,
        on_token(Fault::lie(Lie::OtherScope)),
        "invalid_scope",
        "25016",
    )
    .await;
    let before = world.snapshot().await;
    let picky = SignIn::of(ALICE)
        .scope("mail.read mail.send")
        .allowing_only(&["mail.read"]);
    let ended = world.app.code(&picky).await.unwrap_err();
    assert_eq!(
        (ended.returned("error"), ended.returned("error_code")),
        ("invalid_scope", "25016")
    );
    let words = ended.returned("error_description");
    assert!(
        words.contains("mail.send") && !words.contains("mail.read"),
        "{words}"
    );
    assert_eq!(world.snapshot().await, before);
}

async fn a_refusal_at_the_providers_page_is_passed_on_in_known_words(world: &World) {
    prepare(world).await;
    let at_page = |fault| Faults {
        authorization: Some(fault),
        ..Faults::default()
    };
    let declined = at_page(Fault::error("access_denied", "no"));
    hosted(world, declined, "access_denied", "45002").await;
    let policy = at_page(Fault::error("admin_policy_enforced", "not here"));
    let ended = hosted(world, policy, "server_error", "45002").await;
    assert_eq!(
        ended.returned("error_description"),
        "admin_policy_enforced: not here"
    );
    // Another issuer's answer: a mix-up, whose code goes nowhere.
    let exchanges = world
        .provider
        .counters()
        .token_requests_of("authorization_code");
    hosted(
        world,
        at_page(Fault::lie(Lie::WrongIssuer)),
        "invalid_request",
        "400",
    )
    .await;
    assert_eq!(
        world
            .provider
            .counters()
            .token_requests_of("authorization_code"),
        exchanges
    );
    world
        .provider
        .set_faults(at_page(Fault::lie(Lie::WrongState)));
    let ended = world.app.code(&SignIn::of(ALICE)).await.unwrap_err();
    assert!(matches!(ended, Ended::Page(_)));
}

async fn what_providers_forget_or_misspell_without_harm_is_forgiven(world: &World) {
    prepare(world).await;
    let ninety_days = 90 * 24 * 3600;
    for lie in [
        Lie::MissingExpiresIn,
        Lie::AbsurdExpiresIn,
        Lie::NegativeExpiresIn,
        Lie::ExpiresInAsText,
        Lie::MissingScope,
    ] {
        world.provider.set_faults(on_token(Fault::lie(lie)));
        let grant = world.app.connect(&SignIn::of(ALICE)).await;
        let end = world.tokens(&grant).await.set.access_expires_at.unwrap();
        let now = world.engine.now();
        assert!(end > now && end <= now.plus_secs(ninety_days), "{lie:?}");
        assert!(grant.scope.contains("mail.read"), "{lie:?}");
    }
    world
        .provider
        .set_faults(on_token(body(BodyKind::WrongContentType)));
    world.app.connect(&SignIn::of(ALICE)).await;
}

async fn an_unusable_answer_to_a_brought_token_changes_nothing(world: &World) {
    prepare(world).await;
    let unavailable = ErrorKind::ProviderUnavailable;
    for fault in unusable_answers().into_iter().chain(lost_answers()) {
        brought(world, on_token(fault), unavailable).await;
    }
    for lie in UNTRUE_ID_TOKENS {
        brought(world, on_token(Fault::lie(lie)), unavailable).await;
    }
    brought(
        world,
        on_token(Fault::error("temporarily_unavailable", "later")),
        unavailable,
    )
    .await;
    let faults = Faults {
        token: Some(Fault::lie(Lie::MissingEmail)),
        userinfo: Some(Fault::status(500)),
        ..Faults::default()
    };
    assert!(
        brought(world, faults, unavailable)
            .await
            .contains("userinfo")
    );
}

async fn a_refusal_of_a_brought_token_is_explained_in_words(world: &World) {
    let app = &world.app;
    prepare(world).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let invalid = ErrorKind::InvalidAuthentication;
    let words = brought(
        world,
        on_token(Fault::error("unauthorized_client", "no")),
        invalid,
    )
    .await;
    assert!(words.contains("another provider application"), "{words}");
    let words = brought(
        world,
        on_token(Fault::error("invalid_client", "no")),
        invalid,
    )
    .await;
    assert!(words.contains("not the user's token"), "{words}");
    let before = world.snapshot().await;
    // Minted by one client, tried through another.
    let error = app
        .bring(Google, Some(staging.id), &app.minted(DEV, ALICE))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), invalid);
    assert!(
        error.message().contains("another provider application"),
        "{error}"
    );
    assert!(error.provider_error().is_some());
    let error = app.bring(Google, None, "never-issued").await.unwrap_err();
    assert_eq!(error.provider_error().unwrap().error, "invalid_grant");
    assert_eq!(world.snapshot().await, before);
}

async fn keys_that_cannot_be_fetched_anew_are_used_for_a_day(world: &World) {
    prepare(world).await;
    let down = Faults {
        jwks: Some(Fault::status(503)),
        ..Faults::default()
    };
    // Older than keys are used without a look, and the look is in vain.
    world.pass_secs(2 * 3600);
    world.provider.set_faults(down.clone());
    world.app.connect(&SignIn::of(ALICE)).await;
    world.pass_secs(23 * 3600);
    hosted(world, down, "temporarily_unavailable", "45001").await;
    world.app.connect(&SignIn::of(ALICE)).await;
}

async fn a_provider_that_does_not_answer_in_time_is_given_up_on(world: &World) {
    prepare(world).await;
    world.recorder.limit_deadlines(Duration::from_millis(50));
    let slow = || on_token(Fault::delay(2_000));
    hosted(world, slow(), "temporarily_unavailable", "45001").await;
    let words = brought(world, slow(), ErrorKind::ProviderUnavailable).await;
    assert!(words.contains("does not answer"), "{words}");
}

on_both_databases!(
    an_unusable_token_answer_ends_the_sign_in_and_changes_nothing,
    an_untrue_id_token_ends_the_sign_in_and_changes_nothing,
    another_users_id_token_is_not_taken_for_the_one_asked_for,
    a_sign_in_that_can_not_last_or_lacks_scopes_is_refused,
    a_refusal_at_the_providers_page_is_passed_on_in_known_words,
    what_providers_forget_or_misspell_without_harm_is_forgiven,
    an_unusable_answer_to_a_brought_token_changes_nothing,
    a_refusal_of_a_brought_token_is_explained_in_words,
    a_provider_that_does_not_answer_in_time_is_given_up_on,
    keys_that_cannot_be_fetched_anew_are_used_for_a_day,
);
