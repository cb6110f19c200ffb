//! Minutes of calls through two servers on one database, while the provider rotates refresh tokens, ends the
//! family of one that comes twice, and fails in every way that loses nothing: not one grant may be lost.
//!
//! `KEYWAY_SOAK_SECONDS` sets how long.

use super::world::{CLIENT, OTHER_CLIENT, World};
use crate::site::get;
use keyway_sandbox::{Fault, Faults};
use keyway_store::Backend;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

const LIFE_SECS: i64 = 3;
const GRANTS: usize = 12;
const CALLERS: usize = 4;
/// How long the provider is in one mood.
const MOOD: Duration = Duration::from_millis(1_500);

fn soak_seconds() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests have no configuration but the environment"
    )]
    let said = std::env::var("KEYWAY_SOAK_SECONDS").ok();
    said.map_or(120, |said| said.parse().unwrap())
}

/// What the provider is like, in turn. None of it loses an answer that rotated something.
fn moods() -> [Fault; 8] {
    let rare = |fault: Fault| Fault {
        next_n: Some(3),
        ..fault
    };
    [
        Fault::default(),
        Fault::delay(300),
        Fault::default(),
        Fault::status(503),
        Fault::default(),
        rare(Fault::error("invalid_client", "a moment's confusion")),
        Fault::delay(50),
        rare(Fault::error("temporarily_unavailable", "later")),
    ]
}

/// What came of the calls.
#[derive(Default)]
struct Seen {
    served: AtomicUsize,
    told_to_wait: AtomicUsize,
}

fn call(world: &World, address: &str, id: &str, seen: &Seen) {
    let (status, body) = get(
        address,
        &format!("/v3/grants/{id}/proxy/echo"),
        Some(&world.key),
    );
    match status {
        200 => seen.served.fetch_add(1, SeqCst),
        // The token had ended, and the provider or the credential failed at that moment.
        502 | 504 => seen.told_to_wait.fetch_add(1, SeqCst),
        _ => panic!("{status} {body}"),
    };
}

#[expect(clippy::disallowed_methods, reason = "a test that waits for real time")]
fn now() -> Instant {
    Instant::now()
}

fn soak(backend: Backend) {
    let Some(world) = World::hurried(backend, LIFE_SECS) else {
        return;
    };
    let second = world.replica();
    let credential = world.credential();
    let grants: Vec<String> = (0..GRANTS)
        .map(|n| {
            let (client, named) = match n % 2 {
                0 => (CLIENT, None),
                _ => (OTHER_CLIENT, Some(credential.as_str())),
            };
            world.grant(&format!("user-{n}@example.com"), client, named)
        })
        .collect();
    let before = world.sandbox.counters().token_requests_of("refresh_token");
    let (seen, until) = (Seen::default(), now() + Duration::from_secs(soak_seconds()));
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (world, seen, grants, second) = (&world, &seen, &grants, &second);
            scope.spawn(move || {
                for n in caller.. {
                    if now() >= until {
                        return;
                    }
                    let servers = [&world.server.address, &second.address];
                    call(world, servers[n % 2], &grants[(n * 7) % GRANTS], seen);
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
        for mood in moods().iter().cycle() {
            if now() >= until {
                break;
            }
            world.sandbox.set_faults(Faults {
                token: Some(mood.clone()),
                ..Faults::default()
            });
            std::thread::sleep(MOOD);
        }
    });
    world.sandbox.set_faults(Faults::default());
    // A credential that was refused is tried again within seconds.
    std::thread::sleep(Duration::from_secs(6));
    for id in &grants {
        let answer = world.call("GET", &format!("/v3/grants/{id}/proxy/echo"), "", b"");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let refreshes = world.sandbox.counters().token_requests_of("refresh_token") - before;
    let (served, waited) = (seen.served.into_inner(), seen.told_to_wait.into_inner());
    println!(
        "{served} calls served, {waited} told to wait, {refreshes} refreshes of {GRANTS} grants"
    );
    assert!(served > waited, "{served} served, {waited} told to wait");
    let least = soak_seconds() * u64::try_from(GRANTS).unwrap() / 9;
    assert!(refreshes > least, "{refreshes} refreshes");
}

#[test]
fn rule_05_no_grant_is_lost_in_minutes_of_rotation_and_faults_on_sqlite() {
    soak(Backend::Sqlite);
}

#[test]
fn rule_05_no_grant_is_lost_in_minutes_of_rotation_and_faults_on_postgres() {
    soak(Backend::Postgres);
}
