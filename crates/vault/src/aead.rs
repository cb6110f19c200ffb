//! The one construction everything is encrypted with: AES-256-GCM under a key derived with HKDF.
//!
//! Each use has its own derived key, so random 96-bit nonces are drawn per key and far from the
//! number at which they would repeat.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA256, Prk};
use keyway_core::entropy::{Entropy, random_bytes};
use std::fmt;
use zeroize::Zeroizing;

/// Length of every symmetric key here.
pub(crate) const KEY_BYTES: usize = 32;
/// Length of a GCM nonce.
pub(crate) const NONCE_BYTES: usize = 12;
/// Length of a GCM tag.
pub(crate) const TAG_BYTES: usize = 16;

/// The bytes do not belong to this key and these associated data, or were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// A key other keys are derived from; encrypts nothing itself.
///
/// The bytes come from a random generator, so HKDF's extract step is left out (RFC 5869, 3.3).
pub(crate) struct RootKey(Prk);

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}

impl RootKey {
    /// A root over 32 uniformly random bytes.
    pub(crate) fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(Prk::new_less_safe(HKDF_SHA256, bytes))
    }

    #[expect(
        clippy::expect_used,
        reason = "32 bytes are far below HKDF's limit of 8160"
    )]
    fn expand<'a, L: hkdf::KeyType>(&'a self, info: &'a [&'a [u8]], len: L) -> hkdf::Okm<'a, L> {
        self.0.expand(info, len).expect("within the limit of HKDF")
    }

    fn key(&self, info: &[&[u8]]) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::from(self.expand(info, &AES_256_GCM)))
    }

    /// 32 bytes for the use named by `label`.
    #[expect(
        clippy::expect_used,
        reason = "as many bytes are asked for as are filled"
    )]
    pub(crate) fn derive(&self, label: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
        let mut out = Zeroizing::new([0; KEY_BYTES]);
        self.expand(&[label], HKDF_SHA256)
            .fill(out.as_mut_slice())
            .expect("the length fits");
        out
    }

    /// `header ‖ nonce ‖ ciphertext ‖ tag`, encrypted under the key derived with `info`.
    #[expect(
        clippy::expect_used,
        reason = "GCM refuses only texts of 64 GiB and more"
    )]
    pub(crate) fn seal(&self, entropy: &dyn Entropy, parts: &Parts<'_>, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = random_bytes(entropy);
        let body_at = parts.header.len() + NONCE_BYTES;
        let mut out = Vec::with_capacity(body_at + plain.len() + TAG_BYTES);
        out.extend_from_slice(parts.header);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let (_, body) = out.split_at_mut(body_at);
        let tag = self
            .key(parts.info)
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(parts.aad),
                body,
            )
            .expect("the text is of a size GCM takes");
        out.extend_from_slice(tag.as_ref());
        out
    }

    /// The text in `nonce ‖ ciphertext ‖ tag`.
    pub(crate) fn open(
        &self,
        parts: &Parts<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
        let (nonce, body) = sealed
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(NotAuthentic)?;
        let mut text = Zeroizing::new(body.to_vec());
        let opened = self
            .key(parts.info)
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(parts.aad),
                &mut text,
            )
            .map_err(|_| NotAuthentic)?
            .len();
        text.truncate(opened);
        Ok(text)
    }
}

/// What surrounds an encrypted text.
pub(crate) struct Parts<'a> {
    /// Written in clear before the nonce. Only used when sealing.
    pub(crate) header: &'a [u8],
    /// What the key is derived for.
    pub(crate) info: &'a [&'a [u8]],
    /// What is authenticated beside the text.
    pub(crate) aad: &'a [u8],
}

/// Appends `field` to `out` behind its length, so that no two lists of fields read the same.
pub(crate) fn push_field(out: &mut Vec<u8>, field: &[u8]) {
    out.extend_from_slice(&(field.len() as u64).to_be_bytes());
    out.extend_from_slice(field);
}
