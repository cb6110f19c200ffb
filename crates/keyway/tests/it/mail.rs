//! Mail accounts at a real mail server.

mod dovecot;

use crate::site::{Site, text};
use crate::wire::{Answer, Ask};
use dovecot::{ALICE, Dovecot, OTHERS, PASSWORD};
use keyway_core::mail_servers::MailProtocol::{self, Imap, Smtp};
use keyway_core::mail_servers::MailServer;
use keyway_outbound::{
    CallErrorKind, MailClient, MailFailure, MailLogin, Mailboxes as _, NetworkPolicy, Roots,
};
use keyway_store::Backend;
use secrecy::SecretString;
use serde_json::{Value, json};

/// The ports of a mail server, and whether TLS is there from the first byte.
const PORTS: [(MailProtocol, u16); 4] = [(Imap, 993), (Imap, 143), (Smtp, 465), (Smtp, 587)];

fn log_in(
    policy: NetworkPolicy,
    roots: Roots,
    (protocol, host, port): (MailProtocol, &str, u16),
    (username, password): (&str, &str),
) -> Result<(), MailFailure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let client = MailClient::new(policy, runtime.handle().clone(), roots).unwrap();
    let login = MailLogin {
        protocol,
        server: MailServer {
            host: host.to_owned(),
            port,
        },
        username: username.to_owned(),
        password: SecretString::from(password.to_owned()),
    };
    runtime.block_on(client.log_in(login))
}

fn kind(opened: Result<(), MailFailure>) -> CallErrorKind {
    match opened {
        Err(MailFailure::Unreachable(error)) => error.kind,
        other => panic!("{other:?}"),
    }
}

fn private() -> NetworkPolicy {
    NetworkPolicy::new(true, [])
}

fn trusting(dovecot: &Dovecot) -> Roots {
    let pem = std::fs::read(dovecot.authority()).unwrap();
    Roots::default().and(&pem).unwrap()
}

#[test]
fn a_real_server_lets_in_by_tls_and_starttls_and_refuses_wrong_passwords() {
    let Some(dovecot) = Dovecot::start() else {
        return;
    };
    for user in [(ALICE, PASSWORD)].into_iter().chain(OTHERS) {
        for (protocol, port) in PORTS {
            let at = (protocol, dovecot.host.as_str(), port);
            let opened = log_in(private(), trusting(&dovecot), at, user);
            assert_eq!(opened, Ok(()), "{protocol:?} {port} {user:?}");
        }
    }
    for (protocol, port) in PORTS {
        let at = (protocol, dovecot.host.as_str(), port);
        let refused = log_in(private(), trusting(&dovecot), at, (ALICE, "wrong"));
        let Err(MailFailure::Refused(words)) = refused else {
            panic!("{protocol:?} {port}: {refused:?}")
        };
        let code = match protocol {
            Imap => "AUTHENTICATIONFAILED",
            Smtp => "535 5.7.8",
        };
        assert_eq!(words.code.as_deref(), Some(code));
    }
}

#[test]
fn a_certificate_nobody_vouches_for_gets_no_password() {
    let Some(dovecot) = Dovecot::start() else {
        return;
    };
    for (protocol, port) in PORTS {
        let at = (protocol, dovecot.host.as_str(), port);
        let opened = log_in(private(), Roots::default(), at, (ALICE, PASSWORD));
        assert_eq!(kind(opened), CallErrorKind::Tls, "{protocol:?} {port}");
    }
}

#[test]
fn hosts_of_private_networks_are_called_only_where_the_operator_allows_it() {
    let Some(dovecot) = Dovecot::start() else {
        return;
    };
    for (protocol, port) in PORTS {
        let at = (protocol, dovecot.host.as_str(), port);
        let opened = log_in(
            NetworkPolicy::default(),
            trusting(&dovecot),
            at,
            (ALICE, PASSWORD),
        );
        assert_eq!(kind(opened), CallErrorKind::AddressRefused);
        let named = NetworkPolicy::new(false, [dovecot.host.clone()]);
        assert_eq!(
            log_in(named, trusting(&dovecot), at, (ALICE, PASSWORD)),
            Ok(())
        );
    }
    // Nobody listens there.
    let at = (Imap, dovecot.host.as_str(), 994);
    let opened = log_in(private(), trusting(&dovecot), at, (ALICE, PASSWORD));
    assert_eq!(kind(opened), CallErrorKind::Connect);
}

/// The program with an application that has an IMAP connector.
fn custom(site: &Site, dovecot: &Dovecot, act: impl Fn(&dyn Fn(Value) -> Answer, &Ask<'_>)) {
    let (_, key) = site.app("mail");
    let config = site.data_dir().join("keyway.toml");
    let authority = dovecot.authority();
    let table = format!(
        "[network]\nallow_private_addresses = true\nextra_certificates_file = {:?}\n",
        authority.to_str().unwrap()
    );
    std::fs::write(&config, table).unwrap();
    let server = site.serve(&["--config", config.to_str().unwrap()]);
    let ask = Ask::new(&server.address, &key);
    let connector = json!({"provider": "imap"});
    let made = ask.json("POST", "/v3/connectors", &connector).unwrap();
    assert_eq!(made.status, 201);
    let authenticate = |settings: Value| {
        let body = json!({"provider": "imap", "settings": settings});
        ask.json("POST", "/v3/connect/custom", &body).unwrap()
    };
    act(&authenticate, &ask);
}

#[test]
fn a_grant_is_made_over_http_and_changed_and_its_password_is_not_shown() {
    let (Some(dovecot), Some(site)) = (Dovecot::start(), Site::on(Backend::Sqlite)) else {
        return;
    };
    custom(&site, &dovecot, |authenticate, ask| {
        let host = dovecot.host.as_str();
        let settings = |password: &str| {
            json!({"imap_username": ALICE, "imap_password": password, "imap_host": host,
                "imap_port": "143", "smtp_host": host, "smtp_port": 587})
        };
        let refused = authenticate(settings("wrong"));
        assert_eq!(refused.status, 400);
        assert_eq!(refused.error_type(), "grant.invalid_authentication");
        let said = &refused.json()["error"]["provider_error"];
        assert_eq!(said["error"], "AUTHENTICATIONFAILED");
        assert_eq!(said.get("status"), None);
        let made = authenticate(settings(PASSWORD)).acknowledged();
        assert_eq!(made.status, 201);
        let grant = &made.json()["data"];
        assert_eq!(
            (&grant["email"], &grant["grant_status"]),
            (&json!(ALICE), &json!("valid"))
        );
        assert_eq!(grant["settings"]["smtp_port"], 587);
        assert!(!String::from_utf8_lossy(&made.body).contains(PASSWORD));
        dovecot.set_password("app-pass-2");
        let path = format!("/v3/grants/{}", text(grant, "id"));
        let body = |password: &str| json!({"settings": {"imap_password": password}});
        let patch = |password| ask.json("PATCH", &path, &body(password)).unwrap();
        assert_eq!(patch(PASSWORD).status, 400);
        assert_eq!(patch("app-pass-2").acknowledged().status, 200);
        let proxied = ask
            .call("GET", &format!("{path}/proxy/x"), "", b"")
            .unwrap();
        assert_eq!(proxied.status, 400);
    });
}

#[test]
fn what_is_not_there_is_named_over_http() {
    let (Some(dovecot), Some(site)) = (Dovecot::start(), Site::on(Backend::Sqlite)) else {
        return;
    };
    custom(&site, &dovecot, |authenticate, _| {
        let settings = |host: &str, port: u16| {
            json!({"imap_username": ALICE, "imap_password": PASSWORD, "imap_host": host,
                "imap_port": port})
        };
        let unknown = authenticate(settings("no.such.invalid", 993));
        assert_eq!(unknown.status, 400);
        let message = text(&unknown.json()["error"], "message");
        assert!(message.starts_with("settings.imap_host"), "{message}");
        let closed = authenticate(settings(&dovecot.host, 994));
        assert_eq!(
            (closed.status, closed.error_type().as_str()),
            (504, "api.provider_error")
        );
        // A web server's port, so to speak: TLS where nobody speaks it.
        let clear = authenticate(settings(&dovecot.host, 587));
        assert_eq!(clear.status, 504);
    });
}
