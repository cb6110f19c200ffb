//! An operator's shared app beside an application's own, and a configuration that was edited.

use crate::proxy::world::{CLIENT, OTHER_CLIENT, World};
use crate::site::{stderr, text};
use serde_json::json;

fn table(client_id: &str) -> String {
    format!(
        "[shared_apps.google]\nclient_id = \"{client_id}\"\nclient_secret = \"{OTHER_CLIENT}-secret\"\n\
         applications = [\"*\"]\nscopes = [\"openid\", \"email\"]\n"
    )
}

/// Has the configuration lend another client; what a server that is started then says.
fn restarted_with(world: &World, client_id: &str) -> String {
    let file = std::fs::read_to_string(&world.file).unwrap();
    let edited = file.replace(&table(OTHER_CLIENT), &table(client_id));
    assert_ne!(edited, file);
    std::fs::write(&world.file, edited).unwrap();
    let refused = world.run(&["serve", "--listen", "127.0.0.1:0"]);
    std::fs::write(&world.file, file).unwrap();
    assert!(!refused.status.success());
    stderr(&refused)
}

#[test]
fn a_shared_app_serves_beside_ones_own_and_its_client_is_not_changed_under_its_grants() {
    let world = World::with_api(None, &table(OTHER_CLIENT));
    let lent = json!({"name": "lent", "credential_type": "connector", "credential_data": {}});
    let made = world.api("POST", "/v3/connectors/google/creds", &lent);
    assert_eq!(made.status, 201, "{made:?}");
    let id = text(&made.json()["data"], "id");
    let whose = |grant: &str| {
        let path = format!("/v3/grants/{grant}/proxy/echo");
        text(&world.call("GET", &path, "", b"").json(), "client_id")
    };
    let own = world.grant("ann@example.com", CLIENT, None);
    let through = world.grant("bob@example.com", OTHER_CLIENT, Some(&id));
    assert_eq!(whose(&own), CLIENT);
    assert_eq!(whose(&through), OTHER_CLIENT);
    let credential = format!("/v3/connectors/google/creds/{id}");
    let data = json!({"client_id": CLIENT, "client_secret": world.secret(CLIENT)});
    let refused = world.api("PATCH", &credential, &json!({ "credential_data": data }));
    assert_eq!(refused.status, 400, "{refused:?}");
    let named = world.api("PATCH", &credential, &json!({"name": "theirs"}));
    assert_eq!(named.status, 200, "{named:?}");
    assert_eq!(whose(&through), OTHER_CLIENT);
    let words = restarted_with(&world, "another-app");
    for word in [
        "shared_apps.google",
        OTHER_CLIENT,
        "grants of one credential: 1",
        "put it back",
    ] {
        assert!(words.contains(word), "{word}: {words}");
    }
    // With the former client all is well: another server of the same configuration serves it.
    let replica = world.replica();
    let path = format!("/v3/grants/{through}/proxy/echo");
    assert_eq!(replica.get(&path, Some(&world.key)).0, 200);
    let removed = world.api("DELETE", &credential, &json!({}));
    assert_eq!(removed.status, 200, "{removed:?}");
    let ended = world.api("GET", &format!("/v3/grants/{through}"), &json!({}));
    assert_eq!(ended.json()["data"]["grant_status"], "invalid");
}
