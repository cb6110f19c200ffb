//! The keys of a vault as they rest in the database, and how they are unlocked.

use crate::aead::{KEY_BYTES, RootKey};
use crate::digest::DigestKey;
use crate::master::MasterKey;
use keyway_core::entropy::Entropy;
use keyway_core::time::UnixMillis;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The id of the digest key. Sealing terms count from [`FIRST_TERM`], so ids are unique over both.
pub const DIGEST_KEY_ID: i64 = 0;
/// The first sealing term of every vault.
pub const FIRST_TERM: i64 = 1;

/// What a key of the ring is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPurpose {
    /// A term: seals and opens.
    Sealing,
    /// Makes the keyed digests. There is one, and rotation of terms leaves it alone.
    Digest,
}

impl KeyPurpose {
    /// The word it is stored as.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sealing => "sealing",
            Self::Digest => "digest",
        }
    }

    /// The purpose stored as `word`, if it is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Sealing, Self::Digest]
            .into_iter()
            .find(|purpose| purpose.as_str() == word)
    }
}

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// Opens, and does not seal yet: every process is to hold it before any seals with it.
    Announced,
    /// In use. The newest active term seals.
    Active,
    /// Opens what it sealed, seals nothing any more; its rows are being sealed anew.
    Retiring,
    /// Nothing is sealed with it any more; it is not loaded.
    Retired,
}

impl KeyState {
    /// The word it is stored as.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }

    /// The state stored as `word`, if it is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Announced, Self::Active, Self::Retiring, Self::Retired]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// One key of the ring, as the database holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// The term's number, or [`DIGEST_KEY_ID`]. Written into everything the term seals.
    pub id: i64,
    /// What it is for.
    pub purpose: KeyPurpose,
    /// The key, wrapped by the master key.
    pub wrapped: Vec<u8>,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Since when it is in that state.
    pub state_since: UnixMillis,
    /// [`MasterKey::fingerprint`] of the key that wrapped it.
    pub master_fingerprint: String,
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKey")
            .field("id", &self.id)
            .field("purpose", &self.purpose)
            .field("state", &self.state)
            .field("created_at", &self.created_at)
            .field("state_since", &self.state_since)
            .field("master_fingerprint", &self.master_fingerprint)
            .finish_non_exhaustive()
    }
}

/// The keyring could not be unlocked. The words are for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnlockError {
    /// The keys were wrapped by another master key.
    #[error(
        "this is not the master key of this database: its keys were wrapped by {expected}, the key \
         given is {given}; start with the key file that was made with the database"
    )]
    WrongMasterKey {
        /// Fingerprint of the key that is needed.
        expected: String,
        /// Fingerprint of the key that was given.
        given: String,
    },
    /// The master key is right, but a wrapped key does not open: it was changed or moved.
    #[error(
        "key {id} ({}) of this database was damaged or changed; restore it from a backup",
        purpose.as_str()
    )]
    Tampered {
        /// The key's id.
        id: i64,
        /// The key's purpose.
        purpose: KeyPurpose,
    },
    /// There is no usable digest key.
    #[error("this database has no digest key, so no API key or code in it can be recognised")]
    MissingDigestKey,
    /// There is no active sealing term.
    #[error("this database has no active sealing key, so nothing can be stored in it")]
    MissingTerm,
    /// A key's id is not one its purpose can have, or two keys share it.
    #[error("this database has a key numbered {id}, which is out of range or there twice")]
    BadId {
        /// The id.
        id: i64,
    },
}

/// One unlocked sealing term.
#[derive(Clone)]
pub(crate) struct Term {
    number: u32,
    state: KeyState,
    key: Arc<RootKey>,
}

/// The unlocked sealing terms, of which one seals.
#[derive(Clone)]
pub(crate) struct Terms {
    keys: BTreeMap<u32, Arc<RootKey>>,
    sealing: Term,
}

impl Terms {
    fn of(terms: &[Term]) -> Option<Self> {
        let active = terms.iter().filter(|term| term.state == KeyState::Active);
        let sealing = active.max_by_key(|term| term.number)?.clone();
        let keys = terms
            .iter()
            .map(|term| (term.number, Arc::clone(&term.key)))
            .collect();
        Some(Self { keys, sealing })
    }

    /// The term that seals, with its key.
    pub(crate) fn sealing(&self) -> (u32, &RootKey) {
        (self.sealing.number, &self.sealing.key)
    }

    pub(crate) fn get(&self, term: u32) -> Option<&RootKey> {
        self.keys.get(&term).map(AsRef::as_ref)
    }

    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.keys.keys().copied().collect()
    }

    /// Whether one of `keys` that is not retired is not held.
    pub(crate) fn lack(&self, keys: &[StoredKey]) -> bool {
        let mut live = live_terms(keys);
        live.any(|key| term_number(key).map_or(true, |number| !self.keys.contains_key(&number)))
    }

    /// The terms held, in the states `keys` say; those that are retired or gone there are left out. `None`
    /// without a term that seals.
    pub(crate) fn restated(&self, keys: &[StoredKey]) -> Option<Self> {
        let terms: Vec<Term> = live_terms(keys)
            .filter_map(|key| {
                let number = term_number(key).ok()?;
                Some(Term {
                    number,
                    state: key.state,
                    key: Arc::clone(self.keys.get(&number)?),
                })
            })
            .collect();
        Self::of(&terms)
    }
}

fn live_terms(keys: &[StoredKey]) -> impl Iterator<Item = &StoredKey> {
    let is_live =
        |key: &&StoredKey| key.purpose == KeyPurpose::Sealing && key.state != KeyState::Retired;
    keys.iter().filter(is_live)
}

/// Everything a vault works with.
pub(crate) struct Unlocked {
    pub(crate) terms: Terms,
    pub(crate) digest: DigestKey,
}

fn wrap_context(id: i64, purpose: KeyPurpose) -> String {
    format!("keyring.{}.{id}", purpose.as_str())
}

/// A new random key, wrapped for storage.
pub(crate) fn make_key(
    master: &MasterKey,
    entropy: &dyn Entropy,
    now: UnixMillis,
    (id, purpose, state): (i64, KeyPurpose, KeyState),
) -> StoredKey {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    entropy.fill(bytes.as_mut_slice());
    StoredKey {
        id,
        purpose,
        wrapped: master.wrap(&wrap_context(id, purpose), bytes.as_slice()),
        state,
        created_at: now,
        state_since: now,
        master_fingerprint: master.fingerprint(),
    }
}

fn unwrap_key(
    master: &MasterKey,
    key: &StoredKey,
) -> Result<Zeroizing<[u8; KEY_BYTES]>, UnlockError> {
    let tampered = UnlockError::Tampered {
        id: key.id,
        purpose: key.purpose,
    };
    let unwrapped = master.unwrap(&wrap_context(key.id, key.purpose), &key.wrapped);
    let bytes = unwrapped.map_err(|_| tampered.clone())?;
    <&[u8; KEY_BYTES]>::try_from(bytes.as_slice())
        .map(|bytes| Zeroizing::new(*bytes))
        .map_err(|_| tampered)
}

fn require_master(master: &MasterKey, keys: &[StoredKey]) -> Result<(), UnlockError> {
    let given = master.fingerprint();
    match keys.iter().find(|key| key.master_fingerprint != given) {
        Some(key) => {
            let expected = key.master_fingerprint.clone();
            Err(UnlockError::WrongMasterKey { expected, given })
        }
        None => Ok(()),
    }
}

/// Unwraps one sealing term.
fn unlock_term(master: &MasterKey, key: &StoredKey) -> Result<Term, UnlockError> {
    let number = term_number(key)?;
    let root = Arc::new(RootKey::new(&*unwrap_key(master, key)?));
    Ok(Term {
        number,
        state: key.state,
        key: root,
    })
}

fn unlock_terms(master: &MasterKey, keys: &[StoredKey]) -> Result<Terms, UnlockError> {
    let mut terms: Vec<Term> = Vec::new();
    for key in keys.iter().filter(|key| key.purpose == KeyPurpose::Sealing) {
        let term = unlock_term(master, key)?;
        if terms.iter().any(|other| other.number == term.number) {
            return Err(UnlockError::BadId { id: key.id });
        }
        terms.push(term);
    }
    Terms::of(&terms).ok_or(UnlockError::MissingTerm)
}

fn term_number(key: &StoredKey) -> Result<u32, UnlockError> {
    u32::try_from(key.id)
        .ok()
        .filter(|number| *number > 0 && key.purpose == KeyPurpose::Sealing)
        .ok_or(UnlockError::BadId { id: key.id })
}

fn unlock_digest(master: &MasterKey, keys: &[StoredKey]) -> Result<DigestKey, UnlockError> {
    let mut digest_keys = keys.iter().filter(|key| key.purpose == KeyPurpose::Digest);
    let key = digest_keys.next().ok_or(UnlockError::MissingDigestKey)?;
    match digest_keys.next() {
        Some(second) => Err(UnlockError::BadId { id: second.id }),
        None => Ok(DigestKey::new(&*unwrap_key(master, key)?)),
    }
}

/// Unwraps every key that is not retired.
pub(crate) fn unlock(master: &MasterKey, keys: &[StoredKey]) -> Result<Unlocked, UnlockError> {
    let live: Vec<_> = keys
        .iter()
        .filter(|key| key.state != KeyState::Retired)
        .cloned()
        .collect();
    require_master(master, &live)?;
    Ok(Unlocked {
        digest: unlock_digest(master, &live)?,
        terms: unlock_terms(master, &live)?,
    })
}

/// `keys`, all the keys of a database, wrapped by `to` in place of `from`. The keys themselves stay, so
/// nothing that was sealed or digested with them has to be touched.
///
/// # Errors
/// If a key does not open with `from`, or with `to` afterwards.
pub fn rewrap(
    from: &MasterKey,
    to: &MasterKey,
    keys: &[StoredKey],
) -> Result<Vec<StoredKey>, UnlockError> {
    require_master(from, keys)?;
    let rewrapped = keys.iter().map(|key| {
        let bytes = unwrap_key(from, key)?;
        Ok(StoredKey {
            wrapped: to.wrap(&wrap_context(key.id, key.purpose), bytes.as_slice()),
            master_fingerprint: to.fingerprint(),
            ..key.clone()
        })
    });
    let rewrapped = rewrapped.collect::<Result<Vec<_>, UnlockError>>()?;
    // What cannot be unwrapped again must not replace what can.
    for key in &rewrapped {
        unwrap_key(to, key)?;
    }
    Ok(rewrapped)
}
