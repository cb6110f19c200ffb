//! Signed tokens: Keyway's own id_tokens, and the verification of those of providers.
//!
//! Algorithms are fixed by this module, never by the token: only the asymmetric ones listed in
//! [`provider`] are accepted, and a key verifies nothing but the algorithms of its own kind. A token
//! that says `none`, or an HMAC "signed" with a public key, is refused before any key is touched.

pub mod own;
pub mod provider;

pub use own::{PublicJwk, SigningKey, thumbprint, verify_own};
pub use provider::{ProviderKeys, decode_unverified, verify_provider};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A token, or a key for tokens, was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not three base64url parts of JSON objects.
    #[error("not a signed JSON web token")]
    Malformed,
    /// Signed with an algorithm that is not accepted here (`none` and HMAC among them).
    #[error("the token's signing algorithm is not accepted")]
    UnsupportedAlgorithm,
    /// The header demands an extension that is not understood (RFC 7515, 4.1.11).
    #[error("the token demands an extension that is not understood")]
    CriticalHeader,
    /// No key given is the token's: the issuer may have changed its keys, so fetch them once more.
    #[error("the token is signed with a key that is not known")]
    UnknownKey,
    /// The signature is not of this token, or not by this key.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// Issued by someone else.
    #[error("the token is of another issuer")]
    WrongIssuer,
    /// Its time is over, or it says none.
    #[error("the token has expired")]
    Expired,
    /// Its time has not begun.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// The bytes are no key of the kind needed, or no set of keys.
    #[error("not a key that signs or verifies tokens")]
    BadKey,
    /// The claims cannot be written as JSON.
    #[error("the claims cannot be written as JSON")]
    BadClaims,
}

/// What of a token's header decides how it is verified (RFC 7515, 4.1).
#[derive(Deserialize)]
struct TokenHead {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

impl TokenHead {
    fn of(token: &str) -> Result<Self, JwtError> {
        let (head, _) = token.split_once('.').ok_or(JwtError::Malformed)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(head)
            .map_err(|_| JwtError::Malformed)?;
        let head: Self = serde_json::from_slice(&bytes).map_err(|_| JwtError::Malformed)?;
        if head.crit.is_some() {
            Err(JwtError::CriticalHeader)
        } else {
            Ok(head)
        }
    }
}

/// The claims of `token` if `key` signed it with `algorithm`. Looks at no claim.
fn verify_signature(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
) -> Result<Map<String, Value>, JwtError> {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    jsonwebtoken::decode(token, key, &validation)
        .map(|token| token.claims)
        .map_err(|error| refusal(&error))
}

fn refusal(error: &Error) -> JwtError {
    match error.kind() {
        ErrorKind::InvalidToken
        | ErrorKind::Base64(_)
        | ErrorKind::Json(_)
        | ErrorKind::Utf8(_) => JwtError::Malformed,
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm => JwtError::UnsupportedAlgorithm,
        ErrorKind::InvalidEcdsaKey
        | ErrorKind::InvalidEddsaKey
        | ErrorKind::InvalidKeyFormat
        | ErrorKind::InvalidRsaKey(_) => JwtError::BadKey,
        _ => JwtError::BadSignature,
    }
}

#[cfg(test)]
mod tests;
