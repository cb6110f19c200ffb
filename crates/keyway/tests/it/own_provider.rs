//! A provider that the operator's configuration describes, from its table to a call, and after its table is gone.

use crate::proxy::world::{CLIENT, World};
use crate::site::{stderr, text};
use serde_json::{Value, json};

/// The sandbox, described as a provider nobody here has heard of.
const TABLE: &str = r#"[providers.acme-crm]
title = "Acme CRM"
authorization_endpoint = "{base}/auth"
token_endpoint = "{base}/token"
revocation_endpoint = "{base}/token/revocation"
userinfo_endpoint = "{base}/me"
api_base_url = "{base}/api"
extra_headers = { Acme-Version = "2" }
client_auth = "post"
identity_scopes = ["openid", "email", "profile"]
identity_claims = ["sub"]
email_claims = ["email"]
"#;

fn described() -> World {
    let world = World::with_api(None, TABLE);
    let settings = json!({"client_id": CLIENT, "client_secret": world.secret(CLIENT)});
    let connector = json!({"provider": "acme-crm", "settings": settings, "scope": ["mail.read"]});
    let made = world.api("POST", "/v3/connectors", &connector);
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.json()["data"]["name"], "Acme CRM");
    world
}

fn connected(world: &World) -> String {
    let code = world.code_at("ann@example.com", "acme-crm");
    let answer = world.exchange(&code).json();
    assert_eq!(answer["provider"], "acme-crm");
    text(&answer, "grant_id")
}

fn told(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(output)))
}

#[test]
fn a_provider_of_the_operators_own_serves_sign_ins_and_calls() {
    let world = described();
    let page = world.call("GET", &sign_in_path(&world, None), "", b"");
    let page = String::from_utf8(page.body).unwrap();
    assert!(
        page.contains("Acme CRM") && page.contains("provider=acme-crm"),
        "{page}"
    );
    let id = connected(&world);
    for (provider, count) in [("acme-crm", 1), ("google", 0), ("slack", 0)] {
        let path = format!("/v3/grants?provider={provider}");
        let listed = world.api("GET", &path, &Value::Null).json();
        assert_eq!(
            listed["data"].as_array().unwrap().len(),
            count,
            "{provider}"
        );
    }
    let grant = world
        .api("GET", &format!("/v3/grants/{id}"), &Value::Null)
        .json();
    assert_eq!(grant["data"]["provider"], "acme-crm");
    assert_eq!(grant["data"]["email"], "ann@example.com");
    let path = format!("/v3/grants/{id}/proxy/echo");
    let echoed = world.call("GET", &path, "", b"").json();
    assert_eq!(echoed["headers"]["acme-version"], json!(["2"]));
    assert_eq!(echoed["client_id"], CLIENT);
    let own = world.call("GET", &path, "Acme-Version: 3\r\n", b"").json();
    assert_eq!(own["headers"]["acme-version"], json!(["3"]));
    assert_eq!(connected(&world), id, "the same person, the same grant");
    let link = world.run(&["link", "--app", &world.app, "--provider", "acme-crm"]);
    assert!(link.status.success(), "{}", stderr(&link));
}

#[test]
fn a_name_that_nothing_describes_is_refused_and_the_known_ones_are_told() {
    let world = described();
    let connector =
        json!({"provider": "initech", "settings": {"client_id": "c", "client_secret": "s"}});
    for answer in [
        world.api("POST", "/v3/connectors", &connector),
        world.api("GET", "/v3/connectors/initech", &Value::Null),
        world.api("GET", "/v3/connectors/initech/creds", &Value::Null),
        world.api(
            "GET",
            "/v3/connectors/initech/creds/00000000-0000-4000-8000-000000000001",
            &Value::Null,
        ),
        world.api("DELETE", "/v3/connectors/initech", &Value::Null),
        world.api("GET", "/v3/grants?provider=initech", &Value::Null),
        world.api(
            "POST",
            "/v3/connect/custom",
            &json!({"provider": "initech", "settings": {"refresh_token": "r"}}),
        ),
    ] {
        assert_eq!(answer.status, 400, "{answer:?}");
        let message = text(&answer.json()["error"], "message");
        assert!(
            message.starts_with("provider: unknown provider"),
            "{message}"
        );
        assert!(
            message.contains("google") && message.contains("acme-crm"),
            "{message}"
        );
    }
    let begun = world.call("GET", &sign_in_path(&world, Some("initech")), "", b"");
    let location = begun.header("location").unwrap();
    assert!(location.contains("error=invalid_request"), "{location}");
}

#[test]
fn the_check_shows_the_table_and_no_value_of_a_header() {
    let world = described();
    let checked = told(&world.run(&["config", "check", "--json"]));
    let settings = &checked["settings"];
    assert_eq!(settings["providers.acme-crm.title"]["value"], "Acme CRM");
    let headers = &settings["providers.acme-crm.extra_headers"]["value"];
    assert_eq!(*headers, json!(["Acme-Version"]));
}

fn sign_in_path(world: &World, provider: Option<&str>) -> String {
    let provider = provider.map_or_else(String::new, |name| format!("&provider={name}"));
    format!(
        "/v3/connect/auth?client_id={}&redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Fcallback&response_type=code{provider}",
        world.app
    )
}

/// Starts the server anew, without the table.
fn without_the_table(world: &mut World) {
    let file = std::fs::read_to_string(&world.file).unwrap();
    let (_, rest) = file.split_once("[providers.google]").unwrap();
    std::fs::write(&world.file, format!("[providers.google]{rest}")).unwrap();
    world.kill_and_restart();
}

#[test]
fn what_was_stored_for_a_provider_outlives_its_table() {
    let mut world = described();
    let id = connected(&world);
    without_the_table(&mut world);
    let listed = world.api("GET", "/v3/connectors", &Value::Null).json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    let grant = world.api("GET", &format!("/v3/grants/{id}"), &Value::Null);
    assert_eq!(grant.json()["data"]["grant_status"], "valid");
    let listed = world.api("GET", "/v3/grants", &Value::Null).json();
    assert_eq!(listed["data"][0]["provider"], "acme-crm");
    let words = "no longer describes the provider acme-crm";
    let path = format!("/v3/grants/{id}/proxy/echo");
    let refused = world.call("GET", &path, "", b"");
    assert_eq!(refused.status, 500, "{refused:?}");
    let message = text(&refused.json()["error"], "message");
    assert!(message.contains(words), "{message}");
    // Named or chosen, the provider is offered to nobody.
    let named = world.call("GET", &sign_in_path(&world, Some("acme-crm")), "", b"");
    assert!(
        named
            .header("location")
            .unwrap()
            .contains("unknown+provider"),
        "{named:?}"
    );
    let to_google = world.call("GET", &sign_in_path(&world, None), "", b"");
    let page = String::from_utf8(to_google.body).unwrap();
    assert!(!page.contains("acme-crm"), "{page}");
    let findings = told(&world.run(&["doctor", "--json"]));
    let found = findings.as_array().unwrap().iter();
    let mut warned = found.filter(|f| f["status"] == "warn");
    assert!(
        warned.any(|f| f["found"]
            .as_str()
            .unwrap()
            .starts_with("acme-crm: there are connectors")),
        "{findings:#}"
    );
    let deleted = world.api("DELETE", "/v3/connectors/acme-crm", &Value::Null);
    assert_eq!(deleted.status, 200, "{deleted:?}");
}
