//! The vault: seals secrets for a row, opens them, and makes keyed digests.

use crate::aead::{NONCE_BYTES, Parts, RootKey, TAG_BYTES, push_field};
use crate::digest::DigestKey;
use crate::hash::constant_time_eq;
use crate::keyring::{
    self, DIGEST_KEY_ID, FIRST_TERM, KeyPurpose, KeyState, StoredKey, Terms, UnlockError, Unlocked,
};
use crate::master::MasterKey;
use arc_swap::ArcSwap;
use keyway_core::entropy::Entropy;
use keyway_core::sealed::{Digest, DigestKind, SealContext, Sealed};
use keyway_core::time::Clock;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

const SEAL_VERSION: u8 = 1;
/// Version and term, before the nonce.
const HEADER_BYTES: usize = 5;

/// Sealed bytes could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Sealed with a term this vault does not hold: perhaps one another replica has just added, so
    /// reload the keyring and try once more.
    #[error("sealed with term {term}, which is not on the keyring")]
    UnknownTerm {
        /// The term's number.
        term: u32,
    },
    /// Sealed for another row or column, or changed since.
    #[error("the sealed bytes belong to another row or column, or were changed")]
    Tampered,
    /// Not of the form the vault writes.
    #[error("the bytes are not of the form the vault writes")]
    Malformed,
}

/// The unlocked keyring.
///
/// Sealed form: version (1) ‖ term (4, big endian) ‖ nonce (12) ‖ ciphertext ‖ tag (16). The key is
/// HKDF-SHA256(term key, purpose ‖ 0 ‖ row); version, term, purpose and row are authenticated. What
/// was sealed for one row therefore opens for no other.
///
/// Any number of threads may use a vault; new terms are taken up while they do.
pub struct Vault {
    terms: ArcSwap<Terms>,
    digest: DigestKey,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("terms", &self.terms())
            .finish_non_exhaustive()
    }
}

impl Vault {
    fn new(unlocked: Unlocked, entropy: Arc<dyn Entropy>) -> Self {
        let Unlocked { terms, digest } = unlocked;
        Self {
            terms: ArcSwap::from_pointee(terms),
            digest,
            entropy,
        }
    }

    /// A vault for an empty database: the digest key and the first term, to be stored before anything
    /// is sealed with them.
    ///
    /// # Errors
    /// If what was wrapped does not open again: a defect, found before a secret depends on it.
    pub fn found(
        master: &MasterKey,
        entropy: Arc<dyn Entropy>,
        clock: &dyn Clock,
    ) -> Result<(Self, Vec<StoredKey>), UnlockError> {
        let now = clock.now();
        let keys = [
            (DIGEST_KEY_ID, KeyPurpose::Digest, KeyState::Active),
            (FIRST_TERM, KeyPurpose::Sealing, KeyState::Active),
        ]
        .into_iter()
        .map(|key| keyring::make_key(master, &*entropy, now, key));
        let keys: Vec<StoredKey> = keys.collect();
        Ok((Self::unlock(master, entropy, &keys)?, keys))
    }

    /// The vault over the keys of a database.
    ///
    /// # Errors
    /// Says what is wrong with the keys or the master key; see [`UnlockError`].
    pub fn unlock(
        master: &MasterKey,
        entropy: Arc<dyn Entropy>,
        keys: &[StoredKey],
    ) -> Result<Self, UnlockError> {
        Ok(Self::new(keyring::unlock(master, keys)?, entropy))
    }

    /// Takes up the sealing terms in `keys`, all the keys of the database, in place of those held.
    /// Running calls finish with what they began with. The digest key stays.
    ///
    /// # Errors
    /// As [`Vault::unlock`]; then nothing has changed.
    pub fn reload(&self, master: &MasterKey, keys: &[StoredKey]) -> Result<(), UnlockError> {
        let Unlocked { terms, .. } = keyring::unlock(master, keys)?;
        self.terms.store(Arc::new(terms));
        Ok(())
    }

    /// Whether a term in `keys` that is not retired is not held: then the states alone cannot be taken up,
    /// and the master key is needed.
    #[must_use]
    pub fn lacks(&self, keys: &[StoredKey]) -> bool {
        self.terms.load().lack(keys)
    }

    /// Takes up the states in `keys`, all the keys of the database, for the terms held. Those retired there
    /// are dropped, and wiped once no running call uses them.
    ///
    /// # Errors
    /// If no term held would seal; then nothing has changed.
    pub fn restate(&self, keys: &[StoredKey]) -> Result<(), UnlockError> {
        let restated = self.terms.load().restated(keys);
        self.terms
            .store(Arc::new(restated.ok_or(UnlockError::MissingTerm)?));
        Ok(())
    }

    /// A new term, wrapped and announced, with the number after the highest this vault holds. It is to be
    /// stored, held by every process, and only then made active.
    #[must_use]
    pub fn new_term(&self, master: &MasterKey, clock: &dyn Clock) -> StoredKey {
        let id = self
            .terms()
            .last()
            .map_or(FIRST_TERM, |highest| i64::from(*highest) + 1);
        let key = (id, KeyPurpose::Sealing, KeyState::Announced);
        keyring::make_key(master, &*self.entropy, clock.now(), key)
    }

    /// The numbers of the terms that open, in ascending order.
    #[must_use]
    pub fn terms(&self) -> Vec<u32> {
        self.terms.load().numbers()
    }

    /// The number of the term that seals.
    #[must_use]
    pub fn sealing_term(&self) -> u32 {
        self.terms.load().sealing().0
    }

    /// Seals `plain` for the row and use named by `context`. Sealing twice gives different bytes.
    #[must_use]
    pub fn seal(&self, context: &SealContext<'_>, plain: &[u8]) -> Sealed {
        let terms = self.terms.load();
        let (term, key) = terms.sealing();
        let header = header(term);
        let aad = aad(&header, context);
        let parts = Parts {
            header: &header,
            info: &info(context),
            aad: &aad,
        };
        Sealed(key.seal(&*self.entropy, &parts, plain))
    }

    /// What was sealed for `context`.
    ///
    /// # Errors
    /// When the bytes were sealed for another context or with an unknown term, or changed.
    pub fn open(
        &self,
        context: &SealContext<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (term, body) = split_header(&sealed.0)?;
        let terms = self.terms.load();
        let key: &RootKey = terms.get(term).ok_or(OpenError::UnknownTerm { term })?;
        let aad = aad(&header(term), context);
        let parts = Parts {
            header: &[],
            info: &info(context),
            aad: &aad,
        };
        key.open(&parts, body).map_err(|_| OpenError::Tampered)
    }

    /// The keyed digest of `data` as a `kind`. Equal data, equal digest, over all replicas and terms.
    #[must_use]
    pub fn digest(&self, kind: DigestKind, data: &[u8]) -> Digest {
        self.digest.digest(kind, data)
    }

    /// Whether `expected` is the digest of `data`, in constant time.
    #[must_use]
    pub fn verify_digest(&self, kind: DigestKind, data: &[u8], expected: &Digest) -> bool {
        constant_time_eq(&self.digest(kind, data).0, &expected.0)
    }
}

/// What the bytes a term seals begin with; to find the rows it holds.
#[must_use]
pub fn sealed_prefix(term: u32) -> Vec<u8> {
    header(term).to_vec()
}

/// The term whose [`sealed_prefix`] `prefix` is.
#[must_use]
pub fn term_of_prefix(prefix: &[u8]) -> Option<u32> {
    match *prefix {
        [SEAL_VERSION, a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}

fn header(term: u32) -> [u8; HEADER_BYTES] {
    let [a, b, c, d] = term.to_be_bytes();
    [SEAL_VERSION, a, b, c, d]
}

fn split_header(sealed: &[u8]) -> Result<(u32, &[u8]), OpenError> {
    let (header, body) = sealed
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(OpenError::Malformed)?;
    let [version, term @ ..] = *header;
    if version != SEAL_VERSION || body.len() < NONCE_BYTES + TAG_BYTES {
        return Err(OpenError::Malformed);
    }
    Ok((u32::from_be_bytes(term), body))
}

/// A purpose holds no zero byte, so no other pair reads the same.
fn info<'a>(context: &SealContext<'a>) -> [&'a [u8]; 3] {
    [context.purpose.as_bytes(), &[0], context.row.as_bytes()]
}

fn aad(header: &[u8; HEADER_BYTES], context: &SealContext<'_>) -> Vec<u8> {
    let mut aad = Vec::with_capacity(64 + context.purpose.len() + context.row.len());
    aad.extend_from_slice(header);
    push_field(&mut aad, context.purpose.as_bytes());
    push_field(&mut aad, context.row.as_bytes());
    aad
}

#[cfg(test)]
mod tests;
