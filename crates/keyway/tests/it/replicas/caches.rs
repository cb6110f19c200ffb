//! What one server changes counts at another within a tenth of a second.

use super::ask;
use crate::proxy::world::{CLIENT, OTHER_CLIENT, World};
use crate::site::{Server, text};
use keyway_sandbox::ClientConfig;
use keyway_store::Backend;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// The fastest of some tries: a machine busy with other tests must not fail this one.
const TRIES: usize = 4;
const BOUND: Duration = Duration::from_millis(100);

/// Does `change` and measures how long `counts` takes to be true at the other server.
fn fastest(mut change: impl FnMut(usize) -> Box<dyn Fn() -> bool>) -> Duration {
    let mut fastest = Duration::MAX;
    for n in 0..TRIES {
        let counts = change(n);
        let began = Instant::now();
        while !counts() {
            assert!(began.elapsed() < Duration::from_secs(20), "never");
        }
        fastest = fastest.min(began.elapsed());
    }
    fastest
}

struct Two {
    world: World,
    other: Server,
}

impl Two {
    fn at_other(&self, path: &str) -> u16 {
        ask(&self.other, &self.world.key, "GET", path, "").status
    }
}

impl From<World> for Two {
    fn from(world: World) -> Self {
        let other = world.replica();
        Self { world, other }
    }
}

fn two() -> Option<Two> {
    World::plain(Backend::Postgres).map(Two::from)
}

#[test]
fn a_deleted_grant_is_gone_at_the_other_server_within_a_tenth_of_a_second() {
    let Some(two) = two() else { return };
    let two = &two;
    let took = fastest(|n| {
        let id = two
            .world
            .grant(&format!("user-{n}@example.com"), CLIENT, None);
        let (read, call) = (
            format!("/v3/grants/{id}"),
            format!("/v3/grants/{id}/proxy/echo"),
        );
        assert_eq!((two.at_other(&read), two.at_other(&call)), (200, 200));
        assert_eq!(two.at_other(&call), 200, "remembered");
        assert_eq!(two.world.call("DELETE", &read, "", b"").status, 200);
        let (address, key) = (two.other.address.clone(), two.world.key.clone());
        Box::new(move || crate::site::get(&address, &call, Some(&key)).0 == 404)
    });
    assert!(took < BOUND, "{took:?}");
}

#[test]
fn a_changed_default_credential_decides_at_the_other_server_within_a_tenth_of_a_second() {
    let Some(two) = two() else { return };
    let second = two.world.credential();
    let connector = two
        .world
        .call("GET", "/v3/connectors/google", "", b"")
        .json();
    let first = connector["data"]["active_credential_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!(
        "/v3/connect/auth?client_id={}&redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Fcallback&response_type=code&provider=google",
        two.world.app
    );
    let goes_through = |server: &Server| {
        let answer = ask(server, &two.world.key, "GET", &path, "");
        answer.header("location").unwrap().to_owned()
    };
    let before = goes_through(&two.other);
    let took = fastest(|n| {
        let id = if n % 2 == 0 { &second } else { &first };
        let body = json!({"active_credential_id": id});
        let changed = two.world.api("PATCH", "/v3/connectors/google", &body);
        assert_eq!(changed.status, 200, "{changed:?}");
        let client = |location: &str| {
            let url = url::Url::parse(location).unwrap();
            url.query_pairs()
                .find(|(name, _)| name == "client_id")
                .unwrap()
                .1
                .into_owned()
        };
        let expected = client(&goes_through(&two.world.server));
        assert_eq!(expected != client(&before), n % 2 == 0);
        let (address, path) = (two.other.address.clone(), path.clone());
        Box::new(move || {
            let location = crate::site::location(&address, &path);
            client(&location) == expected
        })
    });
    assert!(took < BOUND, "{took:?}");
}

/// The provider application whose token the other server puts into a call.
fn client_behind(address: &str, path: &str, key: &str) -> Option<String> {
    let (status, body) = crate::site::get(address, path, Some(key));
    let echoed: Value = serde_json::from_str(&body).ok()?;
    (status == 200).then(|| text(&echoed, "client_id"))
}

#[test]
fn rule_06_a_moved_grant_is_called_with_its_new_credential_at_the_other_server() {
    let Some(two) = two() else { return };
    let (world, second) = (&two.world, two.world.credential());
    let took = fastest(|n| {
        let email = format!("user-{n}@example.com");
        let id = world.grant(&email, CLIENT, None);
        let path = format!("/v3/grants/{id}/proxy/echo");
        let (address, key) = (two.other.address.clone(), world.key.clone());
        for _ in 0..2 {
            let before = client_behind(&address, &path, &key);
            assert_eq!(before.as_deref(), Some(CLIENT));
        }
        assert_eq!(world.grant(&email, OTHER_CLIENT, Some(&second)), id);
        Box::new(move || client_behind(&address, &path, &key).as_deref() == Some(OTHER_CLIENT))
    });
    assert!(took < BOUND, "{took:?}");
}

#[test]
fn rule_06_a_new_token_is_what_the_other_server_hands_out() {
    let Some(two) = World::lending(Backend::Postgres).map(Two::from) else {
        return;
    };
    let world = &two.world;
    let took = fastest(|n| {
        let email = format!("user-{n}@example.com");
        let id = world.grant(&email, CLIENT, None);
        let path = format!("/v3/grants/{id}/token");
        let (address, key) = (two.other.address.clone(), world.key.clone());
        let token = move || {
            let (status, body) = crate::site::get(&address, &path, Some(&key));
            assert_eq!(status, 200, "{body}");
            let answer: Value = serde_json::from_str(&body).unwrap();
            text(&answer["data"], "access_token")
        };
        let before = token();
        assert_eq!(token(), before, "remembered");
        assert_eq!(world.grant(&email, CLIENT, None), id);
        Box::new(move || token() != before)
    });
    assert!(took < BOUND, "{took:?}");
}

#[test]
fn a_replaced_secret_is_what_the_other_server_refreshes_with() {
    let Some(two) = two() else { return };
    let world = &two.world;
    let connector = world.call("GET", "/v3/connectors/google", "", b"").json();
    let credential = text(&connector["data"], "active_credential_id");
    let expired = |name: String| {
        let id = world.grant(&format!("{name}@example.com"), CLIENT, None);
        world.execute("UPDATE token_sets SET access_expires_at = 1");
        format!("/v3/grants/{id}/proxy/echo")
    };
    let took = fastest(|n| {
        let path = expired(format!("before-{n}"));
        assert_eq!(two.at_other(&path), 200, "the secret is known there");
        let path = expired(format!("after-{n}"));
        let secret = format!("secret-{n}");
        world
            .sandbox
            .put_client(ClientConfig::new(CLIENT, &secret, &[]));
        let data = json!({"client_id": CLIENT, "client_secret": secret});
        let body = json!({"credential_data": data});
        let at = format!("/v3/connectors/google/creds/{credential}");
        let changed = world.api("PATCH", &at, &body);
        assert_eq!(changed.status, 200, "{changed:?}");
        let (address, key) = (two.other.address.clone(), world.key.clone());
        Box::new(move || crate::site::get(&address, &path, Some(&key)).0 == 200)
    });
    assert!(took < BOUND, "{took:?}");
}
