//! Verification of providers' id_tokens against the keys they publish.

use super::{JwtError, TokenHead, verify_signature};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The kinds of public keys that verify providers' tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyFamily {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// One usable key of a provider.
struct ProviderKey {
    kid: Option<String>,
    /// The one algorithm the key is for, where the provider says so.
    alg: Option<String>,
    family: KeyFamily,
    key: DecodingKey,
}

impl ProviderKey {
    fn fits(&self, alg: &str, kid: Option<&str>) -> bool {
        let named = match (kid, self.kid.as_deref()) {
            (Some(asked), Some(own)) => asked == own,
            // A token or a key without a name leaves it to the signature.
            _ => true,
        };
        named && self.alg.as_deref().is_none_or(|own| own == alg)
    }
}

/// A provider's published keys (RFC 7517, 5), those that can verify tokens.
pub struct ProviderKeys(Vec<ProviderKey>);

impl std::fmt::Debug for ProviderKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|key| (&key.kid, key.family)))
            .finish()
    }
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl RawKey {
    fn usable(self) -> Option<ProviderKey> {
        if self.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let (family, key) = self.decode()?;
        Some(ProviderKey {
            kid: self.kid,
            alg: self.alg,
            family,
            key,
        })
    }

    fn decode(&self) -> Option<(KeyFamily, DecodingKey)> {
        let x = self.x.as_deref();
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (self.n.as_deref()?, self.e.as_deref()?);
                Some((KeyFamily::Rsa, DecodingKey::from_rsa_components(n, e).ok()?))
            }
            ("EC", Some("P-256")) => Some((KeyFamily::P256, self.decode_point()?)),
            ("EC", Some("P-384")) => Some((KeyFamily::P384, self.decode_point()?)),
            ("OKP", Some("Ed25519")) => Some((
                KeyFamily::Ed25519,
                DecodingKey::from_ed_components(x?).ok()?,
            )),
            // Symmetric keys are left out with all other kinds.
            _ => None,
        }
    }

    fn decode_point(&self) -> Option<DecodingKey> {
        DecodingKey::from_ec_components(self.x.as_deref()?, self.y.as_deref()?).ok()
    }
}

impl ProviderKeys {
    /// The keys of a JWKS document. Members that are of no use here (encryption, unknown kinds,
    /// symmetric, incomplete) are left out, as RFC 7517, 5 asks.
    ///
    /// # Errors
    /// [`JwtError::BadKey`] when the document is no JWKS at all.
    pub fn parse(jwks_json: &[u8]) -> Result<Self, JwtError> {
        let set: RawSet = serde_json::from_slice(jwks_json).map_err(|_| JwtError::BadKey)?;
        let keys = set
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value::<RawKey>(key).ok()?.usable())
            .collect();
        Ok(Self(keys))
    }

    /// How many keys can verify tokens.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no key can.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The accepted algorithms (RFC 7518, 3.1; RFC 8037), and the kind of key each needs.
fn algorithm(alg: &str) -> Result<(Algorithm, KeyFamily), JwtError> {
    Ok(match alg {
        "RS256" => (Algorithm::RS256, KeyFamily::Rsa),
        "RS384" => (Algorithm::RS384, KeyFamily::Rsa),
        "RS512" => (Algorithm::RS512, KeyFamily::Rsa),
        "PS256" => (Algorithm::PS256, KeyFamily::Rsa),
        "PS384" => (Algorithm::PS384, KeyFamily::Rsa),
        "PS512" => (Algorithm::PS512, KeyFamily::Rsa),
        "ES256" => (Algorithm::ES256, KeyFamily::P256),
        "ES384" => (Algorithm::ES384, KeyFamily::P384),
        "EdDSA" => (Algorithm::EdDSA, KeyFamily::Ed25519),
        _ => return Err(JwtError::UnsupportedAlgorithm),
    })
}

/// The claims of a token whose signature nobody has checked: for one that came straight from the
/// token endpoint over TLS (OpenID Connect Core, 3.1.3.7), or to read whose it claims to be.
///
/// # Errors
/// [`JwtError::Malformed`] when it is no token.
pub fn decode_unverified(token: &str) -> Result<Map<String, Value>, JwtError> {
    jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| JwtError::Malformed)
}

/// The claims of `token` if one of the provider's keys signed it.
///
/// Checks the signature only: issuer, audience, nonce and times are the caller's to check.
///
/// # Errors
/// [`JwtError::UnknownKey`] when the keys hold none for this token: fetch them anew, once.
/// Otherwise what is wrong with the token.
pub fn verify_provider(token: &str, keys: &ProviderKeys) -> Result<Map<String, Value>, JwtError> {
    let head = TokenHead::of(token)?;
    let (algorithm, family) = algorithm(&head.alg)?;
    let mut result = Err(JwtError::UnknownKey);
    for key in keys
        .0
        .iter()
        .filter(|key| key.fits(&head.alg, head.kid.as_deref()))
    {
        if key.family != family {
            // The named key is of another kind: no key of the provider makes such a signature.
            result = Err(JwtError::UnsupportedAlgorithm);
            continue;
        }
        result = verify_signature(token, &key.key, algorithm);
        if result.is_ok() {
            break;
        }
    }
    result
}
