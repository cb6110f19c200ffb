//! What changes of connectors, credentials and grants leave alone.

use crate::client::{Client, ask, get, post};
use http::Method;
use keyway_core::provider::Provider;
use keyway_testkit::{ALICE, DEV, SignIn, World, on_both_databases};
use serde_json::{Value, json};

on_both_databases!(
    a_patch_without_members_changes_nothing,
    rule_04_a_refresh_token_handed_over_leaves_the_last_browser_on_the_grant,
    connectors_are_listed_newest_first,
    a_key_file_is_the_same_whichever_client_sends_it,
);

async fn patch(world: &World, path: &str, body: Value) -> (u16, Value) {
    let asked = ask(Method::PATCH, path).bearer(world.app.api_key());
    let answer = Client::of(world).send(asked.json(&body)).await;
    (answer.status.as_u16(), answer.json()["data"].clone())
}

async fn read(world: &World, path: &str) -> Value {
    let asked = get(path).bearer(world.app.api_key());
    Client::of(world).send(asked).await.json()["data"].clone()
}

async fn a_patch_without_members_changes_nothing(world: &World) {
    world.app.connector(Provider::Google, DEV).await;
    let credential = world.app.credential(Provider::Google, "other", DEV).await;
    let seq = world.latest_seq().await;
    for path in [
        "/v3/connectors/google".to_owned(),
        format!("/v3/connectors/google/creds/{}", credential.id),
    ] {
        let before = read(world, &path).await;
        world.pass_secs(60);
        for body in [json!({}), json!({"name": null}), json!({"unknown": 1})] {
            assert_eq!(patch(world, &path, body).await, (200, before.clone()));
        }
        assert_eq!(read(world, &path).await, before);
    }
    assert_eq!(world.latest_seq().await, seq);
}

async fn rule_04_a_refresh_token_handed_over_leaves_the_last_browser_on_the_grant(world: &World) {
    let app = &world.app;
    app.connector(Provider::Google, DEV).await;
    let mut sign_in = SignIn::of(ALICE);
    sign_in.browser.ip = Some("192.0.2.1".into());
    sign_in.browser.user_agent = Some("Browser".into());
    let grant = app.connect(&sign_in).await;
    let old = world.tokens(&grant).await;
    let path = format!("/v3/grants/{}", grant.id);
    let body = json!({"settings": {"refresh_token": app.minted(DEV, ALICE)}});
    let (status, changed) = patch(world, &path, body).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["ip"], "192.0.2.1");
    assert_eq!(changed["user_agent"], "Browser");
    let new = world.tokens(&app.grant(grant.id).await).await;
    assert_ne!(new.refresh_token, old.refresh_token);
    // Authenticating anew is another matter: there was no browser.
    let another = app.minted(DEV, ALICE);
    let brought = app.bring(Provider::Google, None, &another);
    assert_eq!(brought.await.unwrap().ip, None);
}

async fn connectors_are_listed_newest_first(world: &World) {
    for provider in [Provider::Google, Provider::Zoom, Provider::Yahoo] {
        world.app.connector(provider, DEV).await;
        world.pass_secs(1);
    }
    let listed = read(world, "/v3/connectors?limit=2").await;
    let providers: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["provider"])
        .collect();
    assert_eq!(providers, ["yahoo", "zoom"]);
}

async fn a_key_file_is_the_same_whichever_client_sends_it(world: &World) {
    world.app.connector(Provider::Google, DEV).await;
    let client = Client::of(world);
    let file = world.provider.create_service_account("a@b.c", &[]).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let key = &file["private_key"];
    let mut ids = Vec::new();
    for middle in ["x509", "x_509"] {
        let mut data = json!({"private_key_id": "1", "private_key": key, "client_email": "a@b.c"});
        for name in ["auth_provider", "client"] {
            data[format!("{name}_{middle}_cert_url")] = json!("https://certs.example");
        }
        let body = json!({"name": "bulk", "credential_type": "serviceaccount",
                          "credential_data": data});
        let asked = post("/v3/connectors/google/creds").bearer(world.app.api_key());
        let answer = client.send(asked.json(&body)).await;
        assert!(answer.status.is_success(), "{}", answer.body);
        ids.push(answer.json()["data"]["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
}
