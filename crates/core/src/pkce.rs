//! PKCE (RFC 7636) on both sides: checking the challenge an application sent us, and making ours for
//! the provider.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use subtle::ConstantTimeEq as _;

/// Longest challenge or verifier accepted, in bytes. RFC 7636 ends at 128; its minimum of 43 is not
/// enforced, since the official SDKs send 36.
pub const PKCE_MAX_BYTES: usize = 256;

/// How a challenge was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChallengeMethod {
    /// The verifier itself.
    Plain,
    /// A SHA-256 of it, in one of three spellings.
    S256,
}

impl ChallengeMethod {
    /// Reads the parameter, without case; absent means `plain` (RFC 7636, 4.3).
    #[must_use]
    pub fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("") => Some(Self::Plain),
            Some(t) if t.eq_ignore_ascii_case("plain") => Some(Self::Plain),
            Some(t) if t.eq_ignore_ascii_case("s256") => Some(Self::S256),
            Some(_) => None,
        }
    }
}

/// The challenge an application's sign-in carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientChallenge {
    /// As sent.
    pub challenge: String,
    /// How it was made.
    pub method: ChallengeMethod,
}

/// SHA-256, handed in because this crate holds no cryptography.
pub type Sha256 = fn(&[u8]) -> [u8; 32];

impl ClientChallenge {
    /// Whether `verifier` is the one the challenge was made from, in constant time.
    ///
    /// For S256 three spellings count: base64url of the lower-case hex digest (what the official SDKs
    /// send), base64url of the raw digest (RFC 7636), and the bare hex digest.
    #[must_use]
    pub fn accepts(&self, verifier: &str, sha256: Sha256) -> bool {
        match self.method {
            ChallengeMethod::Plain => same(&self.challenge, verifier),
            ChallengeMethod::S256 => {
                let given = normalise(&self.challenge);
                let digest = sha256(verifier.as_bytes());
                let hex = hex(&digest);
                let spellings = [
                    URL_SAFE_NO_PAD.encode(&hex),
                    URL_SAFE_NO_PAD.encode(digest),
                    hex,
                ];
                // Every spelling is compared, so that the time tells nothing.
                spellings
                    .iter()
                    .fold(false, |found, spelling| found | same(&given, spelling))
            }
        }
    }
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Padding and the standard base64 alphabet are folded away: Java writes them.
fn normalise(challenge: &str) -> String {
    challenge
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_")
}

fn hex(digest: &[u8]) -> String {
    digest
        .iter()
        .fold(String::with_capacity(64), |mut out, byte| {
            // Writing to a String cannot fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
}

/// The S256 challenge of RFC 7636 for a verifier of ours.
#[must_use]
pub fn s256_challenge(verifier: &str, sha256: Sha256) -> String {
    URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()))
}

/// A verifier of ours: 32 random bytes as base64url, 43 characters.
#[must_use]
pub fn verifier_from(bytes: [u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in for SHA-256 that only knows the vectors' answers would prove nothing, so the vectors
    /// with the real digest live where the real digest is: in the engine's tests. Here, the shape.
    fn fake(bytes: &[u8]) -> [u8; 32] {
        let mut out = [0; 32];
        for (i, byte) in bytes.iter().enumerate() {
            out[i % 32] ^= byte.wrapping_add(i as u8);
        }
        out
    }

    fn challenge(text: String, method: ChallengeMethod) -> ClientChallenge {
        ClientChallenge {
            challenge: text,
            method,
        }
    }

    #[test]
    fn all_three_spellings_of_s256_are_accepted_and_nothing_else() {
        let verifier = "10eae03c-0447-43a3-9465-883a66af33e8";
        let digest = fake(verifier.as_bytes());
        let spellings = [
            URL_SAFE_NO_PAD.encode(hex(&digest)),
            URL_SAFE_NO_PAD.encode(digest),
            hex(&digest),
        ];
        for spelling in spellings {
            let challenge = challenge(spelling.clone() + "==", ChallengeMethod::S256);
            assert!(challenge.accepts(verifier, fake), "{spelling}");
            assert!(!challenge.accepts("another", fake));
        }
        assert!(!challenge(verifier.into(), ChallengeMethod::S256).accepts(verifier, fake));
    }

    #[test]
    fn plain_compares_the_verifier_itself() {
        assert!(challenge("v".into(), ChallengeMethod::Plain).accepts("v", fake));
        assert!(!challenge("v".into(), ChallengeMethod::Plain).accepts("w", fake));
    }

    #[test]
    fn methods_are_read_without_case_and_default_to_plain() {
        assert_eq!(ChallengeMethod::parse(None), Some(ChallengeMethod::Plain));
        assert_eq!(
            ChallengeMethod::parse(Some("s256")),
            Some(ChallengeMethod::S256)
        );
        assert_eq!(ChallengeMethod::parse(Some("md5")), None);
    }
}
