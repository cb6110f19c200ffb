//! How much JSON an application may have kept.

use keyway_core::application::{AdditionalSettings, Platform};
use keyway_core::grant::GrantLocator;
use keyway_core::provider::Provider::{Google, VirtualCalendar, Yahoo};
use keyway_core::scope::Scopes;
use keyway_engine::applications::{ApplicationPatch, CallbackUriPatch};
use keyway_engine::connectors::{ConnectorPatch, NewConnector};
use keyway_engine::custom::CustomAuthentication;
use keyway_engine::grants::GrantPatch;
use keyway_engine::redirect_uris::{NewRedirectUri, RedirectUriPatch};
use keyway_engine::{Error, ErrorKind};
use keyway_testkit::{DEV, World, object, on_both_databases};
use serde_json::{Map, Value, json};

/// The most a member may hold.
const MOST: usize = 8 * 1024;

/// An object of so many bytes of JSON.
fn of_bytes(length: usize) -> Map<String, Value> {
    object(json!({"project_id": "x".repeat(length - r#"{"project_id":""}"#.len())}))
}

fn too_large() -> Map<String, Value> {
    of_bytes(MOST + 1)
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>, member: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let words = format!("{member}: is larger than 8 KiB");
    assert!(error.message().starts_with(&words), "{error}");
}

fn new_connector(provider: keyway_core::provider::Provider) -> NewConnector {
    NewConnector {
        provider,
        name: None,
        settings: Map::new(),
        scope: Scopes::none(),
    }
}

async fn settings_of_a_grant_are_no_larger_than_8_kib(world: &World) {
    let (engine, caller) = (&world.engine, &world.app.caller);
    let connector = new_connector(VirtualCalendar);
    engine.create_connector(caller, connector).await.unwrap();
    let custom = |settings| CustomAuthentication {
        provider: Some(VirtualCalendar),
        settings,
        ..CustomAuthentication::default()
    };
    let mut large = too_large();
    large.insert("email".into(), json!("rooms"));
    refused(
        engine.custom_authentication(caller, custom(large)).await,
        "settings",
    );
    let small = custom(object(json!({"email": "rooms"})));
    let grant = engine.custom_authentication(caller, small).await.unwrap();
    let patch = async |settings| {
        let patch = GrantPatch {
            settings: Some(settings),
            ..GrantPatch::default()
        };
        let locator = GrantLocator::Id(grant.id);
        engine.update_grant(caller, locator, patch).await
    };
    let before = world.snapshot().await;
    refused(patch(too_large()).await, "settings");
    assert_eq!(world.snapshot().await, before);
    let kept = patch(of_bytes(MOST)).await.unwrap();
    assert_eq!(kept.settings, of_bytes(MOST));
}

async fn settings_of_a_redirect_uri_are_no_larger_than_8_kib(world: &World) {
    let (engine, caller) = (&world.engine, &world.app.caller);
    let uri = |settings| NewRedirectUri {
        url: "https://large.example/callback".into(),
        platform: Platform::Web,
        settings,
    };
    let before = world.snapshot().await;
    refused(
        engine.create_redirect_uri(caller, uri(too_large())).await,
        "settings",
    );
    let id = engine.redirect_uris(caller).await.unwrap()[0].id;
    let patch = RedirectUriPatch {
        settings: Some(too_large()),
        ..RedirectUriPatch::default()
    };
    refused(
        engine.update_redirect_uri(caller, id, patch).await,
        "settings",
    );
    let patch = ApplicationPatch {
        callback_uris: Some(vec![CallbackUriPatch::New(uri(too_large()))]),
        ..ApplicationPatch::default()
    };
    refused(engine.update_application(caller, patch).await, "settings");
    assert_eq!(world.snapshot().await, before);
    let kept = engine.create_redirect_uri(caller, uri(of_bytes(MOST)));
    kept.await.unwrap();
}

async fn public_settings_of_a_connector_are_no_larger_than_8_kib(world: &World) {
    let (engine, caller) = (&world.engine, &world.app.caller);
    world.app.connector(Google, DEV).await;
    let before = world.snapshot().await;
    let patch = ConnectorPatch {
        settings: Some(too_large()),
        ..ConnectorPatch::default()
    };
    refused(
        engine.update_connector(caller, Google, patch).await,
        "settings",
    );
    let mut yahoo = new_connector(Yahoo);
    yahoo.settings = too_large();
    refused(engine.create_connector(caller, yahoo).await, "settings");
    assert_eq!(world.snapshot().await, before);
    let mut yahoo = new_connector(Yahoo);
    yahoo.settings = of_bytes(MOST);
    engine.create_connector(caller, yahoo).await.unwrap();
}

async fn members_of_an_application_are_no_larger_than_8_kib(world: &World) {
    let (engine, caller) = (&world.engine, &world.app.caller);
    let of = |name: &str, value: Value| ApplicationPatch {
        profile: object(json!({name: value})),
        ..ApplicationPatch::default()
    };
    let before = world.snapshot().await;
    for name in ["branding", "hosted_authentication", "idp_settings"] {
        let patch = of(name, Value::Object(too_large()));
        refused(engine.update_application(caller, patch).await, name);
    }
    let patch = of("domain", json!("d".repeat(MOST)));
    refused(engine.update_application(caller, patch).await, "domain");
    let patch = ApplicationPatch {
        additional_settings: Some(AdditionalSettings {
            login_url: Some("l".repeat(MOST)),
            ..AdditionalSettings::default()
        }),
        ..ApplicationPatch::default()
    };
    refused(
        engine.update_application(caller, patch).await,
        "additional_settings",
    );
    assert_eq!(world.snapshot().await, before);
    let patch = of("branding", Value::Object(of_bytes(MOST)));
    engine.update_application(caller, patch).await.unwrap();
    let shown = engine.public_application(world.app.id).await.unwrap();
    assert_eq!(
        shown.profile["branding"],
        Value::Object(of_bytes(MOST)),
        "anyone may read it"
    );
}

on_both_databases!(
    settings_of_a_grant_are_no_larger_than_8_kib,
    settings_of_a_redirect_uri_are_no_larger_than_8_kib,
    public_settings_of_a_connector_are_no_larger_than_8_kib,
    members_of_an_application_are_no_larger_than_8_kib,
);
