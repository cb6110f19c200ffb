//! Every route, tried without a key, with wrong ones, and with another application's.

use crate::client::{Answered, Asked, Client, ask, get};
use http::StatusCode;
use keyway_core::ids::ApplicationId;
use keyway_core::provider::Provider;
use keyway_core::service_account::Permission;
use keyway_testkit::{
    ALICE, DEV, SignIn, TestApplication, TestServiceAccount, World, on_both_databases,
};
use keyway_web::{Access, ROUTES, Route};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

on_both_databases!(
    rule_08_no_route_serves_a_caller_without_a_good_key,
    rule_08_no_route_tells_or_changes_anything_of_another_application,
    rule_08_an_access_token_opens_no_route_that_asks_for_a_key,
);

/// What the first application has.
struct Owned {
    redirect_uri_id: String,
    credential_id: String,
    grant_id: String,
    access_token: String,
    api_key_id: String,
    service_account: TestServiceAccount,
}

impl Owned {
    async fn prepare(world: &World, client: &Client) -> Self {
        let app = &world.app;
        app.connector(Provider::Google, DEV).await;
        let credential = app.credential(Provider::Google, "other", DEV).await;
        let answer = app.sign_in(&SignIn::of(ALICE)).await;
        let uris = get("/v3/applications/redirect-uris").bearer(app.api_key());
        let uris = client.send(uris).await.json();
        Self {
            redirect_uri_id: uris["data"][0]["id"].as_str().unwrap().to_owned(),
            credential_id: credential.id.to_string(),
            grant_id: answer.grant_id.to_string(),
            access_token: answer.access_token.expose_secret().to_owned(),
            api_key_id: app.caller.key_id.to_string(),
            service_account: service_account(world, app.id).await,
        }
    }

    /// The path of `route` with the first application's own ids in it.
    fn path(&self, app: &TestApplication, route: &Route) -> String {
        let id = match route.path {
            path if path.contains("-uris/") => self.redirect_uri_id.clone(),
            path if path.contains("/creds/") => self.credential_id.clone(),
            _ => app.id.to_string(),
        };
        let path = route
            .path
            .replace("{provider}", "google")
            .replace("{grant_id}", &self.grant_id)
            .replace("{grant}", &self.grant_id)
            .replace("{*path}", "x")
            .replace("{application_id}", &app.id.to_string())
            .replace("{api_key_id}", &self.api_key_id)
            .replace("{id}", &id);
        assert!(!path.contains('{'), "{path}: how is this filled in?");
        match route.name {
            "providers.detect" => path + "?email=a%40gmail.com",
            _ => path,
        }
    }
}

/// One that may do everything to that application.
async fn service_account(world: &World, id: ApplicationId) -> TestServiceAccount {
    TestServiceAccount::create(&world.engine, &[id], &Permission::ALL).await
}

/// A body that would change something wherever it is taken.
fn intrusion() -> Value {
    json!({"name": "intruder", "provider": "google", "url": "https://intruder.example/cb",
           "platform": "web", "credential_type": "connector", "scope": ["x"],
           "settings": {"refresh_token": "x"}, "external_id": "intruder",
           "credential_data": {"client_id": "i", "client_secret": "i"},
           "branding": {"name": "intruder"}})
}

fn request(owned: &Owned, app: &TestApplication, route: &Route) -> Asked {
    ask(route.method.clone(), owned.path(app, route)).json(&intrusion())
}

/// All that the application's own key reads.
async fn readable(world: &World, client: &Client, owned: &Owned) -> Vec<Value> {
    let (app, now) = (&world.app, world.engine.now());
    let mut seen = Vec::new();
    for route in ROUTES {
        let is_object = route.method == http::Method::GET && route.access.asks_for_proof();
        // What asks the provider is another matter, and so is what changes by being read.
        let is_stored = !route.path.contains("/proxy/") && !route.path.ends_with("/token");
        if is_object && is_stored && !route.path.ends_with("/me") {
            let path = owned.path(app, route);
            let asked = match route.access {
                Access::ServiceAccount => get(path).signed(&owned.service_account, now),
                _ => get(path).bearer(app.api_key()),
            };
            let answer = client.send(asked).await;
            assert_eq!(
                answer.status,
                StatusCode::OK,
                "{}: {}",
                route.name,
                answer.body
            );
            seen.push(answer.json()["data"].clone());
        }
    }
    seen
}

fn assert_unauthorized(route: &Route, what: &str, answer: &Answered) {
    let name = route.name;
    assert_eq!(
        answer.status,
        StatusCode::UNAUTHORIZED,
        "{name}, {what}: {}",
        answer.body
    );
    assert_eq!(
        answer.error_type(),
        "token.unauthorized_access",
        "{name}, {what}"
    );
    let expected = match route.access {
        Access::ServiceAccount => {
            "X-Nylas-Kid must be sent once: the private_key_id of a service account"
        }
        _ => "Bearer token invalid",
    };
    let message = &answer.json()["error"]["message"];
    assert_eq!(message, expected, "{name}, {what}");
}

async fn rule_08_no_route_serves_a_caller_without_a_good_key(world: &World) {
    let client = Client::of(world);
    let owned = Owned::prepare(world, &client).await;
    let before = readable(world, &client, &owned).await;
    let seq = world.latest_seq().await;
    let key = world.app.api_key();
    let wrong_end = format!("{}x", &key[..key.len() - 1]);
    let headers = [
        ("no key", vec![]),
        ("an unknown key", vec![format!("Bearer {wrong_end}")]),
        ("no bearer", vec![format!("Basic {key}")]),
        ("a bare key", vec![key.to_owned()]),
        ("two blanks", vec![format!("Bearer  {key}")]),
        ("two headers", vec![format!("Bearer {key}"); 2]),
        ("nothing in it", vec!["Bearer ".to_owned()]),
    ];
    for route in ROUTES {
        for (what, values) in &headers {
            let mut asked = request(&owned, &world.app, route);
            for value in values {
                asked = asked.header("authorization", value);
            }
            let answer = client.send(asked).await;
            match route.access {
                Access::Public => assert_ne!(answer.status, StatusCode::UNAUTHORIZED),
                Access::OAuth => {
                    let name = route.name;
                    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}, {what}");
                    assert!(
                        answer.json()["error"].is_string(),
                        "{name}: {}",
                        answer.body
                    );
                }
                _ => assert_unauthorized(route, what, &answer),
            }
        }
    }
    assert_eq!(world.latest_seq().await, seq);
    assert_eq!(readable(world, &client, &owned).await, before);
}

async fn rule_08_no_route_tells_or_changes_anything_of_another_application(world: &World) {
    let client = Client::of(world);
    let owned = Owned::prepare(world, &client).await;
    let stranger = world.application("stranger").await;
    let strange_account = service_account(world, stranger.id).await;
    let before = readable(world, &client, &owned).await;
    let seq = world.latest_seq().await;
    let told = [
        world.app.id.to_string(),
        owned.redirect_uri_id.clone(),
        owned.credential_id.clone(),
        ALICE.to_owned(),
        "acme".to_owned(),
    ];
    for route in ROUTES.iter().filter(|route| route.access.asks_for_proof()) {
        let asked = request(&owned, &world.app, route);
        let asked = match route.access {
            Access::ServiceAccount => asked.signed(&strange_account, world.engine.now()),
            _ => asked.bearer(stranger.api_key()),
        };
        let answer = client.send(asked).await;
        let names_an_object = route.path.contains("id}") || route.path.contains("{grant}");
        if names_an_object {
            let (name, body) = (route.name, &answer.body);
            // Refused to everybody where the operator hands out no tokens, whatever grant is named.
            let refused_to_all =
                name == "grants.provider_token" && answer.status == StatusCode::FORBIDDEN;
            let is_unknown = answer.status == StatusCode::NOT_FOUND;
            assert!(
                is_unknown || refused_to_all,
                "{name}: {} {body}",
                answer.status
            );
        }
        for secret in &told {
            assert!(
                !answer.body.contains(secret),
                "{}: {}",
                route.name,
                answer.body
            );
        }
    }
    let changed = world.changes_since(seq).await;
    assert!(
        changed
            .iter()
            .all(|change| change.application_id == stranger.id)
    );
    assert_eq!(readable(world, &client, &owned).await, before);
}

async fn rule_08_an_access_token_opens_no_route_that_asks_for_a_key(world: &World) {
    let client = Client::of(world);
    let owned = Owned::prepare(world, &client).await;
    let seq = world.latest_seq().await;
    for route in ROUTES {
        let asked = request(&owned, &world.app, route).bearer(&owned.access_token);
        match route.access {
            Access::ApiKey | Access::ApiKeyOrClientId => {
                // 401 would tell its client that the session is lost.
                let (answer, name) = (client.send(asked).await, route.name);
                assert_eq!(
                    answer.status,
                    StatusCode::FORBIDDEN,
                    "{name}: {}",
                    answer.body
                );
                assert_eq!(answer.error_type(), "grant.access_denied", "{name}");
            }
            Access::ServiceAccount => {
                assert_unauthorized(route, "an access token", &client.send(asked).await);
            }
            _ => {}
        }
    }
    let own = get("/v3/grants/me").bearer(&owned.access_token);
    assert_eq!(client.send(own).await.json()["data"]["id"], owned.grant_id);
    let mangled = format!("{}x", &owned.access_token[..owned.access_token.len() - 1]);
    let no_token = get("/v3/connectors").bearer(&mangled);
    assert_eq!(client.send(no_token).await.status, StatusCode::UNAUTHORIZED);
    world.pass_secs(3601);
    let expired = get("/v3/connectors").bearer(&owned.access_token);
    assert_eq!(client.send(expired).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.latest_seq().await, seq);
}
