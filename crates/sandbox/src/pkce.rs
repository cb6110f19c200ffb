//! Proof key for code exchange (RFC 7636).

use crate::digest::{self, Digest};

/// A code challenge with its method.
#[derive(Clone)]
pub(crate) enum Challenge {
    Plain(String),
    S256(String),
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Challenge(plain)",
            Self::S256(_) => "Challenge(S256)",
        })
    }
}

impl Challenge {
    /// The challenge of a request; `None` if the method is unknown or the challenge misshapen
    /// (section 4.2: 43 to 128 unreserved characters).
    pub(crate) fn parse(challenge: &str, method: Option<&str>) -> Option<Self> {
        let is_unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        let fits = (43..=128).contains(&challenge.len()) && challenge.chars().all(is_unreserved);
        match method.unwrap_or("plain") {
            "plain" if fits => Some(Self::Plain(challenge.to_owned())),
            "S256" if fits && challenge.len() == 43 => Some(Self::S256(challenge.to_owned())),
            _ => None,
        }
    }

    pub(crate) fn is_met_by(&self, verifier: &str) -> bool {
        match self {
            Self::Plain(challenge) => digest::are_equal(challenge.as_bytes(), verifier.as_bytes()),
            Self::S256(challenge) => {
                let hashed = Digest::of(verifier).base64url();
                digest::are_equal(challenge.as_bytes(), hashed.as_bytes())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7636_appendix_b_is_met() {
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let challenge = Challenge::parse(challenge, Some("S256")).unwrap();
        assert!(challenge.is_met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert!(!challenge.is_met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl"));
    }

    #[test]
    fn a_short_challenge_or_an_unknown_method_is_refused() {
        assert!(Challenge::parse("short", Some("S256")).is_none());
        assert!(Challenge::parse(&"a".repeat(43), Some("S512")).is_none());
    }
}
