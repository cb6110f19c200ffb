//! Names for people: of keys, connectors and credentials.

use crate::error::Error;
use keyway_core::oauth::is_printable;

/// Longest name, in bytes.
const NAME_MAX_BYTES: usize = 200;

/// Whether a name says something, is not too long, and can be printed: operators see a tenant's names in
/// their terminals.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() || name.len() > NAME_MAX_BYTES || !name.chars().all(is_printable) {
        return Err(Error::field(
            "name",
            format_args!("must be 1 to {NAME_MAX_BYTES} printable bytes long"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_injection_a_name_writes_nothing_but_itself_in_an_operators_terminal() {
        for good in ["Acme", "Müller & Söhne", "東京", "עברית"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "a\nb",
            "a\u{1b}[2J",
            "\u{9b}1m",
            "a\u{202e}gpj.exe",
            "a\u{2028}b",
            " ",
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
