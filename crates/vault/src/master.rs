//! The master key: 32 bytes the operator keeps outside the database.

use crate::aead::{KEY_BYTES, NONCE_BYTES, Parts, RootKey, TAG_BYTES, push_field};
use crate::entropy::SystemEntropy;
use crate::hash::hex;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use keyway_core::entropy::Entropy;
use std::fmt;
use zeroize::Zeroizing;

const WRAP_VERSION: u8 = 1;
const WRAP_INFO: &[u8] = b"keyway key wrapping v1";
const FINGERPRINT_INFO: &[u8] = b"keyway master key fingerprint v1";
const FINGERPRINT_BYTES: usize = 8;

/// The text is not a master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeyError {
    /// Not base64.
    #[error("a master key is base64 of 32 bytes; this is not base64")]
    NotBase64,
    /// Base64 of something longer or shorter.
    #[error("a master key is base64 of 32 bytes; this is base64 of {bytes}")]
    WrongLength {
        /// How many bytes were found.
        bytes: usize,
    },
}

/// The bytes are no key that this master key wrapped for this use: another one did, or for another use, or they
/// were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// The operator's key. It wraps the keyring's keys and does nothing else.
pub struct MasterKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    root: RootKey,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.fingerprint())
    }
}

impl MasterKey {
    fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let root = RootKey::new(&bytes);
        Self { bytes, root }
    }

    /// The key written in `text`: base64 of 32 bytes, with or without padding; white space around it
    /// is ignored.
    ///
    /// # Errors
    /// When it is not that. The error holds nothing of the text.
    pub fn parse_base64(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim();
        let decoded = STANDARD
            .decode(text)
            .or_else(|_| STANDARD_NO_PAD.decode(text))
            .map(Zeroizing::new)
            .map_err(|_| MasterKeyError::NotBase64)?;
        let bytes = <&[u8; KEY_BYTES]>::try_from(decoded.as_slice()).map_err(|_| {
            MasterKeyError::WrongLength {
                bytes: decoded.len(),
            }
        })?;
        Ok(Self::new(Zeroizing::new(*bytes)))
    }

    /// A new random key.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        entropy.fill(bytes.as_mut_slice());
        Self::new(bytes)
    }

    /// The key as text, for the operator's file.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.bytes.as_slice()))
    }

    /// 16 hexadecimal digits that name this key and tell nothing about it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let derived = self.root.derive(FINGERPRINT_INFO);
        hex(derived
            .first_chunk::<FINGERPRINT_BYTES>()
            .map_or(&[], |short| short.as_slice()))
    }

    fn aad(context: &str) -> Vec<u8> {
        let mut aad = vec![WRAP_VERSION];
        push_field(&mut aad, context.as_bytes());
        aad
    }

    /// `key`, encrypted for `context`, which names it: under another name it does not open, so wrapped keys
    /// cannot be exchanged for each other in the database.
    ///
    /// Wrapped form: version (1) ‖ nonce (12) ‖ ciphertext ‖ tag (16); AES-256-GCM under a key derived
    /// from the master key, with the context as associated data.
    pub(crate) fn wrap(&self, context: &str, key: &[u8]) -> Vec<u8> {
        let aad = Self::aad(context);
        let parts = Parts {
            header: &[WRAP_VERSION],
            info: &[WRAP_INFO],
            aad: &aad,
        };
        // The nonce never comes from an injected source: all wrappings share one derived key.
        self.root.seal(&SystemEntropy, &parts, key)
    }

    /// The key wrapped for `context`.
    pub(crate) fn unwrap(
        &self,
        context: &str,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let (version, sealed) = wrapped.split_first().ok_or(Refused)?;
        if *version != WRAP_VERSION || sealed.len() < NONCE_BYTES + TAG_BYTES {
            return Err(Refused);
        }
        let aad = Self::aad(context);
        let parts = Parts {
            header: &[],
            info: &[WRAP_INFO],
            aad: &aad,
        };
        self.root.open(&parts, sealed).map_err(|_| Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::entropy::SeededEntropy;

    fn key(seed: u64) -> MasterKey {
        MasterKey::generate(&SeededEntropy::new(seed))
    }

    #[test]
    fn base64_round_trips_with_and_without_padding_and_newline() {
        let text = key(1).to_base64();
        for form in [
            format!("{}\n", text.as_str()),
            text.trim_end_matches('=').to_owned(),
        ] {
            let parsed = MasterKey::parse_base64(&form).unwrap();
            assert_eq!(parsed.fingerprint(), key(1).fingerprint());
            assert_eq!(*parsed.to_base64(), *text);
        }
    }

    #[test]
    fn other_text_is_refused_by_what_is_wrong_with_it() {
        let refused = |text| MasterKey::parse_base64(text).map(|_| ()).unwrap_err();
        assert_eq!(refused("not base64!"), MasterKeyError::NotBase64);
        assert_eq!(refused(""), MasterKeyError::WrongLength { bytes: 0 });
        assert_eq!(refused("AAAA"), MasterKeyError::WrongLength { bytes: 3 });
    }

    #[test]
    fn fingerprints_are_short_and_tell_keys_apart() {
        assert_eq!(key(1).fingerprint().len(), 16);
        assert_ne!(key(1).fingerprint(), key(2).fingerprint());
    }

    #[test]
    fn a_wrapped_key_is_unwrapped_for_its_context_by_its_key_only() {
        let wrapped = key(1).wrap("term 1", b"secret");
        assert_eq!(
            key(1).unwrap("term 1", &wrapped).unwrap().as_slice(),
            b"secret"
        );
        assert_eq!(key(1).unwrap("term 2", &wrapped), Err(Refused));
        assert_eq!(key(2).unwrap("term 1", &wrapped), Err(Refused));
    }

    #[test]
    fn every_changed_or_missing_byte_of_a_wrapped_key_is_noticed() {
        let wrapped = key(1).wrap("c", b"secret");
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            assert!(key(1).unwrap("c", &changed).is_err(), "byte {at}");
            assert!(key(1).unwrap("c", &wrapped[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn debug_shows_the_fingerprint_and_not_the_key() {
        let shown = format!("{:?}", key(1));
        assert_eq!(shown, format!("MasterKey({})", key(1).fingerprint()));
        assert!(!shown.contains(key(1).to_base64().as_str()));
    }
}
