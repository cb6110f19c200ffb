//! A server as its operator sees it: starting, stopping, probes, metrics, limits.

use crate::on_both;
use crate::site::{Site, get, get_as, program, stderr, text};
use crate::wire::free_address;
use keyway_store::Backend;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

on_both! {
    a_revoked_key_is_refused_by_a_running_server_within_100_ms
    sigterm_ends_it_with_status_0_and_it_starts_again
}

fn a_revoked_key_is_refused_by_a_running_server_within_100_ms(site: &Site) {
    let (app, _) = site.app("A");
    let server = site.serve(&[]);
    let made = site.json(&["key", "create", "--app", &app]);
    let (id, key) = (text(&made, "key_id"), text(&made, "api_key"));
    assert_eq!(server.get("/v3/grants", Some(&key)).0, 200);
    assert!(
        site.run(&["key", "revoke", "--app", &app, &id])
            .status
            .success()
    );
    // The command has committed before it ended.
    #[expect(clippy::disallowed_methods, reason = "a test that waits for real time")]
    let revoked_at = Instant::now();
    loop {
        let (status, _) = server.get("/v3/grants", Some(&key));
        let waited = revoked_at.elapsed();
        if status == 401 {
            assert!(waited < Duration::from_millis(100), "{waited:?}");
            return;
        }
        assert!(waited < Duration::from_secs(5), "never refused");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn sigterm_ends_it_with_status_0_and_it_starts_again(site: &Site) {
    let server = site.serve(&[]);
    assert_eq!(server.get("/healthz", None).0, 200);
    assert_eq!(server.get("/readyz", None).0, 200);
    let address = server.address.clone();
    let (status, log) = server.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    let mut command = site.command(&["serve", "--listen", &address]);
    let again = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut again = again.unwrap();
    let mut line = String::new();
    BufReader::new(again.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, format!("keyway listening on http://{address}\n"));
    crate::site::signal("TERM", again.id());
    assert_eq!(again.wait().unwrap().code(), Some(0));
}

#[test]
fn a_request_under_way_is_answered_before_the_server_ends() {
    let site = Site::on(Backend::Sqlite).unwrap();
    let server = site.serve(&[]);
    let silent = TcpStream::connect(&server.address).unwrap();
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let head = "POST /v3/connect/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    crate::site::signal("TERM", server.pid());
    std::thread::sleep(Duration::from_millis(200));
    assert!(
        TcpStream::connect(&server.address).is_err(),
        "it accepts no more"
    );
    stream.write_all(b"{}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    drop(silent);
}

#[test]
fn metrics_are_on_the_operator_s_listener_and_not_on_the_public_one() {
    let site = Site::on(Backend::Sqlite).unwrap();
    let admin = free_address();
    let server = site.serve(&["--admin-listen", &admin]);
    assert_eq!(server.get("/metrics", None).0, 404);
    let (status, body) = get(&admin, "/metrics", None);
    assert_eq!(status, 200);
    assert!(
        body.contains("keyway_http_requests_total{status=\"4xx\"} 1\n"),
        "{body}"
    );
    assert_eq!(get(&admin, "/readyz", None).0, 200);
}

#[test]
fn a_port_in_use_is_refused_with_words() {
    let site = Site::on(Backend::Sqlite).unwrap();
    let server = site.serve(&[]);
    let other = Site::on(Backend::Sqlite).unwrap();
    let refused = other.run(&["serve", "--listen", &server.address]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("cannot listen on"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn an_application_over_its_limit_is_told_to_wait_and_another_is_not() {
    let site = Site::on(Backend::Sqlite).unwrap();
    let file = site.data_dir().join("keyway.toml");
    std::fs::write(&file, "[limits]\nrequests_per_second = 2\n").unwrap();
    let ((_, busy), (_, calm)) = (site.app("Busy"), site.app("Calm"));
    let (_, loud) = site.app("Loud");
    let server = site.serve(&["--config", file.to_str().unwrap()]);
    let answers: Vec<_> = (0..20)
        .map(|_| server.get("/v3/grants", Some(&busy)))
        .collect();
    let refused = answers.iter().find(|(status, _)| *status == 429);
    let (_, body) = refused.expect("twenty requests at once are more than two a second");
    assert!(body.contains("api.rate_limit_error"), "{body}");
    assert_eq!(server.get("/v3/grants", Some(&calm)).0, 200);
    // Whatever is accepted as a bearer is counted, however its scheme is written.
    let proof = format!("BEARER {loud}");
    let statuses: Vec<_> = (0..20)
        .map(|_| get_as(&server.address, "/v3/grants", Some(&proof)).0)
        .collect();
    assert!(
        statuses.contains(&200) && statuses.contains(&429),
        "{statuses:?}"
    );
}

#[test]
fn a_refusal_that_does_not_wait_for_the_body_says_that_the_connection_ends() {
    let site = Site::on(Backend::Sqlite).unwrap();
    let server = site.serve(&[]);
    for path in ["/v3/connectors", "/v3/grants/me/proxy/x"] {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: keyway\r\nContent-Length: 1000\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[test]
fn rule_07_a_server_s_log_holds_no_api_key() {
    let site = Site::on(Backend::Sqlite).unwrap();
    let mut command = site.command(&["app", "create", "--name", "A"]);
    command.env("KEYWAY_LOG", "trace");
    let made = command.output().unwrap();
    let shown = String::from_utf8(made.stdout.clone()).unwrap();
    let key = shown
        .lines()
        .find_map(|line| line.strip_prefix("api_key"))
        .unwrap()
        .trim();
    assert!(!stderr(&made).contains(key));
    let file = site.data_dir().join("log.toml");
    std::fs::write(&file, "[log]\nlevel = 'trace'\nformat = 'json'\n").unwrap();
    let server = site.serve(&["--config", file.to_str().unwrap()]);
    assert_eq!(server.get("/v3/grants?secret=hunter2", Some(key)).0, 200);
    let (_, log) = server.terminate();
    assert!(!log.contains(key) && !log.contains("hunter2"), "{log}");
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
}

#[test]
fn the_sandbox_runs_alone_and_says_what_to_paste() {
    let mut command = program(&["sandbox", "--listen", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first
        .strip_prefix("keyway sandbox listening on http://")
        .unwrap()
        .to_owned();
    let (status, body) = get(&address, "/.well-known/openid-configuration", None);
    assert_eq!(status, 200);
    assert!(
        body.contains(&format!("\"http://{address}/token\"")),
        "{body}"
    );
    crate::site::signal("TERM", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert!(
        rest.iter().any(|line| line == "[providers.google]"),
        "{rest:?}"
    );
}
