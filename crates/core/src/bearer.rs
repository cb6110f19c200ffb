//! Random bearer values Keyway hands out: API keys, codes, tokens, states.
//!
//! Each carries 256 random bits behind a prefix that tells people, and secret scanners, what it is.
//! The database sees only keyed digests of them. Codes and tokens also name their row (application and
//! id, neither a secret), so that finding them needs no index of digests: random keys would dirty a page
//! of their own for every sign-in.

use crate::entropy::{Entropy, random_bytes};
use crate::ids::ApplicationId;
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

/// Bytes of a row's name in front of the random ones: application and id.
const NAME_BYTES: usize = 32;

/// The row a code or token names. Claims nothing: only the digest of the whole text proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The application.
    pub application_id: ApplicationId,
    /// The row's id.
    pub id: u128,
}

/// A new code or token for the row `id` of an application.
pub fn new_named(
    kind: BearerKind,
    application_id: ApplicationId,
    id: &uuid::Uuid,
    entropy: &dyn Entropy,
) -> SecretString {
    let mut bytes = [0; NAME_BYTES + BEARER_BYTES];
    let (name, secret) = bytes.split_at_mut(NAME_BYTES);
    let (application, row) = name.split_at_mut(NAME_BYTES / 2);
    application.copy_from_slice(application_id.as_uuid().as_bytes());
    row.copy_from_slice(id.as_bytes());
    entropy.fill(secret);
    let text = format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(bytes));
    bytes.zeroize();
    SecretString::from(text)
}

/// The row a code or token names, if it has the form of one.
#[must_use]
pub fn parse_named(kind: BearerKind, text: &str) -> Option<Named> {
    if !looks_like(kind, text) {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD
        .decode(text.strip_prefix(kind.prefix())?)
        .ok()?;
    let half = |from: usize| {
        let sixteen = bytes.get(from..from + 16)?.try_into().ok()?;
        Some(u128::from_be_bytes(sixteen))
    };
    Some(Named {
        application_id: ApplicationId::from_u128(half(0)?),
        id: half(16)?,
    })
}

/// Whether `text` could be a value of `kind`: the right prefix and length. Saves a look-up, proves
/// nothing.
#[must_use]
pub fn looks_like(kind: BearerKind, text: &str) -> bool {
    // 32 bytes are 43 characters of base64 without padding, 64 bytes 86.
    let length = match kind {
        BearerKind::ApiKey | BearerKind::State => 43,
        BearerKind::Code | BearerKind::AccessToken | BearerKind::RefreshToken => 86,
    };
    text.strip_prefix(kind.prefix())
        .is_some_and(|rest| rest.len() == length)
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
    fn codes_and_tokens_name_their_row_and_nothing_else_reads_as_one() {
        let entropy = SeededEntropy::new(5);
        let application_id = ApplicationId::from_u128(7 << 64);
        let id = uuid::Uuid::from_u128(9);
        for kind in [
            BearerKind::Code,
            BearerKind::AccessToken,
            BearerKind::RefreshToken,
        ] {
            let text = new_named(kind, application_id, &id, &entropy);
            let named = parse_named(kind, text.expose_secret());
            assert_eq!(
                named,
                Some(Named {
                    application_id,
                    id: 9
                })
            );
            let other = new_named(kind, application_id, &id, &entropy);
            assert_ne!(text.expose_secret(), other.expose_secret());
            for bad in ["", "kwa_", &text.expose_secret()[..89], &"x".repeat(90)] {
                assert_eq!(parse_named(kind, bad), None, "{bad}");
            }
            let broken = format!("{}{}", kind.prefix(), "!".repeat(86));
            assert_eq!(parse_named(kind, &broken), None);
        }
    }

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
