//! What mail servers say before they let somebody in: whoever names a server may have made it. Nothing comes of an answer
//! but what it decides, and short codes; whatever is read is read again in the same way when it comes in pieces.
#![no_main]

use keyway_outbound::mail::{imap_answer, smtp_answer};
use libfuzzer_sys::fuzz_target;

fn is_code(code: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b' ');
    !code.is_empty() && code.len() <= 40 && code.bytes().all(is_part)
}

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    while let Ok(Some((answer, bytes))) = imap_answer::read(rest) {
        let (heard, later) = rest.split_at(bytes);
        assert!(heard.ends_with(b"\n"));
        assert_eq!(imap_answer::read(&heard[..bytes - 1]), Ok(None));
        assert_eq!(imap_answer::read(heard), Ok(Some((answer, bytes))));
        if let Ok(Some((imap_answer::Answer::Done(_, words), _))) = imap_answer::read(heard) {
            assert!(words.code.is_none_or(|code| is_code(&code)));
        }
        rest = later;
    }
    let mut rest = data;
    while let Ok(Some((answer, bytes))) = smtp_answer::read(rest) {
        assert!(bytes > 0 && bytes <= rest.len());
        rest = &rest[bytes..];
        let _ = (answer.offers("AUTH"), answer.has_mechanism("PLAIN"));
        assert!(answer.words().code.is_some_and(|code| is_code(&code)));
    }
});
