//! Which pages may call, and what an application may say about that.

use crate::client::{Client, ask};
use http::Method;
use keyway_testkit::{World, on_both_databases};
use serde_json::{Value, json};

on_both_databases!(
    a_preflight_is_answered_for_origins_in_an_application_s_settings,
    settings_that_browsers_could_not_use_are_refused_by_name,
);

async fn patch(world: &World, client: &Client, body: Value) -> (u16, Value) {
    let asked = ask(Method::PATCH, "/v3/applications").bearer(world.app.api_key());
    let answer = client.send(asked.json(&body)).await;
    (answer.status.as_u16(), answer.json())
}

async fn allowed(client: &Client, origin: &str) -> Option<String> {
    let asked = ask(Method::OPTIONS, "/v3/connect/token")
        .header("origin", origin)
        .header("access-control-request-method", "POST");
    let answer = client.send(asked).await;
    answer
        .header("access-control-allow-origin")
        .map(str::to_owned)
}

async fn a_preflight_is_answered_for_origins_in_an_application_s_settings(world: &World) {
    let client = Client::of(world);
    let origin = "https://idp.example";
    assert_eq!(allowed(&client, origin).await, None);
    let listed = json!({"idp_settings": {"origins": format!("http://localhost:3000, {origin}/")}});
    let (status, body) = patch(world, &client, listed).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(allowed(&client, origin).await.as_deref(), Some(origin));
    let (status, _) = patch(world, &client, json!({"idp_settings": null})).await;
    assert_eq!(status, 200);
    assert_eq!(allowed(&client, origin).await, None);
    let own = world.app.origin();
    assert_eq!(allowed(&client, &own).await, Some(own));
}

async fn settings_that_browsers_could_not_use_are_refused_by_name(world: &World) {
    let client = Client::of(world);
    for bad in [
        "x",
        "http://a.example",
        "https://a.example/path",
        "https://a.example?q",
        "https://a.example#f",
        "https://a.example,,https://b.example",
        "https://a.example, javascript:alert(1)",
        "*",
    ] {
        let (status, body) = patch(world, &client, json!({"idp_settings": {"origins": bad}})).await;
        assert_eq!(status, 400, "{bad}: {body}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("idp_settings.origins: "), "{message}");
    }
    for (alignment, status) in [("left", 200), ("center", 200), ("right", 200), ("top", 400)] {
        let body = json!({"hosted_authentication": {"alignment": alignment}});
        let (answered, body) = patch(world, &client, body).await;
        assert_eq!(answered, status, "{body}");
        if status == 400 {
            let message = body["error"]["message"].as_str().unwrap();
            assert!(message.starts_with("hosted_authentication.alignment: "));
        }
    }
}
