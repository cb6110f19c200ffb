//! Addresses: kept as the provider gave them, compared without case.

/// Longest address accepted, in bytes (RFC 5321, 4.5.3.1.3 allows 254 in a path).
pub const EMAIL_MAX_BYTES: usize = 320;

/// The form in which addresses are compared: two addresses are the same if their keys are.
///
/// No provider-specific folding (dots, `+tags`): only the provider knows which of those are one mailbox.
#[must_use]
pub fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Whether `text` has the outline of an address: something, one `@`, something, no blanks.
#[must_use]
pub fn looks_like_email(text: &str) -> bool {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    text.len() <= EMAIL_MAX_BYTES
        && !text.contains(blank)
        && text
            .rsplit_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_compare_without_case_and_plus_tags_stay() {
        assert_eq!(email_key(" Alice+x@Example.COM"), "alice+x@example.com");
        assert!(looks_like_email("a+b@c.d"));
        for bad in ["", "a", "@b", "a@", "a b@c", "a@b\n"] {
            assert!(!looks_like_email(bad), "{bad:?}");
        }
    }
}
