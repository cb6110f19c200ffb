//! Keyway's own id_tokens: ES256, with the public keys published as a JWKS.

use super::{JwtError, TokenHead, refusal, verify_signature};
use crate::hash::sha256;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use keyway_core::time::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use zeroize::Zeroizing;

/// A public P-256 key as a member of a JWKS (RFC 7517, 4; RFC 7518, 6.2.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicJwk {
    /// Always `EC`.
    pub kty: String,
    /// Always `P-256`.
    pub crv: String,
    /// The point's first coordinate, base64url.
    pub x: String,
    /// The point's second coordinate, base64url.
    pub y: String,
    /// Always `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// Always `ES256`.
    pub alg: String,
    /// [`thumbprint`] of the key.
    pub kid: String,
}

impl PublicJwk {
    fn of(pair: &EcdsaKeyPair) -> Result<Self, JwtError> {
        // An uncompressed point: 4, then the two coordinates (SEC 1, 2.3.3).
        let point: &[u8; 65] = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| JwtError::BadKey)?;
        let (x, y) = point.split_last_chunk::<32>().ok_or(JwtError::BadKey)?;
        let (_, x) = x.split_first().ok_or(JwtError::BadKey)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let kid = thumbprint(&x, &y);
        let [kty, crv, usage, alg] = ["EC", "P-256", "sig", "ES256"].map(str::to_owned);
        Ok(Self {
            kty,
            crv,
            x,
            y,
            usage,
            alg,
            kid,
        })
    }
}

/// The thumbprint of the P-256 key with these base64url coordinates (RFC 7638, 3), base64url.
#[must_use]
pub fn thumbprint(x: &str, y: &str) -> String {
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(sha256(canonical.as_bytes()))
}

/// A private key that signs Keyway's id_tokens.
pub struct SigningKey {
    key: EncodingKey,
    header: Header,
    public: PublicJwk,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.kid())
    }
}

impl SigningKey {
    /// A new P-256 key: the private one as PKCS #8, to be sealed and stored, and the public one.
    ///
    /// # Errors
    /// [`JwtError::BadKey`] when the cryptographic library fails.
    pub fn generate_es256() -> Result<(Zeroizing<Vec<u8>>, PublicJwk), JwtError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| JwtError::BadKey)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| JwtError::BadKey)?;
        Ok((
            Zeroizing::new(pkcs8.as_ref().to_vec()),
            PublicJwk::of(&pair)?,
        ))
    }

    /// The key stored as `pkcs8`, which signs under the name `kid`.
    ///
    /// # Errors
    /// [`JwtError::BadKey`] when the bytes are no P-256 key.
    pub fn from_pkcs8(kid: &str, pkcs8: &[u8]) -> Result<Self, JwtError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
            .map_err(|_| JwtError::BadKey)?;
        let public = PublicJwk {
            kid: kid.to_owned(),
            ..PublicJwk::of(&pair)?
        };
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(kid.to_owned());
        Ok(Self {
            key: EncodingKey::from_ec_der(pkcs8),
            header,
            public,
        })
    }

    /// The name the key signs under.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.public.kid
    }

    /// The public key, for the JWKS.
    #[must_use]
    pub const fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    /// `claims` as a signed token.
    ///
    /// # Errors
    /// [`JwtError::BadClaims`] when the claims cannot be written as JSON.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, JwtError> {
        jsonwebtoken::encode(&self.header, claims, &self.key).map_err(|error| {
            match refusal(&error) {
                JwtError::Malformed => JwtError::BadClaims,
                other => other,
            }
        })
    }
}

/// The claims of a token Keyway itself signed, if it is of `expected_iss` and valid at `now`.
///
/// Whom it is for (`aud`) is the caller's to check.
///
/// # Errors
/// Says what is wrong with the token; see [`JwtError`].
pub fn verify_own(
    jwks: &[PublicJwk],
    token: &str,
    expected_iss: &str,
    now: UnixMillis,
) -> Result<Map<String, Value>, JwtError> {
    let head = TokenHead::of(token)?;
    if head.alg != "ES256" {
        return Err(JwtError::UnsupportedAlgorithm);
    }
    let kid = head.kid.ok_or(JwtError::UnknownKey)?;
    let jwk = jwks
        .iter()
        .find(|jwk| jwk.kid == kid)
        .ok_or(JwtError::UnknownKey)?;
    let key = DecodingKey::from_ec_components(&jwk.x, &jwk.y).map_err(|_| JwtError::BadKey)?;
    let claims = verify_signature(token, &key, Algorithm::ES256)?;
    require_valid(&claims, expected_iss, now)?;
    Ok(claims)
}

fn require_valid(
    claims: &Map<String, Value>,
    expected_iss: &str,
    now: UnixMillis,
) -> Result<(), JwtError> {
    let secs = |name: &str| claims.get(name).and_then(Value::as_i64);
    if claims.get("iss").and_then(Value::as_str) != Some(expected_iss) {
        return Err(JwtError::WrongIssuer);
    }
    if secs("exp").is_none_or(|exp| exp <= now.as_secs()) {
        return Err(JwtError::Expired);
    }
    if secs("nbf").is_some_and(|nbf| nbf > now.as_secs()) {
        return Err(JwtError::NotYetValid);
    }
    Ok(())
}
