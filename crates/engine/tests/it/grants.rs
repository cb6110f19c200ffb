//! Grants as applications read and label them.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keyway_core::grant::Grant;
use keyway_core::grant::{GrantLocator, GrantStatus};
use keyway_core::ids::GrantId;
use keyway_core::page::Page;
use keyway_core::provider::Provider::{self, Google, VirtualCalendar, Yahoo, Zoom};
use keyway_core::scope::Scopes;
use keyway_engine::connectors::NewConnector;
use keyway_engine::custom::CustomAuthentication;
use keyway_engine::grants::GrantPatch;
use keyway_engine::{Error, ErrorKind, GrantFilter};
use keyway_store::StoreError;
use keyway_store::testing::{Moment, Stage, simulated_outage};
use keyway_testkit::{ALICE, BOB, DEV, STAGING, SignIn, World, object, on_both_databases};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

async fn find(world: &World, locator: GrantLocator) -> Result<Grant, Error> {
    world.engine.grant(&world.app.principal(), locator).await
}

async fn label(world: &World, id: GrantId, label: Option<&str>) -> Result<Grant, Error> {
    let patch = GrantPatch {
        external_id: Some(label.map(str::to_owned)),
        ..GrantPatch::default()
    };
    world
        .engine
        .update_grant(&world.app.caller, GrantLocator::Id(id), patch)
        .await
}

async fn listed(world: &World, filter: GrantFilter) -> Vec<GrantId> {
    let grants = world
        .engine
        .grants(&world.app.caller, filter, Page::default())
        .await
        .unwrap();
    grants.into_iter().map(|grant| grant.id).collect()
}

fn calendar(email: &str, external_id: Option<&str>) -> CustomAuthentication {
    CustomAuthentication {
        provider: Some(VirtualCalendar),
        settings: object(json!({"email": email})),
        external_id: external_id.map(str::to_owned),
        ..CustomAuthentication::default()
    }
}

async fn calendar_connector(world: &World) {
    let new = NewConnector {
        provider: VirtualCalendar,
        name: None,
        settings: object(json!({})),
        scope: Scopes::none(),
    };
    world
        .engine
        .create_connector(&world.app.caller, new)
        .await
        .unwrap();
}

async fn an_external_id_belongs_to_one_grant_of_an_application(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let alice = app.connect(&SignIn::of(ALICE).external_id("user-1")).await;
    let bob = app.connect(&SignIn::of(BOB)).await;
    let before = world.snapshot().await;
    let refused = label(world, bob.id, Some("user-1")).await.unwrap_err();
    assert!(refused.message().starts_with("external_id"), "{refused}");
    let hosted = app
        .try_sign_in(&SignIn::of(BOB).external_id("user-1"))
        .await;
    assert!(hosted.is_err());
    for bad in ["", "a\nb", &"x".repeat(256)] {
        assert!(label(world, bob.id, Some(bad)).await.is_err());
    }
    assert_eq!(world.snapshot().await, before);
    let found = find(world, GrantLocator::External("user-1".into()))
        .await
        .unwrap();
    assert_eq!(found.id, alice.id);
    label(world, alice.id, None).await.unwrap();
    assert_eq!(
        label(world, bob.id, Some("user-1")).await.unwrap().id,
        bob.id
    );
    // Another application may use the same one.
    let other = world.application("other").await;
    other.connector(Google, DEV).await;
    other
        .connect(&SignIn::of(ALICE).external_id("user-1"))
        .await;
}

async fn a_patch_that_is_refused_in_one_member_changes_none(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    app.connect(&SignIn::of(ALICE).external_id("user-1")).await;
    let bob = app.connect(&SignIn::of(BOB)).await;
    let before = world.snapshot().await;
    let patch = GrantPatch {
        settings: Some(object(json!({"refresh_token": app.minted(DEV, BOB)}))),
        external_id: Some(Some("user-1".into())),
        ..GrantPatch::default()
    };
    let patched = world
        .engine
        .update_grant(&app.caller, GrantLocator::Id(bob.id), patch);
    assert!(patched.await.is_err());
    assert_eq!(world.snapshot().await, before);
}

async fn a_virtual_calendar_is_made_without_a_provider_and_found_again(world: &World) {
    let app = &world.app;
    let (engine, caller) = (&world.engine, &app.caller);
    let none = engine
        .custom_authentication(caller, calendar("rooms", None))
        .await
        .unwrap_err();
    assert!(none.message().starts_with("provider"), "{none}");
    calendar_connector(world).await;
    let made = engine
        .custom_authentication(caller, calendar("rooms", Some("r")))
        .await
        .unwrap();
    assert_eq!((made.email.as_str(), made.credential_id), ("rooms", None));
    assert_eq!(made.effective_status(), GrantStatus::Valid);
    let again = engine
        .custom_authentication(caller, calendar("Rooms", None))
        .await
        .unwrap();
    assert_eq!(
        (again.id, again.external_id.as_deref()),
        (made.id, Some("r"))
    );
    let missing = CustomAuthentication {
        provider: Some(VirtualCalendar),
        ..CustomAuthentication::default()
    };
    let refused = engine
        .custom_authentication(caller, missing)
        .await
        .unwrap_err();
    assert!(refused.message().starts_with("settings.email"), "{refused}");
    assert_eq!(
        world.provider.counters().token_requests_of("refresh_token"),
        0
    );
}

/// Refuses the first writing job, as if another had won.
struct FirstLost(AtomicBool);

impl Stage for FirstLost {
    fn turn(&self, moment: Moment) -> BoxFuture<'static, Result<(), StoreError>> {
        let lost = moment == Moment::BeforeWrite && !self.0.swap(true, Relaxed);
        std::future::ready(if lost {
            Err(simulated_outage())
        } else {
            Ok(())
        })
        .boxed()
    }

    fn is_alone(&self) -> bool {
        false
    }
}

async fn a_virtual_calendar_is_stored_after_a_lost_race_too(world: &World) {
    calendar_connector(world).await;
    let stage = Arc::new(FirstLost(AtomicBool::new(true)));
    let (staged, store) = world.staged_engine(stage.clone()).await;
    stage.0.store(false, Relaxed);
    let made = staged.custom_authentication(&world.app.caller, calendar("rooms", None));
    let made = made.await.unwrap();
    assert!(stage.0.load(Relaxed), "the first try was refused");
    assert_eq!(listed(world, GrantFilter::default()).await, [made.id]);
    store.close().await;
}

async fn what_custom_authentication_lacks_is_named(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let custom = async |request| {
        let refused = world
            .engine
            .custom_authentication(&app.caller, request)
            .await;
        let error = refused.unwrap_err();
        (error.kind(), error.message().to_owned())
    };
    let (kind, _) = custom(CustomAuthentication::default()).await;
    assert_eq!(kind, ErrorKind::ProviderRequired);
    let of = |provider: Provider, settings| CustomAuthentication {
        provider: Some(provider),
        settings: object(settings),
        ..CustomAuthentication::default()
    };
    for (request, named) in [
        (of(Google, json!({})), "settings.refresh_token"),
        (
            of(Google, json!({"refresh_token": 7})),
            "settings.refresh_token",
        ),
        (
            of(Google, json!({"refresh_token": "x", "credential_id": "y"})),
            "settings.credential_id",
        ),
        (of(Zoom, json!({"refresh_token": "x"})), "provider"),
        (of(Provider::Imap, json!({})), "provider"),
    ] {
        let (kind, message) = custom(request).await;
        assert_eq!(kind, ErrorKind::InvalidRequest);
        assert!(message.starts_with(named), "{message}");
    }
}

async fn an_address_with_grants_at_several_providers_names_none(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    app.connector(Yahoo, DEV).await;
    let google = app.connect(&SignIn::of(ALICE).at(Google)).await;
    let by_email = || GrantLocator::Email("ALICE@example.com".into());
    assert_eq!(find(world, by_email()).await.unwrap().id, google.id);
    let yahoo = app.connect(&SignIn::of(ALICE).at(Yahoo)).await;
    assert_ne!(yahoo.id, google.id);
    let refused = find(world, by_email()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    assert!(refused.message().contains("google") && refused.message().contains("yahoo"));
    let deleted = world.engine.delete_grant(&app.caller, by_email()).await;
    assert!(deleted.is_err());
    assert_eq!(app.grants().await.len(), 2);
}

/// A filter of one member.
fn only(set: impl FnOnce(&mut GrantFilter)) -> GrantFilter {
    let mut filter = GrantFilter::default();
    set(&mut filter);
    filter
}

async fn grants_are_listed_by_every_filter(world: &World) {
    let app = &world.app;
    let connector = app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let mut from = SignIn::of(ALICE).external_id("user-1");
    from.browser.ip = Some("192.0.2.1".into());
    let alice = app.connect(&from).await.id;
    world.pass_secs(10);
    let bob = app.connect(&SignIn::of(BOB).through(staging.id)).await.id;
    let now = world.engine.now();
    for (filter, expected) in [
        (GrantFilter::default(), vec![bob, alice]),
        (only(|f| f.email_key = Some(ALICE.into())), vec![alice]),
        (only(|f| f.provider = Some(Google)), vec![bob, alice]),
        (only(|f| f.provider = Some(Yahoo)), vec![]),
        (
            only(|f| f.status = Some(GrantStatus::Valid)),
            vec![bob, alice],
        ),
        (only(|f| f.status = Some(GrantStatus::Invalid)), vec![]),
        (only(|f| f.ip = Some("192.0.2.1".into())), vec![alice]),
        (only(|f| f.since = Some(now)), vec![bob]),
        (only(|f| f.before = Some(now.plus_secs(-1))), vec![alice]),
        (only(|f| f.credential_id = Some(staging.id)), vec![bob]),
        (
            only(|f| f.connector_id = Some(connector.id)),
            vec![bob, alice],
        ),
        (only(|f| f.external_id = Some("user-1".into())), vec![alice]),
        (only(|f| f.none = true), vec![]),
    ] {
        let told = format!("{filter:?}");
        assert_eq!(listed(world, filter).await, expected, "{told}");
    }
}

async fn the_list_shows_what_ended_and_leaves_out_what_never_began(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    app.connect(&SignIn::of(ALICE)).await;
    let bob = app.connect(&SignIn::of(BOB).through(staging.id)).await;
    app.code(&SignIn::of("carol@example.org")).await.unwrap();
    assert_eq!(listed(world, GrantFilter::default()).await.len(), 2);
    let (engine, caller) = (&world.engine, &app.caller);
    engine
        .delete_credential(caller, Google, staging.id)
        .await
        .unwrap();
    let invalid = only(|f| f.status = Some(GrantStatus::Invalid));
    assert_eq!(listed(world, invalid).await, [bob.id]);
}

on_both_databases!(
    an_external_id_belongs_to_one_grant_of_an_application,
    a_patch_that_is_refused_in_one_member_changes_none,
    a_virtual_calendar_is_made_without_a_provider_and_found_again,
    a_virtual_calendar_is_stored_after_a_lost_race_too,
    what_custom_authentication_lacks_is_named,
    an_address_with_grants_at_several_providers_names_none,
    grants_are_listed_by_every_filter,
    the_list_shows_what_ended_and_leaves_out_what_never_began,
);
