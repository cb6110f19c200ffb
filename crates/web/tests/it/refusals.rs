//! How the wire says no.

use crate::client::{Client, get, post};
use keyway_core::provider::Provider;
use keyway_core::scope::Scopes;
use keyway_engine::connectors::NewConnector;
use keyway_sandbox::{Fault, Faults, Lie};
use keyway_testkit::{ALICE, DEV, World, captured_logs, on_both_databases};
use serde_json::{Map, json};

on_both_databases!(
    an_overloaded_provider_is_504_with_the_provider_s_own_retry_after,
    a_list_of_providers_of_which_none_can_be_used_offers_all_that_can,
    a_parameter_given_twice_is_an_invalid_request,
    an_answer_to_a_request_whose_body_nobody_read_ends_the_connection,
);

async fn an_answer_to_a_request_whose_body_nobody_read_ends_the_connection(world: &World) {
    let client = Client::of(world);
    let body = json!({"provider": "virtual-calendar"});
    let unproved = client.send(post("/v3/connectors").json(&body)).await;
    assert_eq!(unproved.status, 401);
    assert_eq!(unproved.header("connection"), Some("close"));
    let unread = get("/v3/connectors")
        .bearer(world.app.api_key())
        .json(&body);
    assert_eq!(
        client.send(unread).await.header("connection"),
        Some("close")
    );

    let bodiless = client.send(get("/v3/connectors")).await;
    assert_eq!(bodiless.status, 401);
    assert_eq!(bodiless.header("connection"), None);
    for status in [201, 400] {
        let read = post("/v3/connectors").bearer(world.app.api_key());
        let answer = client.send(read.json(&body)).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(answer.header("connection"), None);
    }
}

async fn an_overloaded_provider_is_504_with_the_provider_s_own_retry_after(world: &World) {
    captured_logs();
    world.app.connector(Provider::Google, DEV).await;
    let credential = world.app.connector(Provider::Zoom, DEV).await;
    let client = Client::of(world);
    let busy = |status| Fault {
        retry_after_s: Some(17),
        ..Fault::status(status)
    };
    let on_token = |fault| Faults {
        token: Some(fault),
        ..Faults::default()
    };
    let on_userinfo = |fault| Faults {
        // Without an id_token userinfo is asked who it is.
        token: Some(Fault::lie(Lie::MissingIdToken)),
        userinfo: Some(fault),
        ..Faults::default()
    };
    for (provider, faults) in [
        ("google", on_token(busy(429))),
        ("google", on_token(busy(503))),
        ("zoom", on_userinfo(busy(503))),
    ] {
        let token = world.app.minted(DEV, ALICE);
        world.provider.set_faults(faults);
        let body = json!({"provider": provider, "settings": {"refresh_token": token}});
        let asked = post("/v3/connect/custom").bearer(world.app.api_key());
        let answer = client.send(asked.json(&body)).await;
        world.provider.set_faults(Faults::default());
        assert_eq!(answer.status, 504, "{}", answer.body);
        assert_eq!(answer.error_type(), "api.provider_error");
        assert_eq!(answer.header("retry-after"), Some("17"));
        assert!(!captured_logs().contains(&token));
    }
    let log = captured_logs();
    let id = credential.primary_credential_id.unwrap().to_string();
    let line = log.lines().find(|line| line.contains(&id)).unwrap();
    for word in ["WARN", "overloaded", "zoom", "503"] {
        assert!(line.contains(word), "{line}");
    }
}

async fn a_list_of_providers_of_which_none_can_be_used_offers_all_that_can(world: &World) {
    let app = &world.app;
    app.connector(Provider::Google, DEV).await;
    app.connector(Provider::Zoom, DEV).await;
    let imap = NewConnector {
        provider: Provider::Imap,
        name: None,
        settings: Map::new(),
        scope: Scopes::none(),
    };
    world
        .engine
        .create_connector(&app.caller, imap)
        .await
        .unwrap();
    let client = Client::of(world);
    let auth = |providers: &str| {
        get(format!(
            "/v3/connect/auth?client_id={}&redirect_uri={}&response_type=code&provider={providers}",
            app.id, app.redirect_uri
        ))
    };
    let page = client.send(auth("facebook,myspace")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    for offered in ["Google", "Zoom", "another mail account"] {
        assert!(page.body.contains(offered), "{offered}: {}", page.body);
    }
    for providers in ["imap", "imap,facebook", "yahoo,imap"] {
        let form = client.send(auth(providers)).await;
        assert!(form.body.contains("name=\"imap_password\""), "{providers}");
    }
    let back = client.send(auth("facebook")).await;
    let location = back.header("location").unwrap();
    assert!(location.contains("error=invalid_request"), "{location}");
}

async fn a_parameter_given_twice_is_an_invalid_request(world: &World) {
    let client = Client::of(world);
    let form = "grant_type=authorization_code&client_id=a&code=b&code=c";
    let answer = client.send(post("/v3/connect/token").form(form)).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"], "invalid_request");
    let words = &answer.json()["error_description"];
    assert_eq!(words, "code must not be given twice");
}
