//! Several servers on one PostgreSQL that restarts, fails over, hangs or has no connections left.

mod caches;
mod postgres;
mod refreshes;

use crate::proxy::world::{CLIENT, World};
use crate::site::{Server, text};
use crate::wire::{Answer, Ask};
use postgres::Postgres;
use serde_json::json;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// A request to one of the servers.
fn ask(server: &Server, key: &str, method: &str, path: &str, body: &str) -> Answer {
    let ask = Ask {
        patience: PATIENCE,
        ..Ask::new(&server.address, key)
    };
    let headers = "Content-Type: application/json\r\n";
    ask.call(method, path, headers, body.as_bytes()).unwrap()
}

/// What clients saw while something happened to the database.
#[derive(Default)]
struct Seen {
    /// Grants whose making was acknowledged.
    made: Mutex<Vec<String>>,
    served: AtomicUsize,
    refused: AtomicUsize,
}

impl Seen {
    /// Every answer is what was asked for, or says when to try again.
    fn note(&self, answer: &Answer) -> bool {
        if answer.status < 300 {
            self.served.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        assert_eq!(answer.error_type(), "api.unavailable_error");
        self.refused.fetch_add(1, Ordering::Relaxed);
        false
    }
}

/// Makes grants and reads one, over and over, until told to stop.
fn work(world: &World, server: &Server, seen: &Seen, stop: &AtomicBool, name: usize) {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let email = format!("user-{name}-{n}@example.com");
        let token = world
            .sandbox
            .mint_refresh_token(CLIENT, &email, &["openid", "email"]);
        let body = json!({"provider": "google", "settings": {"refresh_token": token}}).to_string();
        let made = ask(server, &world.key, "POST", "/v3/connect/custom", &body);
        if seen.note(&made) {
            let id = text(&made.json()["data"], "id");
            seen.note(&ask(
                server,
                &world.key,
                "GET",
                &format!("/v3/grants/{id}"),
                "",
            ));
            seen.made.lock().unwrap().push(id);
        }
        n += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a condition holds.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} does not happen");
}

fn is_ready(server: &Server) -> bool {
    server.get("/readyz", None).0 == 200
}

/// Two servers at work, to which `happen` happens; then all that was acknowledged is there, on both.
fn survives(url: &str, happen: impl FnOnce()) -> Seen {
    let world = World::elsewhere(url, "");
    let replica = world.replica();
    let servers = [&world.server, &replica];
    let (seen, stop) = (Seen::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for name in 0..4 {
            let (world, seen, stop) = (&world, &seen, &stop);
            scope.spawn(move || work(world, servers[name % 2], seen, stop, name));
        }
        let made = || seen.made.lock().unwrap().len();
        until("some work", || made() > 20);
        happen();
        let before = made();
        until("recovery", || made() > before + 40);
        stop.store(true, Ordering::Relaxed);
    });
    for id in seen.made.lock().unwrap().iter() {
        for server in servers {
            let read = || ask(server, &world.key, "GET", &format!("/v3/grants/{id}"), "").status;
            let mut status = read();
            // Where there are too few connections, a caller is told to try again.
            until("an answer", || {
                status = if status == 503 { read() } else { status };
                status != 503
            });
            assert_eq!(status, 200, "an acknowledged grant is gone");
        }
    }
    seen
}

#[test]
fn nothing_acknowledged_is_lost_by_a_crash_of_postgresql_and_servers_go_on() {
    let Some(postgres) = Postgres::start("") else {
        return;
    };
    let seen = survives(&postgres.url(), || {
        postgres.crash();
        std::thread::sleep(Duration::from_secs(1));
        postgres.start_again();
    });
    assert!(seen.refused.load(Ordering::Relaxed) > 0, "nobody noticed");
}

#[test]
fn a_standby_takes_over_and_servers_find_it_by_themselves() {
    let Some(primary) = Postgres::start("-c wal_level=replica -c max_wal_senders=4") else {
        return;
    };
    let standby = primary.standby();
    // From here on what is acknowledged is on both.
    primary.set("synchronous_standby_names", "*");
    let url = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?sslmode=disable&target_session_attrs=read-write",
        primary.port(),
        standby.port()
    );
    let seen = survives(&url, || {
        primary.crash();
        std::thread::sleep(Duration::from_millis(500));
        standby.promote();
    });
    assert!(seen.refused.load(Ordering::Relaxed) > 0, "nobody noticed");
}

#[test]
fn a_postgresql_that_hangs_for_a_while_is_waited_for() {
    let Some(postgres) = Postgres::start("") else {
        return;
    };
    let seen = survives(&postgres.url(), || {
        postgres.signal("STOP");
        // Less than the ten seconds for which requests wait.
        std::thread::sleep(Duration::from_secs(3));
        postgres.signal("CONT");
    });
    assert_eq!(seen.refused.load(Ordering::Relaxed), 0);
}

const NINE_CONNECTIONS: &str =
    "-c max_connections=9 -c superuser_reserved_connections=0 -c max_wal_senders=0";
const REFUSED: &str = "too many clients already";

#[test]
fn a_start_waits_for_a_connection() {
    let Some(postgres) = Postgres::start(NINE_CONNECTIONS) else {
        return;
    };
    let held: Vec<_> = (0..9).map(|_| postgres.session()).collect();
    let refused = || postgres.log().matches(REFUSED).count();
    std::thread::scope(|scope| {
        let started = scope.spawn(|| World::elsewhere(&postgres.url(), ""));
        until("a refused connection", || refused() > 1);
        drop(held);
        let world = started.join().unwrap();
        until("readiness", || is_ready(&world.server));
    });
}

#[test]
fn too_few_connections_make_requests_wait_or_try_again() {
    let Some(postgres) = Postgres::start(NINE_CONNECTIONS) else {
        return;
    };
    survives(&postgres.url(), || {
        until("a connection too many", || postgres.log().contains(REFUSED));
    });
}

/// From now on PostgreSQL lets nobody in, and the session that looks at the sequence of changes is ended: it
/// is the one that asked last.
const NO_NEW_CONNECTIONS: &str = "BEGIN; ALTER DATABASE postgres ALLOW_CONNECTIONS false; COMMIT;
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY query_start DESC LIMIT 1";

#[test]
fn a_server_goes_on_without_the_connection_it_keeps_apart() {
    let Some(postgres) = Postgres::start("") else {
        return;
    };
    let world = World::elsewhere(&postgres.url(), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    postgres.execute(NO_NEW_CONNECTIONS);
    // Longer than what is remembered counts without a look.
    std::thread::sleep(Duration::from_secs(1));
    until("readiness", || is_ready(&world.server));
    let read = world.call("GET", &format!("/v3/grants/{id}"), "", b"");
    assert_eq!(read.status, 200, "{read:?}");
}

/// A world with a grant whose token is remembered, on a PostgreSQL that is gone by now.
fn without_database(more: &str) -> Option<(Postgres, World, String)> {
    let postgres = Postgres::start("")?;
    let world = World::elsewhere(&postgres.url(), more);
    let id = world.grant("ann@example.com", CLIENT, None);
    let path = format!("/v3/grants/{id}/proxy/echo");
    for _ in 0..2 {
        assert_eq!(world.call("GET", &path, "", b"").status, 200);
        assert_eq!(
            world
                .call("GET", &format!("/v3/grants/{id}"), "", b"")
                .status,
            200
        );
    }
    postgres.crash();
    Some((postgres, world, id))
}

#[test]
fn what_is_remembered_is_served_through_an_outage_for_as_long_as_the_operator_says() {
    let more = "[storage]\nserve_through_outage_seconds = 60\n";
    let Some((postgres, world, id)) = without_database(more) else {
        return;
    };
    // Longer than what counts without the setting.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        world
            .call("GET", &format!("/v3/grants/{id}"), "", b"")
            .status,
        200
    );
    assert_eq!(
        world
            .call("GET", &format!("/v3/grants/{id}/proxy/echo"), "", b"")
            .status,
        200
    );
    assert!(is_ready(&world.server));
    let rename = || {
        world.api(
            "PATCH",
            "/v3/connectors/google",
            &json!({"name": "Renamed"}),
        )
    };
    let write = rename();
    assert_eq!(
        (write.status, write.error_type().as_str()),
        (503, "api.unavailable_error")
    );
    postgres.start_again();
    until("recovery", || rename().status == 200);
}

#[test]
fn without_the_setting_nothing_remembered_counts_once_the_database_is_gone() {
    let Some((postgres, world, id)) = without_database("") else {
        return;
    };
    until("the end of what is remembered", || {
        let read = world.call("GET", &format!("/v3/grants/{id}"), "", b"");
        read.status == 503 && read.header("retry-after").is_some()
    });
    assert!(!is_ready(&world.server));
    postgres.start_again();
    until("recovery", || is_ready(&world.server));
    assert_eq!(
        world
            .call("GET", &format!("/v3/grants/{id}"), "", b"")
            .status,
        200
    );
}

/// What the next version might do to the tables, and say in the sequence of changes.
const NEXT_VERSION: &str = "ALTER TABLE grants ADD COLUMN later TEXT;
    ALTER TABLE token_sets ADD COLUMN later BIGINT;
    CREATE TABLE later (id TEXT NOT NULL PRIMARY KEY);
    INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (9999, 'later', 'x', 0);
    INSERT INTO changes (at, application_id, entity, entity_id, action, actor, detail)
        VALUES (1, '00000000-0000-0000-0000-000000000000', 'later', 'x', 'postponed', 'cli', '{}')";

#[test]
fn a_newer_program_migrates_beside_running_servers_and_no_request_is_lost() {
    let Some(world) = World::plain(keyway_store::Backend::Postgres) else {
        return;
    };
    let replica = world.replica();
    let (key, id) = world.new_key();
    let (seen, stop) = (Seen::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (name, server) in [&world.server, &replica].into_iter().enumerate() {
            let (world, seen, stop) = (&world, &seen, &stop);
            scope.spawn(move || work(world, server, seen, stop, name));
        }
        let made = || seen.made.lock().unwrap().len();
        until("some work", || made() > 20);
        world.execute(NEXT_VERSION);
        let before = made();
        until("more work", || made() > before + 40);
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(seen.refused.load(Ordering::Relaxed), 0);
    // What they remember stays exact: entries they do not understand do not keep them from reading on.
    assert_eq!(replica.get("/v3/grants", Some(&key)).0, 200);
    world.execute(&format!(
        "UPDATE api_keys SET revoked_at = 1 WHERE id = '{id}'"
    ));
    world.execute(&format!(
        "INSERT INTO changes (at, application_id, entity, entity_id, action, actor, detail)
            VALUES (1, '{}', 'api_key', '{id}', 'revoked', 'cli', '{{}}')",
        world.app
    ));
    until("the end of the key", || {
        replica.get("/v3/grants", Some(&key)).0 == 401
    });
}
