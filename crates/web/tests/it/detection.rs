//! Which provider an address belongs to.

use crate::client::{Answered, Client, post};
use keyway_core::provider::Provider;
use keyway_core::scope::Scopes;
use keyway_engine::connectors::NewConnector;
use keyway_testkit::{DEV, TestApplication, World, on_both_databases};
use serde_json::{Map, json};

on_both_databases!(
    a_mailbox_is_known_where_a_connector_serves_it,
    a_companys_mailboxes_are_known_by_who_takes_its_mail,
    a_page_that_knows_the_client_id_may_ask,
    rule_08_twenty_detections_a_minute_are_answered_to_each_application,
);

const PATH: &str = "/v3/providers/detect";

async fn imap_connector(world: &World, app: &TestApplication) {
    let new = NewConnector {
        provider: Provider::Imap,
        name: None,
        settings: Map::new(),
        scope: Scopes::none(),
    };
    world
        .engine
        .create_connector(&app.caller, new)
        .await
        .unwrap();
}

async fn detect(world: &World, query: &str) -> Answered {
    let asked = post(format!("{PATH}?{query}")).bearer(world.app.api_key());
    Client::of(world).send(asked).await
}

async fn a_companys_mailboxes_are_known_by_who_takes_its_mail(world: &World) {
    world.app.connector(Provider::Google, DEV).await;
    let all = "&all_provider_types=true";
    for (domain, more, provider) in [
        ("google.test", "", Some("google")),
        ("microsoft.test", "", None),
        ("microsoft.test", all, Some("microsoft")),
        ("filtered.test", all, None),
        ("unknown.test", all, None),
    ] {
        let answer = detect(world, &format!("email=ann@{domain}{more}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let data = &answer.json()["data"];
        assert_eq!(data["detected"], provider.is_some(), "{domain}{more}");
        assert_eq!(data["provider"].as_str(), provider, "{domain}{more}");
    }
}

async fn a_mailbox_is_known_where_a_connector_serves_it(world: &World) {
    world.app.connector(Provider::Google, DEV).await;
    for (query, data) in [
        (
            "email=a%2Bb%40gmail.com",
            json!({"email_address": "a+b@gmail.com", "detected": true, "provider": "google"}),
        ),
        (
            "email=a+b@gmail.com",
            json!({"email_address": "a+b@gmail.com", "detected": true, "provider": "google"}),
        ),
        (
            "email=a%40outlook.com",
            json!({"email_address": "a@outlook.com", "detected": false}),
        ),
        (
            "email=a%40outlook.com&all_provider_types=True",
            json!({"email_address": "a@outlook.com", "detected": true, "provider": "microsoft"}),
        ),
        (
            "email=a%40yahoo.com&all_provider_types=false",
            json!({"email_address": "a@yahoo.com", "detected": false}),
        ),
    ] {
        let answer = detect(world, query).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.json()["data"], data, "{query}");
    }
    imap_connector(world, &world.app).await;
    let answer = detect(world, "email=a%40yahoo.com").await.json();
    let data = json!({"email_address": "a@yahoo.com", "detected": true, "provider": "imap",
                      "type": "yahoo"});
    assert_eq!(answer["data"], data);
    for wrong in [
        "",
        "email=",
        "email=x",
        "email=a%40b.c&all_provider_types=x",
    ] {
        let answer = detect(world, wrong).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert_eq!(answer.error_type(), "api.invalid_query_params");
    }
}

async fn a_page_that_knows_the_client_id_may_ask(world: &World) {
    world.app.connector(Provider::Google, DEV).await;
    let client = Client::of(world);
    let origin = world.app.origin();
    let path = format!("{PATH}?client_id={}&email=a+b@gmail.com", world.app.id);
    let answer = client.send(post(path).header("origin", &origin)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["data"]["email_address"], "a+b@gmail.com");
    let allowed = answer.header("access-control-allow-origin");
    assert_eq!(allowed, Some(origin.as_str()));
    let unknown = format!("{PATH}?client_id={}&email=a@b.c", "0".repeat(8));
    assert_eq!(client.send(post(unknown)).await.status, 404);
}

async fn rule_08_twenty_detections_a_minute_are_answered_to_each_application(world: &World) {
    let client = Client::of(world);
    let ask = |app: &TestApplication| post(format!("{PATH}?email=a@b.c")).bearer(app.api_key());
    for _ in 0..20 {
        assert_eq!(client.send(ask(&world.app)).await.status, 200);
    }
    let refused = client.send(ask(&world.app)).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.error_type(), "api.rate_limit_error");
    assert_eq!(refused.header("retry-after"), Some("60"));
    let other = world.application("other").await;
    assert_eq!(client.send(ask(&other)).await.status, 200);
    let page = format!("{PATH}?client_id={}&email=a@b.c", world.app.id);
    assert_eq!(client.send(post(page)).await.status, 200);
    world.pass_secs(60);
    assert_eq!(client.send(ask(&world.app)).await.status, 200);
}
