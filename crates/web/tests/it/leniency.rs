//! What clients send that is not wrong: it is understood, or ignored.

use crate::client::{Answered, Client, ask, get, post};
use http::Method;
use keyway_core::provider::Provider;
use keyway_testkit::{ALICE, BOB, DEV, PROD, SignIn, World, on_both_databases};
use serde_json::{Value, json};

on_both_databases!(
    grants_are_found_by_the_name_of_their_connector,
    pages_of_any_size_and_place_are_answered,
    a_grant_may_be_patched_with_the_credential_it_has,
    unknown_members_at_the_token_endpoint_are_of_any_type,
    a_redirect_uri_that_is_kept_keeps_what_is_left_out,
    a_tenant_among_extra_properties_is_the_credentials,
);

async fn sent(world: &World, method: Method, path: &str, body: &Value) -> Answered {
    let asked = ask(method, path).bearer(world.app.api_key()).json(body);
    Client::of(world).send(asked).await
}

async fn listed(world: &World, query: &str) -> Vec<String> {
    let asked = get(format!("/v3/grants?{query}")).bearer(world.app.api_key());
    let answer = Client::of(world).send(asked).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    let ids = answer.json()["data"].as_array().unwrap().clone();
    let id = |grant: &Value| grant["id"].as_str().unwrap().to_owned();
    ids.iter().map(id).collect()
}

async fn grants_are_found_by_the_name_of_their_connector(world: &World) {
    let app = &world.app;
    app.connector(Provider::Google, DEV).await;
    app.connector(Provider::Yahoo, DEV).await;
    let google = app.connect(&SignIn::of(ALICE).at(Provider::Google)).await;
    let google = google.id.to_string();
    let yahoo = app.connect(&SignIn::of(BOB).at(Provider::Yahoo)).await;
    let yahoo = yahoo.id.to_string();
    assert_eq!(
        listed(world, "connector_id=google").await,
        [google.as_str()]
    );
    assert_eq!(listed(world, "connector_id=yahoo").await, [yahoo.as_str()]);
    assert_eq!(listed(world, "connector_id=imap").await, [""; 0]);
    for ignored in ["connector_id=conn-1", "connector_id="] {
        assert_eq!(listed(world, ignored).await.len(), 2, "{ignored}");
    }
    for nothing in [
        "provider=nylas",
        "provider=inbox",
        "connector_id=google&provider=yahoo",
    ] {
        assert_eq!(listed(world, nothing).await, [""; 0], "{nothing}");
    }
    let both = "connector_id=google&provider=google";
    assert_eq!(listed(world, both).await, [google]);
}

async fn pages_of_any_size_and_place_are_answered(world: &World) {
    world.app.connector(Provider::Google, DEV).await;
    world.app.connect(&SignIn::of(ALICE)).await;
    for limit in ["5000", "9223372036854775807", "99999999999999999999"] {
        let query = format!("limit={limit}&before=99999999999999999999");
        assert_eq!(listed(world, &query).await.len(), 1, "{limit}");
        let beyond = format!("limit={limit}&offset={limit}");
        assert_eq!(listed(world, &beyond).await, [""; 0], "{limit}");
    }
}

async fn a_grant_may_be_patched_with_the_credential_it_has(world: &World) {
    let app = &world.app;
    app.connector(Provider::Google, DEV).await;
    let other = app.credential(Provider::Google, "other", PROD).await;
    let grant = app.connect(&SignIn::of(ALICE)).await;
    let path = format!("/v3/grants/{}", grant.id);
    for (n, named) in [json!(null), json!(grant.credential_id)].iter().enumerate() {
        let body = json!({"credential_id": named, "external_id": format!("user-{n}")});
        let answer = sent(world, Method::PATCH, &path, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let kept = app.grant(grant.id).await;
        assert_eq!(kept.credential_id, grant.credential_id);
        assert_eq!(kept.external_id, Some(format!("user-{n}")));
    }
    let before = world.snapshot().await;
    let body = json!({"credential_id": other.id, "external_id": "moved"});
    let answer = sent(world, Method::PATCH, &path, &body).await;
    assert_eq!(answer.status, 400);
    let words = answer.json()["error"]["message"].clone();
    assert!(
        words.as_str().unwrap().starts_with("credential_id: "),
        "{words}"
    );
    assert_eq!(world.snapshot().await, before);
}

async fn unknown_members_at_the_token_endpoint_are_of_any_type(world: &World) {
    let app = &world.app;
    app.connector(Provider::Google, DEV).await;
    let code = app.code(&SignIn::of(ALICE)).await.unwrap();
    let exchange = |code: Value| {
        json!({"grant_type": "authorization_code", "client_id": app.id.to_string(),
               "client_secret": app.api_key(), "redirect_uri": app.redirect_uri, "code": code,
               "metadata": {"a": 1}, "timeout": 90, "is_new": true, "tags": ["x"]})
    };
    let client = Client::of(world);
    let refused = client
        .send(post("/v3/connect/token").json(&exchange(json!(7))))
        .await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error_description"], "code must be a string");
    let given = client
        .send(post("/v3/connect/token").json(&exchange(json!(code))))
        .await;
    assert_eq!(given.status, 200, "{}", given.body);
    assert_eq!(given.json()["email"], ALICE);
}

async fn a_redirect_uri_that_is_kept_keeps_what_is_left_out(world: &World) {
    let application = async || {
        let asked = get("/v3/applications").bearer(world.app.api_key());
        let answer = Client::of(world).send(asked).await;
        answer.json()["data"]["callback_uris"]
            .as_array()
            .unwrap()
            .clone()
    };
    let before = application().await;
    let named: Vec<Value> = before.iter().map(|uri| json!({"id": uri["id"]})).collect();
    let body = json!({ "callback_uris": named });
    let answer = sent(world, Method::PATCH, "/v3/applications", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(application().await, before);
    // What is said of one changes, and only that.
    let page = before.iter().find(|uri| uri["platform"] == "js").unwrap();
    let moved = format!("{}/moved", world.app.origin());
    let body = json!({"callback_uris": [{"id": page["id"], "url": moved}]});
    let answer = sent(world, Method::PATCH, "/v3/applications", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut expected = page.clone();
    expected["url"] = json!(moved);
    assert_eq!(application().await, [expected]);
    let body = json!({"callback_uris": [{"platform": "web"}]});
    let answer = sent(world, Method::PATCH, "/v3/applications", &body).await;
    let words = &answer.json()["error"]["message"];
    assert_eq!(words, "callback_uris[0].url: is required");
}

async fn a_tenant_among_extra_properties_is_the_credentials(world: &World) {
    let app = &world.app;
    app.connector(Provider::Microsoft, DEV).await;
    let path = "/v3/connectors/microsoft/creds";
    let mut ids = Vec::new();
    for inner in ["extraProperties", "extra_properties"] {
        let body = json!({"name": "bulk", "credential_type": "adminconsent",
                          "credential_data": {inner: {"tenant": "contoso.example"}}});
        let answer = sent(world, Method::POST, path, &body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        ids.push(answer.json()["data"]["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids[0], ids[1], "an equal one is the same");
    let id = ids[0].parse().unwrap();
    let (engine, caller) = (&world.engine, &app.caller);
    let stored = engine.credential(caller, Provider::Microsoft, id).await;
    assert_eq!(stored.unwrap().tenant.as_deref(), Some("contoso.example"));
    let wrong = json!({"credential_data": {"extraProperties": {"tenant": "../x"}}});
    let answer = sent(world, Method::PATCH, &format!("{path}/{}", ids[0]), &wrong).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.body.contains("credential_data.tenant"),
        "{}",
        answer.body
    );
}
