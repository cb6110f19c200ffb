//! The key that signs id_tokens, made afresh at every start.

use crate::SandboxError;
use crate::config::Signing;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::Jwk;
use serde_json::{Value, json};

pub(crate) struct Signer {
    key: Key,
    kid: String,
    public: Value,
}

enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

/// How honestly a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signature {
    Good,
    Bad,
    /// `alg` none, and no signature.
    None,
}

impl Signer {
    pub(crate) fn generate(signing: Signing) -> Result<Self, SandboxError> {
        let key = Key::generate(signing).ok_or(SandboxError::Key)?;
        let public = Jwk::from_decoding_key(&key.public(), None).map_err(|_| SandboxError::Key)?;
        let thumbprint = public.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256);
        let kid = thumbprint
            .map_err(|_| SandboxError::Key)?
            .chars()
            .take(16)
            .collect::<String>();
        let mut public = serde_json::to_value(&public).map_err(|_| SandboxError::Key)?;
        if let Some(members) = public.as_object_mut() {
            members.insert("kid".to_owned(), json!(kid));
            members.insert("use".to_owned(), json!("sig"));
            members.insert("alg".to_owned(), json!(key.alg()));
        }
        Ok(Self { key, kid, public })
    }

    /// The key set of RFC 7517.
    pub(crate) fn jwks(&self) -> Value {
        json!({"keys": [self.public]})
    }

    pub(crate) fn alg(&self) -> &'static str {
        self.key.alg()
    }

    /// A JWT of `claims` (RFC 7519).
    pub(crate) fn jwt(&self, claims: &Value, signature: Signature) -> Result<String, SandboxError> {
        let header = match signature {
            Signature::None => json!({"alg": "none", "typ": "JWT"}),
            _ => json!({"alg": self.key.alg(), "kid": self.kid, "typ": "JWT"}),
        };
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let signature = match signature {
            Signature::Good => self.key.sign(message.as_bytes()).ok_or(SandboxError::Key)?,
            Signature::Bad => self.key.sign(b"another message").ok_or(SandboxError::Key)?,
            Signature::None => Vec::new(),
        };
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl Key {
    fn generate(signing: Signing) -> Option<Self> {
        match signing {
            Signing::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048).ok().map(Self::Rsa),
            Signing::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .ok()
                .map(Self::P256),
        }
    }

    fn alg(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
        }
    }

    fn public(&self) -> DecodingKey {
        match self {
            Self::Rsa(pair) => DecodingKey::from_rsa_der(pair.public_key().as_ref()),
            Self::P256(pair) => DecodingKey::from_ec_der(pair.public_key().as_ref()),
        }
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut out)
                    .ok()?;
                Some(out)
            }
            Self::P256(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{Algorithm, Validation, decode};

    fn verifies(signing: Signing, algorithm: Algorithm, signature: Signature) -> bool {
        let signer = Signer::generate(signing).unwrap();
        let token = signer.jwt(&json!({"sub": "x"}), signature).unwrap();
        let jwk: Jwk = serde_json::from_value(signer.jwks()["keys"][0].clone()).unwrap();
        let mut rules = Validation::new(algorithm);
        rules.required_spec_claims.clear();
        decode::<Value>(&token, &DecodingKey::from_jwk(&jwk).unwrap(), &rules).is_ok()
    }

    #[test]
    fn what_the_signer_signs_verifies_with_the_key_it_publishes() {
        assert!(verifies(Signing::Rs256, Algorithm::RS256, Signature::Good));
        assert!(verifies(Signing::Es256, Algorithm::ES256, Signature::Good));
    }

    #[test]
    fn a_bad_or_missing_signature_does_not_verify() {
        assert!(!verifies(Signing::Es256, Algorithm::ES256, Signature::Bad));
        assert!(!verifies(Signing::Es256, Algorithm::ES256, Signature::None));
    }
}
