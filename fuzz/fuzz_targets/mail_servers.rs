//! What a domain publishes about its mail servers: anybody's XML. Nothing comes of it but a host's name and a port
//! that goes with its protocol.
#![no_main]

use keyway_core::autoconfig::parse;
use keyway_core::mail_servers::{MailProtocol, MailServer};
use libfuzzer_sys::fuzz_target;

fn check(protocol: MailProtocol, server: Option<&MailServer>) {
    let Some(server) = server else { return };
    assert!(protocol.has_port(server.port), "{server:?}");
    assert!(!server.host.is_empty() && server.host.len() < 600);
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    assert!(server.host.chars().all(is_name), "{server:?}");
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let found = parse(&text, "example.com");
    check(MailProtocol::Imap, found.imap.as_ref());
    check(MailProtocol::Smtp, found.smtp.as_ref());
});
