//! The vault's keys over their life: a term is announced, seals, retires; the master key is replaced.
//!
//! Every process has to hold a term before any seals with it, or one could store what another cannot open.
//! So a new term is announced first, and becomes active when everybody has had time to read of it in the
//! sequence of changes. The term before it then retires: what it sealed is sealed anew ([`reseal`]), and once
//! nothing is left and no browser can bring a cookie that it sealed, it is retired and no longer loaded.

pub mod reseal;

use crate::engine::{ChangeOf, Engine};
use crate::error::{Error, ErrorKind};
use crate::unlock::{self, MasterKey, UnlockError};
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::ids::ApplicationId;
use keyway_core::issued::KeyRow;
use keyway_core::sealed::{SealContext, Sealed};
use keyway_core::sign_in::SIGN_IN_LIFETIME_SECS;
use keyway_core::time::UnixMillis;
use keyway_store::{SealedColumn, Session, StoreError};
use keyway_vault::{KeyPurpose, KeyState, OpenError, StoredKey, term_of_prefix};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a new term is announced before it seals, beside the time that [`MasterKeys::takes_up_to`]:
/// processes read of it within 100 ms, and then ask for the master key.
///
/// [`MasterKeys::takes_up_to`]: crate::unlock::MasterKeys::takes_up_to
pub const ANNOUNCED_FOR: Duration = Duration::from_secs(5);
/// How long a term that stopped sealing is kept at least, in seconds: until no sign-in's cookie sealed with it
/// is good any more.
pub const RETIRES_AFTER_SECS: i64 = SIGN_IN_LIFETIME_SECS + 5 * 60;
/// Pause before keys that could not be taken up are tried again; it doubles with every failure, so that a
/// command or a service that is in trouble is not kept there by many servers.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// A term, and what it seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermStatus {
    /// Its number.
    pub term: u32,
    /// Where it is in its life.
    pub state: KeyState,
    /// Since when.
    pub since: UnixMillis,
    /// How many values it seals, by column; columns without any are left out.
    pub values: BTreeMap<&'static str, i64>,
}

impl TermStatus {
    /// How many values it seals.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.values.values().sum()
    }
}

/// The keyring, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringStatus {
    /// Which master key wraps the keys.
    pub master_fingerprint: String,
    /// The sealing terms, oldest first.
    pub terms: Vec<TermStatus>,
    /// Values sealed with terms that are not on the keyring: by term, how many.
    pub strays: BTreeMap<u32, i64>,
}

impl KeyringStatus {
    /// How many values are sealed otherwise than with the active term.
    #[must_use]
    pub fn to_reseal(&self) -> i64 {
        let old = self.terms.iter().filter(|t| t.state != KeyState::Active);
        old.map(TermStatus::total).sum::<i64>() + self.strays.values().sum::<i64>()
    }

    /// The term in this state, the newest if there are several.
    #[must_use]
    pub fn newest(&self, state: KeyState) -> Option<&TermStatus> {
        self.terms.iter().rev().find(|term| term.state == state)
    }
}

/// An entry for the sequence of changes: the keyring is no application's.
fn keyring_change(term: i64, action: Action, at: UnixMillis, state: KeyState) -> NewChange {
    let change = ChangeOf {
        application_id: ApplicationId::from_u128(0),
        entity: Entity::Keyring,
        id: &term,
        action,
        actor: "cli",
    };
    change.with(at, json!({"state": state.as_str()}))
}

async fn restate(
    s: &mut Session<'_>,
    key: KeyRow,
    to: KeyState,
    at: UnixMillis,
) -> Result<Option<NewChange>, StoreError> {
    let from = key.state.clone();
    let key = KeyRow {
        state: to.as_str().to_owned(),
        state_since: at,
        ..key
    };
    let change = keyring_change(key.term, Action::Updated, at, to);
    Ok(s.restate_key(&key, &from).await?.then_some(change))
}

/// The sealing terms in this state.
fn in_state(keys: Vec<KeyRow>, state: KeyState) -> impl Iterator<Item = KeyRow> {
    let is_meant = move |key: &KeyRow| {
        key.purpose == KeyPurpose::Sealing.as_str() && key.state == state.as_str()
    };
    keys.into_iter().filter(is_meant)
}

impl Engine {
    /// What is in a sealed value.
    pub(crate) fn open_sealed(
        &self,
        context: &SealContext<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.vault()
            .open(context, sealed)
            .map_err(|error| match error {
                OpenError::UnknownTerm { .. } => self.term_unknown(error),
                other => Error::internal(other),
            })
    }

    /// Another process seals with a term this one has not read of: it looks at once.
    pub(crate) fn term_unknown(&self, error: OpenError) -> Error {
        self.inner.keys_changed.notify_one();
        let words = "A key has just been rotated; try again shortly.";
        Error::new(ErrorKind::Unavailable, words)
            .retry_after(1)
            .caused_by(error)
    }

    /// Takes up the keys of the database: terms made elsewhere, and their states.
    ///
    /// # Errors
    /// If they cannot be read, or not be unwrapped with the master key this process finds.
    pub async fn take_up_keys(&self) -> Result<(), UnlockError> {
        let keys = unlock::read_keys(self.store()).await?;
        if self.vault().lacks(&keys) {
            let masters = &*self.inner.parts.master_keys;
            let master = unlock::choose(masters, &keys).await?;
            return Ok(self.vault().reload(&master, &keys)?);
        }
        Ok(self.vault().restate(&keys)?)
    }

    /// Takes up the keys whenever they change elsewhere, until the server stops.
    pub(crate) async fn follow_keys(self) {
        loop {
            tokio::select! {
                () = self.stopping() => return,
                () = self.inner.keys_changed.notified() => {}
            }
            let mut pause = RETRY_PAUSE;
            while let Err(error) = self.take_up_keys().await {
                self.inner.keys_missing.store(true, Ordering::Relaxed);
                tracing::error!(%error, "the keys of the database changed and cannot be taken up");
                tokio::select! {
                    () = self.stopping() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(RETRY_PAUSE_MAX);
            }
            self.inner.keys_missing.store(false, Ordering::Relaxed);
        }
    }

    /// Which master key wraps the keys.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn master_fingerprint(&self) -> Result<String, UnlockError> {
        let keys = unlock::read_keys(self.store()).await?;
        let first = keys.into_iter().next();
        Ok(first.map(|key| key.master_fingerprint).unwrap_or_default())
    }

    /// Whether a term is announced and does not seal yet.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn is_announcing(&self) -> Result<bool, UnlockError> {
        let keys = unlock::read_keys(self.store()).await?;
        Ok(keys.iter().any(|key| key.state == KeyState::Announced))
    }

    /// The keyring. Counts every sealed value, so it takes as long as reading them all.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn keyring_status(&self) -> Result<KeyringStatus, UnlockError> {
        let keys = unlock::read_keys(self.store()).await?;
        let mut counts = self.count_sealed().await?;
        let master = keys.first().map(|key| key.master_fingerprint.clone());
        let sealing = keys.iter().filter(|k| k.purpose == KeyPurpose::Sealing);
        let terms = sealing.map(|key| term_status(key, &mut counts)).collect();
        let strays = counts
            .into_iter()
            .map(|(term, values)| (term, values.values().sum()));
        Ok(KeyringStatus {
            master_fingerprint: master.unwrap_or_default(),
            terms,
            strays: strays.collect(),
        })
    }

    /// How many values each term seals, by column. A value of a form nobody writes counts for term 0.
    async fn count_sealed(&self) -> Result<BTreeMap<u32, BTreeMap<&'static str, i64>>, StoreError> {
        let mut counts: BTreeMap<u32, BTreeMap<&'static str, i64>> = BTreeMap::new();
        for column in SealedColumn::ALL {
            let job = self
                .store()
                .read(move |s| Box::pin(async move { s.count_sealed(column).await }));
            for (prefix, number) in job.await? {
                let term = term_of_prefix(&prefix).unwrap_or(0);
                *counts
                    .entry(term)
                    .or_default()
                    .entry(column.as_str())
                    .or_default() += number;
            }
        }
        Ok(counts)
    }

    /// Makes a new term and announces it. Returns its number.
    ///
    /// # Errors
    /// If one is announced already, the master key cannot be had or was replaced at the same moment, or the
    /// database does not answer.
    pub async fn announce_term(&self) -> Result<u32, RotateError> {
        self.take_up_keys().await?;
        let keys = unlock::read_keys(self.store()).await?;
        let announced = keys.iter().find(|key| key.state == KeyState::Announced);
        if let Some(StoredKey { id: term, .. }) = announced {
            return Err(RotateError::UnderWay { term: *term });
        }
        // This may take long, and somebody may replace the master key meanwhile.
        let master = unlock::choose(&*self.inner.parts.master_keys, &keys).await?;
        let new = self.vault().new_term(&master, &*self.inner.parts.clock);
        let (term, row) = (new.id, unlock::to_row(&new));
        self.commit(move |s| Box::pin(store_announced(s, row)))
            .await??;
        self.take_up_keys().await?;
        Ok(u32::try_from(term).unwrap_or(u32::MAX))
    }

    /// How long a new term is announced here before it seals.
    #[must_use]
    pub fn announced_for(&self) -> Duration {
        ANNOUNCED_FOR + self.inner.parts.master_keys.takes_up_to()
    }

    /// Makes a term that has been announced for long enough the one that seals; the one before it retires.
    /// `false` if none is due.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn activate_announced(&self) -> Result<bool, Error> {
        let announced_ms = i64::try_from(self.announced_for().as_millis()).unwrap_or(i64::MAX);
        let activated = self
            .commit(move |s| {
                Box::pin(async move {
                    s.hold_keys().await?;
                    let now = s.db_now().await?;
                    let (keys, mut changes) = (s.keys().await?, Vec::new());
                    let due = |key: &KeyRow| key.state_since.plus_ms(announced_ms) <= now;
                    let Some(new) = in_state(keys.clone(), KeyState::Announced).find(due) else {
                        return Ok((false, changes));
                    };
                    changes.extend(restate(s, new, KeyState::Active, now).await?);
                    for old in in_state(keys, KeyState::Active) {
                        changes.extend(restate(s, old, KeyState::Retiring, now).await?);
                    }
                    Ok((true, changes))
                })
            })
            .await?;
        if activated {
            self.take_up_keys().await?;
        }
        Ok(activated)
    }

    /// Retires terms that seal nothing any more and stopped sealing long enough ago; says which. Counts what
    /// they seal only if there are such.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn retire_terms(&self) -> Result<Vec<u32>, Error> {
        let (keys, now) = self.keys_now().await?;
        if !in_state(keys, KeyState::Retiring).any(|key| is_over(&key, now)) {
            return Ok(Vec::new());
        }
        let counts = self.count_sealed().await?;
        let retired = self
            .commit(move |s| {
                Box::pin(async move {
                    s.hold_keys().await?;
                    let (now, mut terms, mut changes) = (s.db_now().await?, Vec::new(), Vec::new());
                    for key in in_state(s.keys().await?, KeyState::Retiring) {
                        let term = number(&key);
                        if is_over(&key, now) && !counts.contains_key(&term) {
                            terms.push(term);
                            changes.extend(restate(s, key, KeyState::Retired, now).await?);
                        }
                    }
                    Ok((terms, changes))
                })
            })
            .await?;
        if !retired.is_empty() {
            self.take_up_keys().await?;
        }
        Ok(retired)
    }

    /// The keys as they rest in the database, and its present.
    async fn keys_now(&self) -> Result<(Vec<KeyRow>, UnixMillis), StoreError> {
        self.store()
            .read(|s| Box::pin(async move { Ok((s.keys().await?, s.db_now().await?)) }))
            .await
    }

    /// Brings back retired terms that still seal something: a process that stood still through the whole
    /// rotation may have stored it afterwards.
    ///
    /// # Errors
    /// If the database does not answer, or the term cannot be unwrapped.
    pub async fn revive_terms(&self) -> Result<(), RotateError> {
        let counts = self.count_sealed().await?;
        self.commit(move |s| {
            Box::pin(async move {
                s.hold_keys().await?;
                let (now, mut changes) = (s.db_now().await?, Vec::new());
                for key in in_state(s.keys().await?, KeyState::Retired) {
                    if counts.contains_key(&number(&key)) {
                        changes.extend(restate(s, key, KeyState::Retiring, now).await?);
                    }
                }
                Ok(((), changes))
            })
        })
        .await?;
        Ok(self.take_up_keys().await?)
    }

    /// Wraps the keys by `to` in place of the master key that wraps them, in one transaction. Nothing else in
    /// the database changes.
    ///
    /// # Errors
    /// If `from` is not their master key, or somebody else replaced it at the same moment.
    pub async fn replace_master(
        &self,
        from: &MasterKey,
        to: &MasterKey,
    ) -> Result<usize, RotateError> {
        let keys = unlock::read_keys(self.store()).await?;
        let rows = keyway_vault::rewrap(from, to, &keys).map_err(UnlockError::from)?;
        let rows: Vec<KeyRow> = rows.iter().map(unlock::to_row).collect();
        let (replaced, old) = (rows.len(), from.fingerprint());
        self.commit(move |s| Box::pin(store_rewrapped(s, rows, old)))
            .await??;
        Ok(replaced)
    }
}

/// What a transaction over the keys comes to, and the changes it makes.
type Turned = Result<(Result<(), RotateError>, Vec<NewChange>), Error>;

const fn refused(error: RotateError) -> Turned {
    Ok((Err(error), Vec::new()))
}

/// Stores a new term, unless another one was announced since the keys were read, or they were wrapped by another
/// master key: a term wrapped by the old one would keep every process from starting.
async fn store_announced(s: &mut Session<'_>, row: KeyRow) -> Turned {
    s.hold_keys().await?;
    let keys = s.keys().await?;
    if let Some(other) = in_state(keys.clone(), KeyState::Announced).next() {
        return refused(RotateError::UnderWay { term: other.term });
    }
    let mut live = keys
        .iter()
        .filter(|key| key.state != KeyState::Retired.as_str());
    if live.any(|key| key.master_fingerprint != row.master_fingerprint) {
        return refused(RotateError::KeysChanged);
    }
    let now = s.db_now().await?;
    let row = KeyRow {
        state_since: now,
        ..row
    };
    s.insert_key(&row).await?;
    let change = keyring_change(row.term, Action::Created, now, KeyState::Announced);
    Ok((Ok(()), vec![change]))
}

/// Stores all keys as they were wrapped by another master key than `old`, or none: one that was made meanwhile
/// would be left behind.
async fn store_rewrapped(s: &mut Session<'_>, rows: Vec<KeyRow>, old: String) -> Turned {
    s.hold_keys().await?;
    let mut keys = s.keys().await?.into_iter();
    let is_same = keys.len() == rows.len() && keys.all(|key| key.master_fingerprint == old);
    if !is_same {
        return refused(RotateError::KeysChanged);
    }
    for row in &rows {
        if !s.rewrap_key(row, &old).await? {
            return Err(Error::internal("a key went away while it was held"));
        }
    }
    let now = s.db_now().await?;
    let change = keyring_change(0, Action::Updated, now, KeyState::Active);
    Ok((Ok(()), vec![change]))
}

fn number(key: &KeyRow) -> u32 {
    u32::try_from(key.term).unwrap_or(0)
}

/// Whether it stopped sealing so long ago that no browser brings a good cookie sealed with it.
const fn is_over(key: &KeyRow, now: UnixMillis) -> bool {
    key.state_since.plus_secs(RETIRES_AFTER_SECS).0 <= now.0
}

fn term_status(
    key: &StoredKey,
    counts: &mut BTreeMap<u32, BTreeMap<&'static str, i64>>,
) -> TermStatus {
    let term = u32::try_from(key.id).unwrap_or(0);
    TermStatus {
        term,
        state: key.state,
        since: key.state_since,
        values: counts.remove(&term).unwrap_or_default(),
    }
}

/// A rotation did not go on. The words are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// One is under way.
    #[error("term {term} is announced already: a rotation is under way")]
    UnderWay {
        /// The announced term.
        term: i64,
    },
    /// Somebody else changed the keys or their master key at the same moment.
    #[error("the keys changed at the same moment; nothing was done, try again")]
    KeysChanged,
    /// Keys cannot be read or unwrapped.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something else.
    #[error(transparent)]
    Engine(#[from] Error),
}
