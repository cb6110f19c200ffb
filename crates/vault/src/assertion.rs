//! Assertions of service accounts: JSON web tokens signed with RS256 (RFC 7523, 2.1; RFC 7518, 3.3).

use crate::request_key::{RequestKey, RequestKeyError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde_json::{Value, json};

/// The assertion that `key` signs for `claims`. The provider knows the key as `key_id`.
///
/// # Errors
/// When the cryptographic library fails.
pub fn signed_assertion(
    key: &RequestKey,
    key_id: &str,
    claims: &Value,
) -> Result<SecretString, RequestKeyError> {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let head = json!({"alg": "RS256", "typ": "JWT", "kid": key_id});
    let signed = format!("{}.{}", encode(&head), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.signature(&signed)?);
    Ok(SecretString::from(format!("{signed}.{signature}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    use secrecy::ExposeSecret as _;

    #[test]
    fn an_assertion_is_what_another_library_takes_for_one() {
        let key = RequestKey::generate().unwrap();
        let claims =
            json!({"iss": "robot@example.com", "sub": "ann@example.com", "exp": 4_000_000_000_u64});
        let token = signed_assertion(&key, "k1", &claims).unwrap();
        let public = DecodingKey::from_rsa_der(&key.public_der());
        let mut rules = Validation::new(Algorithm::RS256);
        rules.validate_aud = false;
        let read = jsonwebtoken::decode::<Value>(token.expose_secret(), &public, &rules).unwrap();
        assert_eq!(read.claims, claims);
        assert_eq!(read.header.kid.as_deref(), Some("k1"));
        let other = RequestKey::generate().unwrap();
        let public = DecodingKey::from_rsa_der(&other.public_der());
        assert!(jsonwebtoken::decode::<Value>(token.expose_secret(), &public, &rules).is_err());
    }
}
