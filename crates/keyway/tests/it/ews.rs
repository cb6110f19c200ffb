//! Exchange mailboxes through the program, over real TLS to a stand-in.

mod server;

use crate::on_both;
use crate::site::{Site, text};
use crate::wire::{Answer, Ask};
use keyway_testkit::ExchangeMood;
use serde_json::{Value, json};
use server::{AUTHORITY, Exchange};

const ANN: &str = "ann@corp.test";
const NAME: &str = "CORP\\ann";
const PASSWORD: &str = "correct-horse-4";

/// The program with an application that has an EWS connector, under that `[network]`.
fn program(site: &Site, network: &str, act: impl FnOnce(&Ask<'_>)) {
    let (_, key) = site.app("mail");
    let config = site.data_dir().join("keyway.toml");
    std::fs::write(&config, format!("[network]\n{network}\n")).unwrap();
    let server = site.serve(&["--config", config.to_str().unwrap()]);
    let ask = Ask::new(&server.address, &key);
    let made = ask.json(
        "POST",
        "/v3/connectors",
        &json!({"provider": "ews", "settings": {}}),
    );
    assert_eq!(made.unwrap().status, 201);
    act(&ask);
}

fn trusting() -> String {
    format!("allow_private_addresses = true\nextra_certificates_file = \"{AUTHORITY}\"")
}

fn authenticate(ask: &Ask<'_>, host: &str, port: impl Into<Value>, password: &str) -> Answer {
    let port: Value = port.into();
    let body = json!({"provider": "ews", "scope": ["ews.messages", "ews.calendars"],
        "settings": {"email": ANN, "ews_username": NAME, "ews_password": password,
            "ews_host": host, "ews_port": port}});
    ask.json("POST", "/v3/connect/custom", &body).unwrap()
}

fn a_grant_is_made_over_http_and_changed_and_its_password_is_not_shown(site: &Site) {
    let exchange = Exchange::start();
    exchange.server.open(NAME, PASSWORD);
    program(site, &trusting(), |ask| {
        let port = exchange.port;
        let refused = authenticate(ask, "localhost", port, "wrong");
        assert_eq!(refused.status, 400);
        assert_eq!(refused.error_type(), "grant.invalid_authentication");
        let said = &refused.json()["error"]["provider_error"];
        assert_eq!(said["error"], "login_refused");
        let made = authenticate(ask, "localhost", port.to_string(), PASSWORD);
        let made = made.acknowledged();
        assert_eq!(made.status, 201);
        let grant = &made.json()["data"];
        assert_eq!(
            (&grant["email"], &grant["grant_status"], &grant["scope"]),
            (
                &json!(ANN),
                &json!("valid"),
                &json!(["ews.messages", "ews.calendars"])
            )
        );
        assert_eq!(
            grant["settings"],
            json!({"ews_username": NAME, "ews_host": "localhost", "ews_port": port})
        );
        assert!(!String::from_utf8_lossy(&made.body).contains(PASSWORD));
        exchange.server.open(NAME, "next-horse-5");
        let path = format!("/v3/grants/{}", text(grant, "id"));
        let body = |password: &str| json!({"settings": {"ews_password": password}});
        let patch = |password| ask.json("PATCH", &path, &body(password)).unwrap();
        assert_eq!(patch(PASSWORD).status, 400);
        assert_eq!(patch("next-horse-5").acknowledged().status, 200);
        let proxied = ask.call("GET", &format!("{path}/proxy/x"), "", b"");
        assert_eq!(proxied.unwrap().status, 400);
    });
}

fn what_a_server_does_is_told_over_http(site: &Site) {
    let exchange = Exchange::start();
    exchange.server.open(NAME, PASSWORD);
    program(site, &trusting(), |ask| {
        for (mood, status, word) in [
            (ExchangeMood::WindowsOnly, 400, "only NTLM/Negotiate"),
            (ExchangeMood::Status(503), 504, "later"),
            (ExchangeMood::Silent, 504, "broke off"),
            (ExchangeMood::SilentToUsers, 504, "broke off"),
            (ExchangeMood::Says(200, "<html>".into()), 400, "no Exchange"),
            (
                ExchangeMood::Redirects("https://other.test/".into()),
                400,
                "other.test",
            ),
        ] {
            let shown = format!("{mood:?}");
            exchange.server.behave(mood);
            let answer = authenticate(ask, "localhost", exchange.port, PASSWORD);
            assert_eq!(answer.status, status, "{shown}");
            let message = text(&answer.json()["error"], "message");
            assert!(message.contains(word), "{shown}: {message}");
        }
    });
}

fn a_server_that_does_not_prove_itself_hears_nothing(site: &Site) {
    let exchange = Exchange::start();
    exchange.server.open(NAME, PASSWORD);
    let untrusting = "allow_private_addresses = true";
    program(site, untrusting, |ask| {
        let answer = authenticate(ask, "localhost", exchange.port, PASSWORD);
        assert_eq!(answer.status, 504);
        let message = text(&answer.json()["error"], "message");
        assert!(message.contains("did not prove who it is"), "{message}");
    });
    assert!(exchange.server.take_seen().is_empty());
}

fn other_ports_and_private_hosts_are_not_called_unless_the_operator_says_so(site: &Site) {
    let exchange = Exchange::start();
    exchange.server.open(NAME, PASSWORD);
    let strict = format!("extra_certificates_file = \"{AUTHORITY}\"");
    program(site, &strict, |ask| {
        for port in [exchange.port, 443] {
            let answer = authenticate(ask, "localhost", port, PASSWORD);
            assert_eq!(answer.status, 400, "{port}");
            let message = text(&answer.json()["error"], "message");
            assert!(message.starts_with("settings.ews_host"), "{message}");
            assert!(!message.contains("127.0.0.1"), "{message}");
        }
    });
    assert!(exchange.server.take_seen().is_empty());
}

on_both!(
    a_grant_is_made_over_http_and_changed_and_its_password_is_not_shown
    what_a_server_does_is_told_over_http
    a_server_that_does_not_prove_itself_hears_nothing
    other_ports_and_private_hosts_are_not_called_unless_the_operator_says_so
);
