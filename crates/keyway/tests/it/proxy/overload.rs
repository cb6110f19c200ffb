//! More than the server has room for, and callers that cost it more than they should.

use super::upstream::Upstream;
use super::world::{CLIENT, World};
use crate::site;
use crate::wire::{free_address, read_answer};
use keyway_sandbox::{Fault, Faults};
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A door that calls to a provider wait at.
#[derive(Default)]
struct Door(Mutex<bool>, Condvar);

impl Door {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn wait(&self) {
        drop(
            self.1
                .wait_while(self.0.lock().unwrap(), |open| !*open)
                .unwrap(),
        );
    }
}

/// A server on one thread with these settings, and a provider that answers once the door is open.
struct Crowded {
    world: World,
    admin: String,
    door: Arc<Door>,
    _upstream: Upstream,
}

impl Crowded {
    fn with(server: &str) -> Self {
        let door = Arc::new(Door::default());
        let waits_at = Arc::clone(&door);
        let upstream = Upstream::start(move |asked| {
            waits_at.wait();
            asked.answer(super::OK);
            true
        });
        let admin = free_address();
        let more = format!("[server]\nthreads = 1\nadmin_listen = \"{admin}\"\n{server}\n");
        Self {
            world: World::with_api(Some(&upstream.base), &more),
            admin,
            door,
            _upstream: upstream,
        }
    }

    fn metric(&self, name: &str) -> u64 {
        metric(&self.admin, name)
    }

    fn until(&self, name: &str, is_so: impl Fn(u64) -> bool) {
        until(&self.admin, name, is_so);
    }

    fn begin(&self, key: &str, path: &str) -> TcpStream {
        let mut stream = self.world.connect();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }
}

/// One of the counters that a server tells operators.
pub(super) fn metric(admin: &str, name: &str) -> u64 {
    let (_, text) = site::get(admin, "/metrics", None);
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    value.trim().parse().unwrap()
}

/// Waits until a counter is what it has to be.
pub(super) fn until(admin: &str, name: &str, is_so: impl Fn(u64) -> bool) {
    for _ in 0..3_000 {
        if is_so(metric(admin, name)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{name} stays {}", metric(admin, name));
}

pub(super) const UNDER_WAY: &str = "keyway_requests_under_way ";

/// Megabytes of memory a process holds.
fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib / 1024
}

#[test]
fn what_is_too_many_at_once_is_503_and_the_server_recovers() {
    let crowded = Crowded::with("max_requests = 10");
    let world = &crowded.world;
    let id = world.grant("ann@example.com", CLIENT, None);
    let call = format!("/v3/grants/{id}/proxy/x");
    let other = world.other_key();
    // Bodies that do not come to their end take the two places that calls of one application cannot have.
    let mut calls: Vec<_> = (0..8).map(|_| crowded.begin(&world.key, &call)).collect();
    crowded.until(UNDER_WAY, |count| count == 8);
    let refused = world.call("GET", &call, "", b"");
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(refused.error_type(), "api.rate_limit_error");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("x-keyway-answer"), Some("keyway"));
    // Whoever is no call of that application still finds room.
    assert_eq!(world.call("GET", "/v3/grants", "", b"").status, 200);
    let (status, _) = world.server.get("/v3/grants", Some(&other));
    assert_eq!(status, 200);
    let unfinished: Vec<_> = (0..2).map(|_| begin_body(world)).collect();
    crowded.until(UNDER_WAY, |count| count == 10);
    let refused = world.call("GET", "/v3/grants", "", b"");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.error_type(), "api.unavailable_error");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.header("x-request-id").is_some());
    let refused = world.call("POST", "/v3/connect/token", "", b"{}");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.json()["error"], "temporarily_unavailable");
    assert_eq!(world.call("GET", &call, "", b"").status, 503);
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(world.server.get(probe, None).0, 200, "{probe}");
    }
    assert_eq!(crowded.metric("keyway_shed_total{what=\"requests\"} "), 3);
    assert_eq!(
        crowded.metric("keyway_shed_total{what=\"application\"} "),
        1
    );
    drop(unfinished);
    crowded.door.open();
    for stream in &mut calls {
        assert_eq!(read_answer(stream).status, 200);
    }
    crowded.until(UNDER_WAY, |count| count == 0);
    assert_eq!(world.call("GET", &call, "", b"").status, 200);
}

fn begin_body(world: &World) -> TcpStream {
    let mut stream = world.connect();
    let head = "POST /v3/connect/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[test]
fn a_provider_that_hangs_leaves_room_for_the_others() {
    let crowded = Crowded::with("max_requests = 20");
    let world = &crowded.world;
    let (other, theirs) = world.grant_elsewhere("bob@example.com");
    let id = world.grant("ann@example.com", CLIENT, None);
    let [call, their_call] = [id, theirs].map(|id| format!("/v3/grants/{id}/proxy/x"));
    let calls: Vec<_> = (0..20)
        .flat_map(|_| {
            [
                crowded.begin(&world.key, &call),
                crowded.begin(&other, &their_call),
            ]
        })
        .collect();
    // Neither application has all it may have; together they have what one provider's calls may.
    crowded.until("keyway_shed_total{what=\"provider\"} ", |count| count == 24);
    crowded.until(UNDER_WAY, |count| count == 16);
    let refused = world.call("GET", &call, "", b"");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.error_type(), "api.unavailable_error");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(world.call("GET", "/v3/grants", "", b"").status, 200);
    // Callers that hang up give their places back.
    drop(calls);
    crowded.until(UNDER_WAY, |count| count == 0);
    crowded.door.open();
    assert_eq!(world.call("GET", &call, "", b"").status, 200);
}

#[test]
fn a_token_endpoint_that_hangs_leaves_room_for_the_others() {
    let crowded = Crowded::with("max_requests = 20");
    let world = &crowded.world;
    let id = world.grant("ann@example.com", CLIENT, None);
    world.execute("UPDATE token_sets SET access_expires_at = 1");
    let hangs = Fault {
        delay_ms: 60_000,
        ..Fault::default()
    };
    world.sandbox.set_faults(Faults {
        token: Some(hangs),
        ..Faults::default()
    });
    let call = format!("/v3/grants/{id}/proxy/x");
    let calls: Vec<_> = (0..20).map(|_| crowded.begin(&world.key, &call)).collect();
    crowded.until("keyway_shed_total{what=\"application\"} ", |count| {
        count == 4
    });
    assert_eq!(crowded.metric(UNDER_WAY), 16);
    assert_eq!(world.call("GET", "/v3/grants", "", b"").status, 200);
    drop(calls);
    crowded.until(UNDER_WAY, |count| count == 0);
}

#[test]
fn bodies_too_many_are_503_and_counted() {
    let crowded = Crowded::with("max_requests = 400");
    let begin = || {
        let mut stream = crowded.world.connect();
        let head = "POST /v3/connect/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 65000\r\n\r\n";
        let begun = [head.as_bytes(), &[b' '; 60_000]].concat();
        stream.write_all(&begun).unwrap();
        stream
    };
    let unfinished: Vec<_> = (0..280).map(|_| begin()).collect();
    // 16 MiB hold 279 bodies of which 60,000 bytes have come.
    crowded.until("keyway_shed_total{what=\"bodies\"} ", |count| count == 1);
    assert_eq!(crowded.world.call("GET", "/v3/grants", "", b"").status, 200);
    drop(unfinished);
}

/// How long the body of an answer is that comes on a connection which stays open.
fn body_bytes(stream: &mut TcpStream) -> u64 {
    let mut reader = std::io::BufReader::new(stream);
    let mut line = String::new();
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).unwrap_or(0)
}

/// A provider whose answers are as long as the path says.
fn of_any_length() -> Upstream {
    Upstream::start(|asked| {
        let path = asked.head.split(' ').nth(1).unwrap_or_default();
        let length = path.rsplit('/').next().unwrap_or_default();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let body = vec![b'x'; length.parse().unwrap()];
        asked.answer(&[head.as_bytes(), &body].concat());
        true
    })
}

#[test]
fn an_answer_that_is_still_being_sent_is_not_cut_short_when_its_connection_has_to_go() {
    let upstream = of_any_length();
    let admin = free_address();
    let more = format!("[server]\nthreads = 1\nmax_connections = 24\nadmin_listen = \"{admin}\"\n");
    let world = World::with_api(Some(&upstream.base), &more);
    let id = world.grant("ann@example.com", CLIENT, None);
    let begin = |path: &str| {
        let mut stream = world.connect();
        let key = &world.key;
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    // Nobody reads yet. Some of these answers fit into what the system keeps, some do not; and of some all is
    // on its way but a rest.
    let lengths = (1..=24).map(|n| n * 48 * 1024);
    let unread: Vec<_> = lengths
        .map(|length| (length, begin(&format!("/v3/grants/{id}/proxy/{length}"))))
        .collect();
    std::thread::sleep(Duration::from_millis(1_500));
    let busy = metric(&admin, UNDER_WAY);
    assert!((1..24).contains(&busy), "{busy}");
    let newcomers: Vec<_> = (busy..24).map(|_| begin("/v3/grants")).collect();
    until(
        &admin,
        "keyway_shed_total{what=\"connections\"} ",
        |count| count >= 24 - busy,
    );
    for (length, mut stream) in unread {
        assert_eq!(body_bytes(&mut stream), length);
    }
    drop(newcomers);
}

#[test]
fn connections_nobody_uses_give_way_to_those_that_come() {
    let crowded = Crowded::with("max_connections = 30");
    let world = &crowded.world;
    let stop = Arc::new(AtomicBool::new(false));
    // Each sends its head a byte at a time, and comes again when it is cut off.
    let attackers: Vec<_> = (0..60)
        .map(|_| {
            let (stop, address) = (Arc::clone(&stop), world.server.address.clone());
            std::thread::spawn(move || slow_heads(&address, &stop))
        })
        .collect();
    crowded.until("keyway_shed_total{what=\"connections\"} ", |count| {
        count > 0
    });
    for _ in 0..5 {
        assert_eq!(world.call("GET", "/v3/grants", "", b"").status, 200);
    }
    stop.store(true, SeqCst);
    for attacker in attackers {
        attacker.join().unwrap();
    }
}

fn slow_heads(address: &str, stop: &AtomicBool) {
    while !stop.load(SeqCst) {
        let Ok(mut stream) = TcpStream::connect(address) else {
            continue;
        };
        for byte in b"GET /v3/grants HTTP/1.1\r\nHost: x\r\nX-Slow: "
            .iter()
            .cycle()
        {
            if stop.load(SeqCst) || stream.write_all(&[*byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn a_request_under_way_does_not_give_way() {
    let crowded = Crowded::with("max_connections = 4");
    let world = &crowded.world;
    let id = world.grant("ann@example.com", CLIENT, None);
    let call = format!("/v3/grants/{id}/proxy/x");
    let mut calls: Vec<_> = (0..3).map(|_| crowded.begin(&world.key, &call)).collect();
    crowded.until(UNDER_WAY, |count| count == 3);
    let idle: Vec<_> = (0..4).map(|_| world.connect()).collect();
    // Waits for one of the idle ones to go.
    assert_eq!(world.call("GET", "/v3/grants", "", b"").status, 200);
    crowded.door.open();
    for stream in &mut calls {
        assert_eq!(read_answer(stream).status, 200);
    }
    drop(idle);
}

#[test]
fn a_caller_that_does_not_read_is_cut_off_and_memory_does_not_grow() {
    // Endless, as far as any caller here sees.
    let upstream = Upstream::start(|asked| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 8000000000\r\n\r\n";
        let piece = vec![b'x'; 64 * 1024];
        let stream = asked.stream.get_mut();
        if stream.write_all(head).is_ok() {
            while stream.write_all(&piece).is_ok() {}
        }
        false
    });
    let admin = free_address();
    let more =
        format!("[server]\nthreads = 1\nwrite_timeout_seconds = 1\nadmin_listen = \"{admin}\"\n");
    let world = World::with_api(Some(&upstream.base), &more);
    let id = world.grant("ann@example.com", CLIENT, None);
    let before_mib = resident_mib(world.server.pid());
    let head = format!(
        "GET /v3/grants/{id}/proxy/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        world.key
    );
    let streams: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = world.connect();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    let cut_off = "keyway_shed_total{what=\"reader\"} 50\n";
    let mut most_mib = 0;
    let all_are = (0..3_000).any(|_| {
        most_mib = most_mib.max(resident_mib(world.server.pid()));
        std::thread::sleep(Duration::from_millis(5));
        site::get(&admin, "/metrics", None).1.contains(cut_off)
    });
    assert!(all_are, "{}", site::get(&admin, "/metrics", None).1);
    assert!(
        most_mib < before_mib + 50,
        "from {before_mib} to {most_mib} MiB"
    );
    drop(streams);
}

#[test]
fn half_closed_and_endless_callers_cost_little() {
    let crowded = Crowded::with("max_requests = 100");
    let world = &crowded.world;
    let before_mib = resident_mib(world.server.pid());
    // Says it has no more to send, in the middle of a head, of a body, and after a request.
    for begun in [
        "GET /v3/gr",
        "POST /v3/connect/token HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut stream = world.connect();
        stream.write_all(begun.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        // The server closes its side, with an answer or without.
        stream.read_to_end(&mut rest).unwrap();
    }
    // Sends for ever what is refused after its first piece.
    for path in [
        "/v3/connect/token",
        "/v3/connectors",
        "/v3/grants/me/proxy/x",
    ] {
        let mut stream = world.connect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
            world.key
        );
        stream.write_all(head.as_bytes()).unwrap();
        let piece = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
        let sent = (0..10_000).take_while(|_| stream.write_all(&piece).is_ok());
        assert!(sent.count() < 10_000, "{path} reads without end");
    }
    crowded.until(UNDER_WAY, |count| count == 0);
    assert!(resident_mib(world.server.pid()) < before_mib + 50);
}
