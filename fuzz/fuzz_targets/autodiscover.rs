//! What Exchange servers say: of where a mailbox is, and whether it opens. Anybody's XML. Nothing comes of it but a host's
//! name and port, an https address to ask at, an address, or a short code.
#![no_main]

use keyway_core::autodiscover::{Told, parse, question};
use keyway_core::ews::{EwsAnswer, read_answer, server_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    match parse(&text) {
        Told::Server(server) => {
            assert!(server.port > 0 && !server.host.is_empty(), "{server:?}");
            let is_host =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '[' | ']' | ':');
            assert!(server.host.chars().all(is_host), "{server:?}");
        }
        Told::AskAt(url) => {
            assert_eq!(url.scheme(), "https");
            assert!(server_of(&url).is_some(), "{url}");
        }
        Told::AskFor(address) => {
            assert!(address.len() <= 1024);
            // Whatever it is, the next question says it as text.
            assert_eq!(question(&address).matches('<').count(), 9);
        }
        Told::Nothing => {}
    }
    if let Some(EwsAnswer::Failed(code)) = read_answer(&text) {
        assert!(!code.is_empty() && code.len() <= 80);
        assert!(code.bytes().all(|b| b.is_ascii_alphanumeric()), "{code}");
    }
});
