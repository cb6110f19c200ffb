//! How long Keyway waits: for a provider's answer a minute, and for a caller's body as long as it moves, counted
//! by the minute. Two waits side by side, two minutes in all.

use super::upstream::Upstream;
use super::world::{CLIENT, World};
use crate::wire::read_answer;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

/// Opens a connection, sends the beginning of something or nothing, and tells after how long the server closes it.
fn closed_after(world: &World, begun: &[u8]) -> Duration {
    let mut stream = world.connect();
    stream
        .set_read_timeout(Some(Duration::from_secs(90)))
        .unwrap();
    stream.write_all(begun).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test that waits for real time")]
    let began = Instant::now();
    stream.read_to_end(&mut Vec::new()).unwrap();
    began.elapsed()
}

#[test]
fn connections_that_ask_nothing_are_closed_after_a_minute() {
    let world = World::new();
    std::thread::scope(|scope| {
        let begun: [&[u8]; 4] = [
            b"",
            b"GET /v3/gr",
            b"PRI * HTTP/2.0\r\n",
            // All of HTTP/2's preface, with settings that are empty. It answers no ping, and is given up a little earlier.
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        ];
        let waits = begun.map(|begun| {
            let world = &world;
            (begun, scope.spawn(move || closed_after(world, begun)))
        });
        for (begun, wait) in waits {
            let seconds = wait.join().unwrap().as_secs();
            let begun = String::from_utf8_lossy(begun);
            assert!((45..70).contains(&seconds), "{begun:?}: {seconds} s");
        }
    });
}

#[test]
fn a_provider_that_never_answers_is_504_and_a_caller_that_stops_sending_408() {
    let upstream = Upstream::start(|asked| {
        // Reads whatever comes, and says nothing.
        let mut rest = Vec::new();
        drop(asked.stream.read_to_end(&mut rest));
        false
    });
    let world = World::with_api(Some(&upstream.base), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    let ask = |head: &str| {
        let mut stream = world.connect();
        stream
            .set_read_timeout(Some(Duration::from_secs(90)))
            .unwrap();
        let head = head.replace("{id}", &id).replace("{key}", &world.key);
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let mut silent = ask(
        "GET /v3/grants/{id}/proxy/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n",
    );
    let mut stalled = ask(
        "POST /v3/grants/{id}/proxy/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\
         Content-Length: 100\r\n\r\nonly the beginning",
    );
    let answer = read_answer(&mut silent);
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (504, "api.provider_error")
    );
    let message = answer.json()["error"]["message"].to_string();
    assert!(message.contains("Provider request timed out."), "{message}");
    let answer = read_answer(&mut stalled);
    assert_eq!(answer.status, 408, "{answer:?}");
    assert_eq!(answer.header("x-keyway-answer"), Some("keyway"));
}
