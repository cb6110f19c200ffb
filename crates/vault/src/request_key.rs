//! Keys that sign requests and assertions: RSA with 2048 bits, PKCS #1 v1.5 over SHA-256 (RFC 8017, 8.2).
//!
//! The algorithm is the clients', and fixed here. The server keeps the public half alone.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt;
use zeroize::Zeroizing;

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
/// Characters of base64 on a line of a PEM text (RFC 7468, 2).
const PEM_LINE: usize = 64;

/// The library makes no key, or the text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RSA key that signs")]
pub struct RequestKeyError;

/// A private key that signs requests.
pub struct RequestKey(RsaKeyPair);

impl fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestKey(..)")
    }
}

impl RequestKey {
    /// A new key of 2048 bits. Takes tens to hundreds of milliseconds of one core.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn generate() -> Result<Self, RequestKeyError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048);
        pair.map(Self).map_err(|_| RequestKeyError)
    }

    /// The key in a PEM text of PKCS #8 (RFC 7468, 10), as [`RequestKey::to_pem`] writes it.
    ///
    /// # Errors
    /// If `pem` is no such key of RSA.
    pub fn from_pem(pem: &SecretString) -> Result<Self, RequestKeyError> {
        let text = pem.expose_secret().trim();
        let digits = text
            .strip_prefix(PEM_BEGIN)
            .and_then(|rest| rest.strip_suffix(PEM_END));
        let pair = RsaKeyPair::from_pkcs8(&der(digits.ok_or(RequestKeyError)?)?);
        pair.map(Self).map_err(|_| RequestKeyError)
    }

    /// The key as PEM of PKCS #8, as the official clients read it.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn to_pem(&self) -> Result<SecretString, RequestKeyError> {
        let der: Pkcs8V1Der<'_> = self.0.as_der().map_err(|_| RequestKeyError)?;
        let encoded = Zeroizing::new(STANDARD.encode(der.as_ref()));
        // Room for all of it: a text that grows leaves copies of itself behind.
        let room = encoded.len() + encoded.len() / PEM_LINE + PEM_BEGIN.len() + PEM_END.len() + 4;
        let mut pem = String::with_capacity(room);
        pem.push_str(PEM_BEGIN);
        for (at, digit) in encoded.chars().enumerate() {
            if at % PEM_LINE == 0 {
                pem.push('\n');
            }
            pem.push(digit);
        }
        pem.extend(["\n", PEM_END, "\n"]);
        Ok(SecretString::from(pem))
    }

    /// The public half: DER of a PKCS #1 `RSAPublicKey`.
    #[must_use]
    pub fn public_der(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    /// The signature of `text` as a client makes it, in base64.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn sign(&self, text: &str) -> Result<String, RequestKeyError> {
        self.signature(text)
            .map(|signature| STANDARD.encode(signature))
    }

    /// The bytes of the signature of `text`.
    pub(crate) fn signature(&self, text: &str) -> Result<Vec<u8>, RequestKeyError> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0
            .sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
            .map_err(|_| RequestKeyError)?;
        Ok(signature)
    }
}

/// The bytes that base64 in lines stands for.
fn der(digits: &str) -> Result<Zeroizing<Vec<u8>>, RequestKeyError> {
    let digits: Zeroizing<String> = Zeroizing::new(digits.split_ascii_whitespace().collect());
    let der = STANDARD.decode(&*digits).map(Zeroizing::new);
    der.map_err(|_| RequestKeyError)
}

/// Whether `signature`, in base64, is that of `text` by the key whose public half is `public_der`.
#[must_use]
pub fn is_signed_by(public_der: &[u8], text: &str, signature: &str) -> bool {
    let Ok(signature) = STANDARD.decode(signature) else {
        return false;
    };
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_der)
        .verify(text.as_bytes(), &signature)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_signs_its_public_half_verifies_and_nothing_else() {
        let (key, other) = (
            RequestKey::generate().unwrap(),
            RequestKey::generate().unwrap(),
        );
        let (public, signature) = (key.public_der(), key.sign("text").unwrap());
        assert_eq!(signature.len(), 344);
        assert!(is_signed_by(&public, "text", &signature));
        assert!(!is_signed_by(&public, "texT", &signature));
        assert!(!is_signed_by(&other.public_der(), "text", &signature));
        assert!(!is_signed_by(&[], "text", &signature));
        for bad in [
            "",
            "AAAA",
            "not base64",
            &signature[4..],
            &signature.replace('=', ""),
        ] {
            assert!(!is_signed_by(&public, "text", bad), "{bad}");
        }
    }

    #[test]
    fn a_key_comes_back_from_its_file() {
        let key = RequestKey::generate().unwrap();
        let pem = key.to_pem().unwrap();
        let text = pem.expose_secret();
        assert!(text.starts_with(PEM_BEGIN) && text.ends_with("-----END PRIVATE KEY-----\n"));
        assert!(text.lines().all(|line| line.len() <= PEM_LINE));
        let back = RequestKey::from_pem(&pem).unwrap();
        assert_eq!(back.public_der(), key.public_der());
        assert_eq!(format!("{back:?}"), "RequestKey(..)");
        for bad in [
            "",
            PEM_BEGIN,
            "-----BEGIN PRIVATE KEY-----AAAA-----END PRIVATE KEY-----",
        ] {
            assert!(RequestKey::from_pem(&SecretString::from(bad)).is_err());
        }
    }

    /// Signed by the official Node client with a key of OpenSSL's.
    #[test]
    fn a_signature_made_elsewhere_verifies() {
        const PUBLIC: &str = "MIIBCgKCAQEAqmmGyZukZl08NxJtIPVmAP7c8IhgiWrnSokldwJQQLThJdc4KvWnmqUjueQ1G+3FfbWkwcWyFLHNeE8SVSQWOnzd3hH+53yDVyLoIU6ofsSFuQ+0zLCcUEdii3AsfQzWuSRRcNmIMsZl/49Q990z8Bhxm4ocTssCtlVtoKA73gCeqv5YzyhLNAss4xZb4hu5ibWe09kc3Nmb3YBsRYDqv3YVHckGdlTS9aevOXKBp/K4XpqiJbg9JshYCJV/w2HtuBNkAhyx5e1j6l2U3phX3gLmsXhDREeJEQRKk5OhVtFJccGVCUX7lNIi5IXpnNFlHhJr3wHOuE/nJpITNZ29OQIDAQAB";
        const TEXT: &str = r#"{"method":"post","nonce":"AbCdEfGhIjKlMnOpQrSt","path":"/v3/admin/applications/a/api-keys","payload":"{\"expires_in\":90,\"name\":\"Zoë \\\"x\\\" \\\\ 🔑\"}","timestamp":1800000000}"#;
        const SIGNATURE: &str = "oebi9qxgRBBZXZ861UWRtS6sb1q7jKGYAzJkcS4jRXpM9t/z4DHWDJGP40XEITLCuslx8Hm56OM5ZqmWOjQJ78xPgN6+YDXR7dafrR9ylIfKzLIcufG47cszyIPoqVXrtjWuWjgsRe7j66Dzfj27dxiY81YE9+Gmx6kNghfMvCvC5BhCq9zyXONVgo98BSXMDmF7oUnE8cZPI1SYr+iSajF3gPUpVahh6smtBeSO+oACGTGv6cxLQQ2PEhgjrYuI2tq/EZCLX5kd1/agYrYWLswKv+KLJiR66QWCnuXkYlTuGyUUO+c/3gk+C7R9xJSAY4nELB6ZiNtpy8+VwMZ7cg==";
        let public = STANDARD.decode(PUBLIC).unwrap();
        assert!(is_signed_by(&public, TEXT, SIGNATURE));
        assert!(!is_signed_by(
            &public,
            &TEXT.replace("post", "POST"),
            SIGNATURE
        ));
    }
}
