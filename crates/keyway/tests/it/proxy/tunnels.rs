//! Connections that become something else, and what may not.

use super::upstream::{Asked, Upstream};
use super::world::{CLIENT, World};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const SWITCHED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const REFUSED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";

fn ask(world: &World, id: &str, protocol: &str) -> TcpStream {
    ask_with(world, &world.key, id, protocol)
}

fn ask_with(world: &World, key: &str, id: &str, protocol: &str) -> TcpStream {
    let mut stream = world.connect();
    let head = format!(
        "GET /v3/grants/{id}/proxy/socket HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
         Connection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

fn head(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

/// Switches, and then keeps the connection until the other side ends it.
fn hold(asked: &mut Asked) -> bool {
    asked.answer(SWITCHED);
    let mut rest = Vec::new();
    drop(asked.stream.read_to_end(&mut rest));
    false
}

fn opened(world: &World, id: &str) -> TcpStream {
    let mut stream = ask(world, id, "websocket");
    assert!(head(&mut stream).starts_with("HTTP/1.1 101"));
    stream
}

/// Ends when the server closes; the stream's own timeout fails the test else.
fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]), Ok(0)) || stream.peer_addr().is_err()
}

#[test]
fn a_tunnel_ends_with_its_grant() {
    let upstream = Upstream::start(hold);
    let world = World::with_api(Some(&upstream.base), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    let mut stream = opened(&world, &id);
    let deleted = world.call("DELETE", &format!("/v3/grants/{id}"), "", b"");
    assert_eq!(deleted.status, 200);
    assert!(is_closed(&mut stream));
}

#[test]
fn a_tunnel_ends_with_the_key_that_opened_it() {
    let upstream = Upstream::start(hold);
    let world = World::with_api(Some(&upstream.base), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    let (key, key_id) = world.new_key();
    let mut stream = ask_with(&world, &key, &id, "websocket");
    assert!(head(&mut stream).starts_with("HTTP/1.1 101"));
    world.revoke_key(&key_id);
    assert!(is_closed(&mut stream));
}

#[test]
fn an_api_that_refuses_every_websocket_is_believed_after_one_refresh() {
    let upstream = Upstream::start(|asked| {
        asked.answer(REFUSED);
        true
    });
    let world = World::with_api(Some(&upstream.base), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    let refreshes = || world.sandbox.counters().token_requests_of("refresh_token");
    let before = refreshes();
    for _ in 0..4 {
        let mut stream = ask(&world, &id, "websocket");
        assert!(head(&mut stream).starts_with("HTTP/1.1 401"));
    }
    assert_eq!(refreshes() - before, 1);
}

#[test]
fn nothing_but_websockets_is_tunnelled() {
    let asked_for = Arc::new(AtomicUsize::new(0));
    let noted = Arc::clone(&asked_for);
    let upstream = Upstream::start(move |asked| {
        noted.fetch_add(usize::from(asked.header("upgrade").is_some()), SeqCst);
        asked.answer(super::OK);
        true
    });
    let world = World::with_api(Some(&upstream.base), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    for protocol in ["h2c", "TLS/1.0", "connect-ip", "websocket, h2c"] {
        let mut stream = ask(&world, &id, protocol);
        assert!(head(&mut stream).starts_with("HTTP/1.1 200"), "{protocol}");
    }
    assert_eq!(asked_for.load(SeqCst), 0);
}

#[test]
fn rule_07_trace_does_not_show_the_providers_token() {
    let upstream = Upstream::start(|asked| {
        let head = asked.head.clone();
        let length = head.len();
        asked.answer(
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{head}").as_bytes(),
        );
        true
    });
    let world = World::with_api(Some(&upstream.base), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    let answer = world.call("TRACE", &format!("/v3/grants/{id}/proxy/x"), "", b"");
    assert_eq!(answer.status, 405, "{answer:?}");
    assert!(upstream.heads().is_empty());
}
