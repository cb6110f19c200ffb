//! Keyed digests: how secrets are found and compared without being kept.

use crate::aead::KEY_BYTES;
use aws_lc_rs::hmac;
use keyway_core::sealed::{Digest, DigestKind};
use std::fmt;

/// The key of all digests: HMAC-SHA256 over `label ‖ 0 ‖ data`.
///
/// Labels hold no zero byte, so digests of different kinds are of different texts.
pub(crate) struct DigestKey(hmac::Key);

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(..)")
    }
}

impl DigestKey {
    pub(crate) fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    pub(crate) fn digest(&self, kind: DigestKind, data: &[u8]) -> Digest {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(kind.label().as_bytes());
        context.update(&[0]);
        context.update(data);
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        Digest(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hex;

    #[test]
    fn hmac_gives_the_answer_computed_elsewhere() {
        let key = DigestKey::new(&[7; 32]);
        assert_eq!(
            hex(&key.digest(DigestKind::ApiKey, b"data").0),
            "9c569b1e2bab3d1427af7779c104011628587c25d95cd293fa87f0d83df36dde"
        );
    }

    #[test]
    fn kinds_separate_equal_data() {
        let key = DigestKey::new(&[7; 32]);
        let mut seen = std::collections::BTreeSet::new();
        for kind in DigestKind::ALL {
            assert!(seen.insert(key.digest(kind, b"same")));
        }
    }

    #[test]
    fn another_key_gives_another_digest() {
        let digest = |byte| DigestKey::new(&[byte; 32]).digest(DigestKind::Code, b"x");
        assert_ne!(digest(1), digest(2));
    }
}
