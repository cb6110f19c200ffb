//! Calls on behalf of grants, from outside: what arrives at the provider, what comes back, and what does
//! neither.

mod hostile;
mod http2;
mod kills;
mod overload;
mod patience;
mod soak;
mod tunnels;
mod upstream;
pub(crate) mod world;

use keyway_sandbox::{Fault, Faults};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use upstream::Upstream;
use world::{CLIENT, OTHER_CLIENT, World};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn api_fault(fault: Fault) -> Faults {
    Faults {
        api: Some(fault),
        ..Faults::default()
    }
}

#[test]
fn method_path_query_headers_and_body_arrive_untouched() {
    let world = World::new();
    let id = world.grant("ann@example.com", CLIENT, None);
    let path = format!("/v3/grants/{id}/proxy/echo/a%20b/c?q=1%2F2&q=&x=%C3%BC");
    let headers = "X-Own: 1\r\nAccept: text/x\r\nCookie: a=b\r\nX-Forwarded-For: 1.2.3.4\r\nX-Secret: 1\r\nX-Keyway-Test: 1\r\n";
    let headers = format!("{headers}Connection: X-Secret\r\n");
    let answer = world.call("PATCH", &path, &headers, b"{\"a\": 1}");
    assert_eq!(answer.status, 200, "{answer:?}");
    let echo = answer.json();
    assert_eq!(echo["method"], "PATCH");
    assert_eq!(echo["path"], "/api/echo/a%20b/c");
    assert_eq!(echo["query"], "q=1%2F2&q=&x=%C3%BC");
    assert_eq!(echo["body"], "{\"a\": 1}");
    let got = &echo["headers"];
    assert_eq!(got["x-own"], json!(["1"]));
    assert_eq!(got["accept"], json!(["text/x"]));
    assert_eq!(got["authorization"], json!(["dev-app ann@example.com"]));
    for gone in [
        "cookie",
        "x-forwarded-for",
        "x-secret",
        "x-keyway-test",
        "connection",
    ] {
        assert!(got.get(gone).is_none(), "{gone} in {got}");
    }
    assert_eq!(answer.header("x-keyway-answer"), Some("provider"));
    assert!(answer.header("x-keyway-upstream-ms").is_some());
    assert!(answer.header("x-request-id").is_some());
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("content-security-policy"), Some("sandbox"));
}

#[test]
fn every_method_and_every_locator_works_and_me_is_the_tokens_grant() {
    let world = World::new();
    let id = world.grant("ann@example.com", CLIENT, None);
    for method in [
        "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND",
    ] {
        let answer = world.call(method, &format!("/v3/grants/{id}/proxy/echo"), "", b"");
        assert_eq!(answer.json()["method"], method);
    }
    for locator in [
        "ann@example.com",
        "email:ANN%40example.com",
        &format!("grant:{id}"),
    ] {
        let path = format!("/v3/grants/{locator}/proxy/echo");
        assert_eq!(world.call("GET", &path, "", b"").status, 200, "{locator}");
    }
    // 'me' means nothing to an API key.
    let mine = world.call("GET", "/v3/grants/me/proxy/echo", "", b"");
    assert_eq!(mine.status, 400);
}

#[test]
fn rule_01_each_grant_is_called_with_the_token_of_its_own_credential() {
    let world = World::new();
    let second = world.credential();
    let ann = world.grant("ann@example.com", CLIENT, None);
    let bob = world.grant("bob@example.com", OTHER_CLIENT, Some(&second));
    for _ in 0..3 {
        for (id, client, user) in [
            (&ann, CLIENT, "ann@example.com"),
            (&bob, OTHER_CLIENT, "bob@example.com"),
        ] {
            let path = format!("/v3/grants/{id}/proxy/echo");
            let echo = world.call("GET", &path, "", b"").json();
            assert_eq!(
                (&echo["client_id"], &echo["user"]),
                (&json!(client), &json!(user))
            );
        }
    }
}

#[test]
fn a_refused_token_is_replaced_once_and_the_call_made_again_with_its_body() {
    let world = World::new();
    let id = world.grant("ann@example.com", CLIENT, None);
    let path = format!("/v3/grants/{id}/proxy/echo");
    assert_eq!(world.call("GET", &path, "", b"").status, 200);
    let before = world.sandbox.token_requests().len();
    world.sandbox.set_faults(api_fault(Fault {
        status: Some(401),
        next_n: Some(1),
        ..Fault::default()
    }));
    let answer = world.call("POST", &path, "", b"once more");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["body"], "once more");
    assert_eq!(world.sandbox.token_requests().len(), before + 1);
}

#[test]
fn a_refused_call_too_large_to_keep_is_not_made_again_and_the_next_has_a_new_token() {
    let upstream = Upstream::start(|asked| {
        let bytes = asked.body_bytes();
        match bytes > 100_000 {
            true => asked.answer(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"),
            false => asked.answer(OK),
        }
        true
    });
    let world = World::with_api(Some(&upstream.base), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    let path = format!("/v3/grants/{id}/proxy/x");
    assert_eq!(world.call("POST", &path, "", b"small").status, 200);
    let answer = world.call("POST", &path, "", &[b'x'; 200_000]);
    assert_eq!(
        (answer.status, answer.header("x-keyway-answer")),
        (401, Some("provider"))
    );
    assert_eq!(world.call("POST", &path, "", b"small").status, 200);
    let heads = upstream.heads();
    let token = |head: &String| {
        let line = head
            .lines()
            .find(|line| line.to_lowercase().starts_with("authorization"));
        line.unwrap().to_owned()
    };
    assert_eq!(heads.len(), 3);
    assert_eq!(token(&heads[0]), token(&heads[1]));
    assert_ne!(token(&heads[1]), token(&heads[2]));
}

#[test]
fn rule_06_a_credential_that_fails_is_told_apart_from_the_grant() {
    let world = World::new();
    let id = world.grant("ann@example.com", CLIENT, None);
    world.sandbox.set_faults(Faults {
        api: Some(Fault {
            status: Some(401),
            ..Fault::default()
        }),
        token: Some(Fault {
            error: Some(keyway_sandbox::ErrorAnswer {
                error: "invalid_client".to_owned(),
                error_description: None,
                error_subtype: None,
            }),
            ..Fault::default()
        }),
        ..Faults::default()
    });
    let answer = world.call("GET", &format!("/v3/grants/{id}/proxy/echo"), "", b"");
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (502, "credential.failing")
    );
    assert_eq!(answer.header("x-keyway-answer"), Some("keyway"));
    assert_eq!(
        answer.json()["error"]["provider_error"]["error"],
        "invalid_client"
    );
    world.sandbox.set_faults(Faults::default());
    assert_eq!(
        world
            .call("GET", &format!("/v3/grants/{id}"), "", b"")
            .json()["data"]["grant_status"],
        "valid"
    );
}

#[test]
fn a_blocked_grant_is_423() {
    let world = World::new();
    let id = world.grant("ann@example.com", CLIENT, None);
    world.execute("UPDATE grants SET blocked = 1");
    let answer = world.call("GET", &format!("/v3/grants/{id}/proxy/echo"), "", b"");
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (423, "api.resource_blocked")
    );
}

#[test]
fn an_access_token_calls_its_own_grant_as_me_and_no_other() {
    let world = World::new();
    let (token, own) = world.sign_in("ann@example.com");
    let other = world.grant("bob@example.com", CLIENT, None);
    let with = |grant: &str| {
        let head = format!(
            "GET /v3/grants/{grant}/proxy/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        world.raw(head.as_bytes())
    };
    for _ in 0..2 {
        assert_eq!(with("me").json()["user"], "ann@example.com");
        assert_eq!(with(&own).json()["user"], "ann@example.com");
        assert_eq!(with(&other).error_type(), "grant.not_found");
    }
}

#[test]
fn an_api_that_refuses_every_token_is_believed_after_one_refresh() {
    let world = World::new();
    let id = world.grant("ann@example.com", CLIENT, None);
    world.sandbox.set_faults(api_fault(Fault {
        status: Some(401),
        ..Fault::default()
    }));
    let before = world.sandbox.token_requests().len();
    for _ in 0..5 {
        let answer = world.call("GET", &format!("/v3/grants/{id}/proxy/echo"), "", b"");
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("x-keyway-answer"), Some("provider"));
    }
    assert_eq!(world.sandbox.token_requests().len(), before + 1);
}

#[test]
fn a_429_passes_with_its_retry_after_and_a_missing_scope_is_explained() {
    let world = World::new();
    let id = world.grant("ann@example.com", CLIENT, None);
    world.sandbox.set_faults(api_fault(Fault {
        status: Some(429),
        retry_after_s: Some(17),
        next_n: Some(1),
        ..Fault::default()
    }));
    let path = format!("/v3/grants/{id}/proxy/messages");
    let answer = world.call("GET", &path, "", b"");
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("17"));
    let letter = json!({"to": ["b@example.com"], "subject": "s", "body": "b"});
    let answer = world.api("POST", &path, &letter);
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (403, "insufficient_scopes")
    );
    assert!(String::from_utf8_lossy(&answer.body).contains("mail.send"));
    assert_eq!(answer.header("x-keyway-answer"), Some("keyway"));
}

#[test]
fn a_grant_that_cannot_be_used_is_refused_in_keyway_s_words() {
    let world = World::new();
    let id = world.grant("ann@example.com", CLIENT, None);
    let path = format!("/v3/grants/{id}/proxy/echo");
    let refused = |answer: &crate::wire::Answer| (answer.status, answer.error_type());
    let nobody = world.call(
        "GET",
        "/v3/grants/00000000-0000-0000-0000-000000000001/proxy/echo",
        "",
        b"",
    );
    assert_eq!(refused(&nobody), (404, "grant.not_found".to_owned()));
    let head = |key: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
        )
    };
    // Rule 8: another's grant does not exist, remembered or not.
    assert_eq!(world.call("GET", &path, "", b"").status, 200);
    let foreign = world.raw(head(&world.other_key()).as_bytes());
    assert_eq!(refused(&foreign), (404, "grant.not_found".to_owned()));
    let wrong = world.raw(head("kwk_wrong").as_bytes());
    assert_eq!(
        refused(&wrong),
        (401, "token.unauthorized_access".to_owned())
    );
    let deleted = world.grant("del@example.com", CLIENT, None);
    let gone = format!("/v3/grants/{deleted}");
    assert_eq!(
        world
            .call("GET", &format!("{gone}/proxy/echo"), "", b"")
            .status,
        200
    );
    assert_eq!(world.call("DELETE", &gone, "", b"").status, 200);
    let answer = world.call("GET", &format!("{gone}/proxy/echo"), "", b"");
    assert_eq!(refused(&answer), (404, "grant.not_found".to_owned()));
}

#[test]
fn a_user_who_withdrew_is_told_apart_from_a_credential_that_fails() {
    let world = World::new();
    let id = world.grant("ann@example.com", CLIENT, None);
    let path = format!("/v3/grants/{id}/proxy/echo");
    world.sandbox.revoke_all("ann@example.com");
    let answer = world.call("GET", &path, "", b"");
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (401, "token.unauthorized_access")
    );
    assert_eq!(answer.header("x-keyway-answer"), Some("keyway"));
    assert!(
        String::from_utf8_lossy(&answer.body).contains("sign in again"),
        "{answer:?}"
    );
}

#[test]
fn cookies_and_other_origins_gain_nothing_from_an_answer() {
    let upstream = Upstream::start(|asked| {
        asked.answer(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\
            Access-Control-Allow-Origin: *\r\nClear-Site-Data: \"*\"\r\nAlt-Svc: h3=\":443\"\r\n\
            Keep-Alive: timeout=5\r\nX-Kept: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\nok",
        );
        true
    });
    let world = World::with_api(Some(&upstream.base), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    let answer = world.call("GET", &format!("/v3/grants/{id}/proxy/x"), "", b"");
    assert_eq!(answer.body, b"ok");
    assert_eq!(answer.header("x-kept"), Some("1"));
    for gone in [
        "set-cookie",
        "access-control-allow-origin",
        "clear-site-data",
        "alt-svc",
        "keep-alive",
        "x-hop",
    ] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
}

/// Resident memory of a process in KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

const LARGE: usize = 50 * 1024 * 1024;

#[test]
fn large_bodies_stream_both_ways_without_being_held() {
    let seen = Arc::new(AtomicUsize::new(0));
    let uploaded = Arc::clone(&seen);
    let upstream = Upstream::start(move |asked| {
        if asked.head.starts_with("PUT") {
            uploaded.store(asked.body_bytes(), SeqCst);
            asked.answer(OK);
            return true;
        }
        asked.answer(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes());
        let piece = vec![b'x'; 1024 * 1024];
        (0..50).for_each(|_| asked.answer(&piece));
        true
    });
    let world = World::with_api(Some(&upstream.base), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    let path = format!("/v3/grants/{id}/proxy/file");
    assert_eq!(world.call("PUT", &path, "", b"warm").status, 200);
    let before_kib = resident_kib(world.server.pid());
    let answer = world.call("PUT", &path, "", &vec![b'y'; LARGE]);
    assert_eq!((answer.status, seen.load(SeqCst)), (200, LARGE));
    assert_eq!(world.call("GET", &path, "", b"").body.len(), LARGE);
    let grown_kib = resident_kib(world.server.pid()).saturating_sub(before_kib);
    assert!(grown_kib < 16 * 1024, "memory grew by {grown_kib} KiB");
}

#[test]
fn an_event_stream_arrives_event_by_event() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::start(move |asked| {
        asked.answer(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n");
        // The second event is sent once the first has been seen.
        let _seen = wait.lock().unwrap().recv_timeout(Duration::from_secs(10));
        asked.answer(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n");
        true
    });
    let world = World::with_api(Some(&upstream.base), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    let mut stream = world.connect();
    let head = format!(
        "GET /v3/grants/{id}/proxy/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        world.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    let mut until = |text: &str| {
        while !seen.contains(text) {
            let count = stream.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "{seen}");
            seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
    };
    until("data: 1");
    go.send(()).unwrap();
    until("data: 2");
}

#[test]
fn a_websocket_passes_both_ways() {
    let upstream = Upstream::start(|asked| {
        assert_eq!(asked.header("upgrade"), Some("websocket"), "{}", asked.head);
        asked.answer(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n");
        let mut frame = [0; 5];
        asked.stream.read_exact(&mut frame).unwrap();
        asked.answer(&frame);
        false
    });
    let world = World::with_api(Some(&upstream.base), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    let mut stream = world.connect();
    let head = format!(
        "GET /v3/grants/{id}/proxy/ws HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
        world.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    stream.write_all(b"hello").unwrap();
    let mut echoed = [0; 5];
    stream.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"hello");
    assert!(
        upstream.heads()[0]
            .to_lowercase()
            .contains("authorization: bearer ")
    );
    // The other side has closed; so does ours.
    assert_eq!(stream.read(&mut echoed).unwrap(), 0);
}

#[test]
fn a_caller_that_hangs_up_ends_the_call() {
    let (told, ended) = std::sync::mpsc::channel();
    let told = Mutex::new(told);
    let upstream = Upstream::start(move |asked| {
        // No answer; a read returns once the other side is gone.
        let mut byte = [0];
        drop(asked.stream.read(&mut byte));
        told.lock().unwrap().send(()).unwrap();
        false
    });
    let world = World::with_api(Some(&upstream.base), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    let mut stream = world.connect();
    let head = format!(
        "GET /v3/grants/{id}/proxy/slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        world.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    while upstream.heads().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(stream);
    ended.recv_timeout(Duration::from_secs(5)).unwrap();
}

#[test]
fn a_provider_that_is_down_or_breaks_off_is_504_and_not_keyway_s_fault() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let world = World::with_api(Some(&nobody), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    let answer = world.call("GET", &format!("/v3/grants/{id}/proxy/x"), "", b"");
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (504, "api.provider_error")
    );
    assert_eq!(answer.header("x-keyway-answer"), Some("keyway"));
    let upstream = Upstream::start(|_| false);
    let world = World::with_api(Some(&upstream.base), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    let answer = world.call("GET", &format!("/v3/grants/{id}/proxy/x"), "", b"");
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (504, "api.provider_error")
    );
}

#[test]
fn connections_to_the_provider_are_kept_and_a_closed_one_costs_no_answer() {
    let connections = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let noted = Arc::clone(&connections);
    let upstream = Upstream::start(move |asked| {
        let peer = asked.stream.get_ref().peer_addr().unwrap();
        noted.lock().unwrap().insert(peer.to_string());
        asked.answer(OK);
        // The provider closes after some requests, without saying so.
        !asked.head.contains("/last")
    });
    let world = World::with_api(Some(&upstream.base), "[server]\nthreads = 1\n");
    let id = world.grant("ann@example.com", CLIENT, None);
    let call = |name: &str| {
        world
            .call("GET", &format!("/v3/grants/{id}/proxy/{name}"), "", b"")
            .status
    };
    for _ in 0..5 {
        assert_eq!(call("x"), 200);
    }
    assert_eq!(connections.lock().unwrap().len(), 1);
    assert_eq!(call("last"), 200);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(call("x"), 200);
    assert_eq!(connections.lock().unwrap().len(), 2);
}

#[test]
fn a_provider_token_needs_the_operator_and_the_application_to_agree() {
    let world = World::with_api(None, "[tokens]\nallow_provider_tokens = true\n");
    let id = world.grant("ann@example.com", CLIENT, None);
    let path = format!("/v3/grants/{id}/token");
    let denied = world.call("GET", &path, "", b"");
    assert_eq!(
        (denied.status, denied.error_type().as_str()),
        (403, "grant.access_denied")
    );
    let settings = json!({"additional_settings": {"allow_provider_tokens": true}});
    assert_eq!(
        world.api("PATCH", "/v3/applications", &settings).status,
        200
    );
    let answer = world.call("GET", &path, "", b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.json()["data"]["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(world.sandbox.is_alive(&token));
    world.execute("UPDATE credentials SET owner = 'operator'");
    let lent = world.call("GET", &path, "", b"");
    assert_eq!(
        (lent.status, lent.error_type().as_str()),
        (403, "grant.access_denied")
    );
    let silent = World::new();
    let id = silent.grant("ann@example.com", CLIENT, None);
    assert_eq!(
        silent.api("PATCH", "/v3/applications", &settings).status,
        200
    );
    assert_eq!(
        silent
            .call("GET", &format!("/v3/grants/{id}/token"), "", b"")
            .status,
        403
    );
}
