//! Mail servers that are hard to deal with.

use crate::server::Server;
use crate::tls::{AUTHORITY, server_config};
use keyway_core::mail_servers::MailProtocol::{self, Imap, Smtp};
use keyway_core::mail_servers::MailServer;
use keyway_outbound::{
    CallErrorKind, MailClient, MailFailure, MailLogin, Mailboxes as _, NetworkPolicy, NoWay, Roots,
};
use rustls::{ServerConnection, StreamOwned};
use secrecy::SecretString;
use std::io::{BufRead as _, BufReader, Write as _};
use tokio::runtime::Handle;

/// What a server says first, and what it answers to the lines that begin so; `{tag}` is the line's.
type Script = &'static [(&'static str, &'static str)];

fn server(greeting: &'static str, script: Script) -> Server {
    let config = server_config(b"");
    Server::raw(move |stream| {
        let session = ServerConnection::new(config.clone()).unwrap();
        let mut stream = BufReader::new(StreamOwned::new(session, stream));
        let _ = stream.get_mut().write_all(greeting.as_bytes());
        let mut line = String::new();
        while stream.read_line(&mut line).is_ok_and(|read| read > 0) {
            let found = script.iter().find(|(word, _)| line.contains(word));
            let Some((_, answer)) = found else { return };
            let tag = line.split(' ').next().unwrap_or_default();
            let answer = answer.replace("{tag}", tag);
            if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
            line.clear();
        }
    })
}

async fn log_in_at(
    policy: NetworkPolicy,
    protocol: MailProtocol,
    host: &str,
    port: u16,
) -> Result<(), MailFailure> {
    let roots = Roots::default().and(AUTHORITY).unwrap();
    let client = MailClient::new(policy, Handle::current(), roots).unwrap();
    let login = MailLogin {
        protocol,
        server: MailServer {
            host: host.to_owned(),
            port,
        },
        username: "ann".to_owned(),
        password: SecretString::from("p\"ss".to_owned()),
    };
    client.log_in(login).await
}

async fn log_in(protocol: MailProtocol, server: &Server) -> Result<(), MailFailure> {
    let policy = NetworkPolicy::new(true, []);
    log_in_at(policy, protocol, "localhost", server.address.port()).await
}

fn kind(opened: Result<(), MailFailure>) -> CallErrorKind {
    match opened {
        Err(MailFailure::Unreachable(error)) => error.kind,
        other => panic!("{other:?}"),
    }
}

const HELLO: &str = "* OK [CAPABILITY IMAP4rev1] ready\r\n";
const CAPABILITY: (&str, &str) = (
    "CAPABILITY",
    "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{tag} OK done\r\n",
);
const LOGOUT: (&str, &str) = ("LOGOUT", "* BYE\r\n{tag} OK\r\n");

#[tokio::test]
async fn an_imap_server_that_talks_much_lets_in_all_the_same() {
    const CHATTY: Script = &[
        (
            "CAPABILITY",
            "* OK [ALERT] maintenance\r\n* 3 EXISTS\r\n* XSOMETHING (7)\r\n* CAPABILITY IMAP4rev1\r\n{tag} OK\r\n",
        ),
        (
            "LOGIN \"ann\" \"p\\\"ss\"",
            "* FLAGS ()\r\n{tag} OK [CAPABILITY IMAP4rev1] in\r\n",
        ),
        LOGOUT,
    ];
    assert_eq!(log_in(Imap, &server(HELLO, CHATTY)).await, Ok(()));
}

#[tokio::test]
async fn what_an_imap_server_answers_decides_whose_move_it_is() {
    const REFUSES: Script = &[
        CAPABILITY,
        (
            "LOGIN",
            "{tag} NO [ALERT] Application-specific password required\r\n",
        ),
    ];
    let Err(MailFailure::Refused(words)) = log_in(Imap, &server(HELLO, REFUSES)).await else {
        panic!("refused")
    };
    assert_eq!(words.text, "Application-specific password required");
    const BUSY: Script = &[CAPABILITY, ("LOGIN", "{tag} NO [UNAVAILABLE] later\r\n")];
    const GOES: Script = &[CAPABILITY, ("LOGIN", "* BYE Too many failures\r\n")];
    for script in [BUSY, GOES] {
        let opened = log_in(Imap, &server(HELLO, script)).await;
        assert!(matches!(opened, Err(MailFailure::NotNow(_))), "{opened:?}");
    }
    let opened = log_in(Imap, &server("* BYE come back later\r\n", &[])).await;
    assert!(matches!(opened, Err(MailFailure::NotNow(_))), "{opened:?}");
    let opened = log_in(Imap, &server("* PREAUTH hello\r\n", &[])).await;
    assert_eq!(opened, Err(MailFailure::NoWay(NoWay::Password)));
    const NO_PASSWORDS: Script = &[(
        "CAPABILITY",
        "* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=XOAUTH2\r\n{tag} OK\r\n",
    )];
    let opened = log_in(Imap, &server(HELLO, NO_PASSWORDS)).await;
    assert_eq!(opened, Err(MailFailure::NoWay(NoWay::Password)));
}

#[tokio::test]
async fn an_smtp_server_may_ask_for_name_and_password_one_by_one() {
    const ASKS: Script = &[
        ("EHLO", "250-mail.test\r\n250 AUTH LOGIN XOAUTH2\r\n"),
        ("AUTH LOGIN", "334 VXNlcm5hbWU6\r\n"),
        ("YW5u", "334 UGFzc3dvcmQ6\r\n"),
        ("cCJzcw==", "235 2.7.0 in\r\n"),
        ("QUIT", "221 bye\r\n"),
    ];
    assert_eq!(
        log_in(Smtp, &server("220 mail.test\r\n", ASKS)).await,
        Ok(())
    );
    const LATER: Script = &[
        ("EHLO", "250 AUTH PLAIN\r\n"),
        ("AUTH", "454 4.7.0 later\r\n"),
    ];
    let opened = log_in(Smtp, &server("220 mail.test\r\n", LATER)).await;
    assert!(matches!(opened, Err(MailFailure::NotNow(_))), "{opened:?}");
    let opened = log_in(Smtp, &server("554 no service\r\n", &[])).await;
    assert!(matches!(opened, Err(MailFailure::NotNow(_))), "{opened:?}");
    const NO_PASSWORDS: Script = &[("EHLO", "250 AUTH XOAUTH2\r\n")];
    let opened = log_in(Smtp, &server("220 mail.test\r\n", NO_PASSWORDS)).await;
    assert_eq!(opened, Err(MailFailure::NoWay(NoWay::Password)));
}

#[tokio::test]
async fn what_is_no_mail_server_is_given_up_on() {
    const WEB: &str = "HTTP/1.1 400 Bad Request\r\n\r\n";
    for protocol in [Imap, Smtp] {
        let opened = log_in(protocol, &server(WEB, &[])).await;
        assert_eq!(kind(opened), CallErrorKind::Protocol);
        let opened = log_in(protocol, &server("\r\n", &[])).await;
        assert_eq!(kind(opened), CallErrorKind::Protocol);
    }
}

#[tokio::test]
async fn a_server_that_does_not_stop_talking_is_not_listened_to_for_ever() {
    let endless = Server::raw(|stream| {
        let session = ServerConnection::new(server_config(b"")).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        while stream.write_all(b"* OK and so on\r\n").is_ok() {}
    });
    // The greeting is one line; all others come where the answer should.
    let opened = log_in(Imap, &endless).await;
    assert_eq!(kind(opened), CallErrorKind::TooLarge);
    let one_line = Server::raw(|stream| {
        let session = ServerConnection::new(server_config(b"")).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    assert_eq!(kind(log_in(Smtp, &one_line).await), CallErrorKind::TooLarge);
}

#[tokio::test]
async fn hosts_of_the_operators_network_are_refused_and_never_connected_to() {
    let listening = server(HELLO, &[]);
    for host in [
        "127.0.0.1",
        "localhost",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "[::1]",
        "[fd00::1]",
        "[::ffff:127.0.0.1]",
    ] {
        for (protocol, port) in [(Imap, 993), (Imap, 143), (Smtp, 465), (Smtp, 587)] {
            let opened = log_in_at(NetworkPolicy::default(), protocol, host, port).await;
            assert_eq!(kind(opened), CallErrorKind::AddressRefused, "{host}:{port}");
        }
    }
    assert_eq!(listening.connections(), 0);
}

#[tokio::test]
async fn ports_that_are_no_mail_servers_are_refused_before_anything_is_looked_up() {
    for (protocol, port) in [
        (Imap, 22),
        (Imap, 25),
        (Imap, 587),
        (Smtp, 25),
        (Smtp, 993),
        (Smtp, 5432),
    ] {
        let opened = log_in_at(NetworkPolicy::default(), protocol, "mail.invalid", port).await;
        assert_eq!(opened, Err(MailFailure::Port(port)));
    }
    // The operator answers for a host that is named, and for everything where private addresses are allowed.
    let named = NetworkPolicy::new(false, ["mail.invalid".to_owned()]);
    for policy in [named, NetworkPolicy::new(true, [])] {
        let opened = log_in_at(policy, Imap, "mail.invalid", 10_993).await;
        assert_eq!(kind(opened), CallErrorKind::Dns);
    }
}

#[tokio::test]
async fn a_certificate_must_be_for_the_host() {
    let server = server(HELLO, &[]);
    let policy = NetworkPolicy::new(true, []);
    let opened = log_in_at(policy, Imap, "127.0.0.1", server.address.port()).await;
    assert_eq!(kind(opened), CallErrorKind::Tls);
}
