//! Random bearer values Keyway hands out: API keys, codes, tokens, states.
//!
//! Each carries 256 random bits behind a prefix that tells people, and secret scanners, what it is.
//! The database sees only keyed digests of them.

use crate::entropy::{Entropy, random_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use zeroize::Zeroize;

/// Bytes of randomness in every bearer value.
pub const BEARER_BYTES: usize = 32;

/// What a bearer value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BearerKind {
    /// An application's API key; also its OAuth client secret.
    ApiKey,
    /// A one-time authorization code.
    Code,
    /// An access token for one grant.
    AccessToken,
    /// A refresh token for one grant.
    RefreshToken,
    /// The `state` of a sign-in at the provider.
    State,
}

impl BearerKind {
    /// The text every value of this kind begins with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::ApiKey => "kwk_",
            Self::Code => "kwc_",
            Self::AccessToken => "kwa_",
            Self::RefreshToken => "kwr_",
            Self::State => "kws_",
        }
    }
}

/// A new bearer value of `kind`.
pub fn new_bearer(kind: BearerKind, entropy: &dyn Entropy) -> SecretString {
    let mut bytes: [u8; BEARER_BYTES] = random_bytes(entropy);
    let text = format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(bytes));
    bytes.zeroize();
    SecretString::from(text)
}

/// Whether `text` could be a value of `kind`: the right prefix and length. Saves a look-up, proves nothing.
#[must_use]
pub fn looks_like(kind: BearerKind, text: &str) -> bool {
    // 32 bytes are 43 characters of base64 without padding.
    text.strip_prefix(kind.prefix())
        .is_some_and(|rest| rest.len() == 43)
}

/// What an operator may see of a key to tell it from others: prefix and the last four characters.
#[must_use]
pub fn hint(kind: BearerKind, text: &str) -> String {
    let tail = text.get(text.len().saturating_sub(4)..).unwrap_or_default();
    format!("{}…{tail}", kind.prefix())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;
    use secrecy::ExposeSecret as _;

    #[test]
    fn bearers_carry_their_prefix_and_differ() {
        let entropy = SeededEntropy::new(1);
        let one = new_bearer(BearerKind::ApiKey, &entropy);
        let two = new_bearer(BearerKind::ApiKey, &entropy);
        assert_ne!(one.expose_secret(), two.expose_secret());
        assert!(looks_like(BearerKind::ApiKey, one.expose_secret()));
        assert!(!looks_like(BearerKind::AccessToken, one.expose_secret()));
        assert_eq!(hint(BearerKind::ApiKey, "kwk_abcdefgh"), "kwk_…efgh");
    }
}
