//! Callers that try to make the proxy call something else.

use super::upstream::Upstream;
use super::world::{CLIENT, World};
use std::io::{Read as _, Write as _};
use std::time::Duration;

fn world() -> (Upstream, World, String) {
    let upstream = Upstream::start(|asked| {
        if asked.header("content-length").is_some() || asked.header("transfer-encoding").is_some() {
            asked.body_bytes();
        }
        asked.answer(super::OK);
        true
    });
    let world = World::with_api(Some(&format!("{}/base", upstream.base)), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    (upstream, world, id)
}

#[test]
fn no_path_leaves_the_base_and_none_that_is_refused_reaches_the_provider() {
    let (upstream, world, id) = world();
    for rest in [
        "../x",
        "a/../../x",
        "%2e%2e/x",
        "%252e%252e/x",
        "a%2fb",
        "a%252fb",
        "a%5cb",
        "..%5cx",
        "/evil.example/x",
        "//evil.example/x",
        "..;/x",
        "%00",
        "a%0d%0aX:%20y",
        "%c0%ae%c0%ae/x",
        "x?access_token=y",
        "x?%61ccess_token=y",
        "%zz",
        "\\\\evil.example\\x",
    ] {
        let answer = world.call("GET", &format!("/v3/grants/{id}/proxy/{rest}"), "", b"");
        assert_eq!(answer.status, 400, "{rest}: {answer:?}");
    }
    assert_eq!(upstream.heads(), Vec::<String>::new());
    for rest in [
        "@evil.example/",
        "http://evil.example/",
        ":80/x",
        "x?host=evil.example",
    ] {
        let path = format!("/v3/grants/{id}/proxy/{rest}");
        assert_eq!(world.call("GET", &path, "", b"").status, 200, "{rest}");
    }
    for head in upstream.heads() {
        assert!(head.starts_with("GET /base/"), "{head}");
        let host = upstream.base.trim_start_matches("http://");
        assert!(
            head.to_lowercase()
                .contains(&format!("\r\nhost: {host}\r\n")),
            "{head}"
        );
    }
}

#[test]
fn no_header_names_another_host_or_another_token() {
    let (upstream, world, id) = world();
    let path = format!("/v3/grants/{id}/proxy/x");
    let other = world.call(
        "GET",
        &path,
        "X-Keyway-Upstream-Host: evil.example\r\n",
        b"",
    );
    assert_eq!(other.status, 400, "{other:?}");
    let absolute = format!(
        "GET http://evil.example{path} HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        world.key
    );
    assert_eq!(world.raw(absolute.as_bytes()).status, 400);
    let two = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {0}\r\nAuthorization: Bearer {0}\r\nConnection: close\r\n\r\n",
        world.key
    );
    assert_eq!(world.raw(two.as_bytes()).status, 401);
    assert_eq!(upstream.heads().len(), 0);
    let forwarded = "X-Forwarded-Host: evil\r\nForwarded: host=evil\r\nX-Real-IP: 1.1.1.1\r\nVia: 1.1 evil\r\nProxy-Authorization: Basic x\r\n";
    assert_eq!(world.call("GET", &path, forwarded, b"").status, 200);
    let head = upstream.heads().pop().unwrap().to_lowercase();
    for gone in [
        "evil",
        "x-real-ip",
        "proxy-authorization",
        &world.key.to_lowercase(),
    ] {
        assert!(!head.contains(gone), "{gone} in {head}");
    }
    assert_eq!(head.matches("\r\nauthorization:").count(), 1, "{head}");
}

/// Everything the provider got after a moment.
fn settled(upstream: &Upstream) -> Vec<String> {
    std::thread::sleep(Duration::from_millis(300));
    upstream.heads()
}

#[test]
fn no_request_hides_in_another() {
    let (upstream, world, id) = world();
    let (path, key) = (format!("/v3/grants/{id}/proxy/x"), &world.key);
    let hidden = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let attempts = [
        // Both framings: the chunks count, and the rest is a request of its own at Keyway.
        format!("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n\r\nabc{hidden}"),
        format!("Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\n0;x=\"\r\n\r\n{hidden}"),
        format!(
            "Content-Length: 0\r\nContent-Length: {}\r\n\r\n{hidden}",
            hidden.len()
        ),
        format!("Content-Length: +0\r\n\r\n{hidden}"),
        format!("Content-Length: 0\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n{hidden}"),
        format!("Content-Length: 0\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n{hidden}"),
        format!(
            "Expect: 100-continue\r\nContent-Length: {}\r\n\r\n{hidden}",
            hidden.len()
        ),
        format!(
            "Connection: Content-Length\r\nContent-Length: {}\r\n\r\n{hidden}",
            hidden.len()
        ),
        format!(
            "Connection: close, Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
            hidden.len()
        ),
    ];
    for attempt in attempts {
        let mut stream = world.connect();
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{attempt}");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
    }
    let heads = settled(&upstream);
    assert!(!heads.is_empty());
    for head in heads {
        assert!(head.starts_with("POST /base/x HTTP/1.1\r\n"), "{head}");
        let lower = head.to_lowercase();
        let framings = lower.matches("\r\ncontent-length:").count()
            + lower.matches("\r\ntransfer-encoding:").count();
        assert_eq!(framings, 1, "{head}");
    }
}

#[test]
fn an_answer_that_is_framed_twice_reaches_nobody_as_two() {
    let upstream = Upstream::start(|asked| {
        asked.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        true
    });
    let world = World::with_api(Some(&upstream.base), "[server]\nthreads = 1\n");
    let id = world.grant("ann@example.com", CLIENT, None);
    for _ in 0..3 {
        let answer = world.call("GET", &format!("/v3/grants/{id}/proxy/x"), "", b"");
        assert_ne!(answer.body, b"evil");
    }
    let chatty = Upstream::start(|asked| {
        asked.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        true
    });
    let world = World::with_api(Some(&chatty.base), "[server]\nthreads = 1\n");
    let id = world.grant("ann@example.com", CLIENT, None);
    for _ in 0..5 {
        let answer = world.call("GET", &format!("/v3/grants/{id}/proxy/x"), "", b"");
        assert_eq!(
            answer.body, b"ok",
            "an answer nobody asked for was given to the next caller"
        );
    }
}
