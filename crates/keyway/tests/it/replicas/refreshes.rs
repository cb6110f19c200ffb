//! One refresh for each grant, over all servers.

use super::until;
use crate::proxy::world::{CLIENT, World};
use crate::site::{Server, signal};
use crate::wire::Ask;
use keyway_store::Backend;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How many; `scripts/bench replicas` does the same with 10,000.
const GRANTS: usize = 120;

fn refreshes(world: &World) -> u64 {
    world.sandbox.counters().token_requests_of("refresh_token")
}

/// Grants whose access tokens have ended, and how often was refreshed to make them.
fn expired(world: &World) -> (Vec<String>, u64) {
    let ids = (0..GRANTS).map(|n| world.grant(&format!("user-{n}@example.com"), CLIENT, None));
    let ids: Vec<String> = ids.collect();
    world.execute("UPDATE token_sets SET access_expires_at = 1");
    let before = refreshes(world);
    (ids, before)
}

/// How long a call is waited for: a grant whose refresh a killed server had in flight is leased for a minute more.
const IMPATIENCE: Duration = Duration::from_secs(8);

/// What became of a call.
#[derive(Debug)]
enum Outcome {
    Status(u16),
    /// Nothing yet: the grant is leased by a server that was killed.
    Waits,
    ServerGone,
}

fn outcome(server: &Server, key: &str, path: &str) -> Outcome {
    let ask = Ask {
        patience: IMPATIENCE,
        ..Ask::new(&server.address, key)
    };
    match ask.call("GET", path, "", b"") {
        Ok(answer) => Outcome::Status(answer.status),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Outcome::Waits
        }
        Err(_) => Outcome::ServerGone,
    }
}

/// Whether a server may be killed meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deaths {
    None,
    One,
}

/// Calls for every grant through two servers at about the same time; how many calls were answered.
fn call_all(
    world: &World,
    servers: &[&Server],
    ids: &[String],
    deaths: Deaths,
    done: &AtomicUsize,
) {
    let callers = 2;
    std::thread::scope(|scope| {
        for caller in 0..servers.len() * callers {
            let server = servers[caller % servers.len()];
            scope.spawn(move || {
                let start = caller * ids.len() / (servers.len() * callers);
                let share = 2 * ids.len() / (servers.len() * callers);
                for id in ids.iter().cycle().skip(start).take(share + 1) {
                    let path = format!("/v3/grants/{id}/proxy/echo");
                    match (outcome(server, &world.key, &path), deaths) {
                        (Outcome::Status(status), _) => assert_eq!(status, 200),
                        (Outcome::Waits, Deaths::One) => {}
                        (Outcome::ServerGone, Deaths::One) => return,
                        (unanswered, Deaths::None) => panic!("{unanswered:?}"),
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
}

#[test]
fn rule_05_four_servers_refresh_each_grant_once() {
    let Some(world) = World::rotating(Backend::Postgres) else {
        return;
    };
    let (ids, before) = expired(&world);
    let more: Vec<Server> = (0..3).map(|_| world.replica()).collect();
    let servers: Vec<&Server> = std::iter::once(&world.server).chain(&more).collect();
    call_all(&world, &servers, &ids, Deaths::None, &AtomicUsize::new(0));
    assert_eq!(
        refreshes(&world) - before,
        u64::try_from(ids.len()).unwrap()
    );
}

#[test]
fn rule_05_a_killed_server_costs_at_most_the_refreshes_it_had_in_flight() {
    let Some(world) = World::plain(Backend::Postgres) else {
        return;
    };
    let (ids, before) = expired(&world);
    let victim = world.replica();
    let more = world.replica();
    let done = AtomicUsize::new(0);
    let servers = [&world.server, &victim, &more];
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| call_all(&world, &servers, &ids, Deaths::One, &done));
        until("a third of the calls", || {
            done.load(Ordering::Relaxed) > ids.len() * 2 / 3
        });
        signal("KILL", victim.pid());
        calling.join().unwrap();
    });
    let made = usize::try_from(refreshes(&world) - before).unwrap();
    // Two callers were at the killed server: each had one refresh under way at most. It was made in vain and is
    // made again, or its lease has not ended yet.
    assert!(
        (ids.len() - 2..=ids.len() + 2).contains(&made),
        "{made} for {}",
        ids.len()
    );
}
