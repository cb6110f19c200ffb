//! What is known of each credential while the process runs: whether the provider refuses the client, and
//! how much work nobody waits for is under way.

use keyway_core::ids::{ApplicationId, CredentialId, GrantId};
use keyway_core::refresh::Breaker;
use keyway_core::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Refreshes nobody waits for, at once and per credential.
const AHEAD_PER_CREDENTIAL: usize = 16;
/// Refreshes nobody waits for, at once, over all.
const AHEAD_IN_ALL: usize = 64;
/// Credentials remembered.
const CREDENTIALS_MAX: usize = 10_000;
/// A success this recent proves the credential itself sound, in milliseconds.
const SOUND_FOR_MS: i64 = 60 * 60_000;
/// So many grants in a row refused as another client's are no coincidence.
const GRANTS_TO_BLAME: usize = 3;

struct Known {
    breaker: Breaker,
    /// Whose it is; known once the breaker was tripped.
    application_id: Option<ApplicationId>,
    ahead: Arc<Semaphore>,
    last_success: Option<UnixMillis>,
    /// Grants refused as another client's since the last success.
    others: BTreeSet<GrantId>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            breaker: Breaker::default(),
            application_id: None,
            ahead: Arc::new(Semaphore::new(AHEAD_PER_CREDENTIAL)),
            last_success: None,
            others: BTreeSet::new(),
        }
    }
}

/// What `unauthorized_client` on a grant turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtherClientVerdict {
    /// The grant's own: its token was minted by another client.
    Grant,
    /// The credential's: its client id is wrong.
    Credential,
    /// Not known yet: tried again slowly.
    Unknown,
}

/// The room for one refresh ahead of its time.
pub(crate) struct Ahead {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

pub(crate) struct Breakers {
    known: Mutex<BTreeMap<CredentialId, Known>>,
    ahead: Arc<Semaphore>,
}

impl Default for Breakers {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            ahead: Arc::new(Semaphore::new(AHEAD_IN_ALL)),
        }
    }
}

impl Breakers {
    fn with<T>(&self, id: CredentialId, ask: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CREDENTIALS_MAX && !known.contains_key(&id) {
            // Closed breakers say nothing that cannot be learnt again.
            known.retain(|_, known| known.breaker.is_open());
        }
        ask(known.entry(id).or_default())
    }

    /// Whether a refresh may go to the provider now.
    pub(crate) fn admits(&self, id: CredentialId, now: UnixMillis) -> bool {
        self.with(id, |known| known.breaker.admits(now))
    }

    /// Whether a refresh would be turned away now; takes nobody's turn.
    pub(crate) fn turns_away(&self, id: CredentialId, now: UnixMillis) -> bool {
        self.with(id, |known| known.breaker.turns_away(now))
    }

    /// Room for a refresh nobody waits for, unless the breaker is open.
    pub(crate) fn ahead(&self, id: CredentialId) -> Option<Ahead> {
        let own = self.with(id, |known| match known.breaker.is_open() {
            true => None,
            false => Arc::clone(&known.ahead).try_acquire_owned().ok(),
        })?;
        let all = Arc::clone(&self.ahead).try_acquire_owned().ok()?;
        Some(Ahead {
            _own: own,
            _all: all,
        })
    }

    /// The provider refused the client.
    pub(crate) fn trip(&self, application_id: ApplicationId, id: CredentialId, now: UnixMillis) {
        self.with(id, |known| {
            known.application_id = Some(application_id);
            known.breaker.trip(now);
        });
    }

    /// The provider accepted the client.
    pub(crate) fn succeeded(&self, id: CredentialId, now: UnixMillis) {
        self.with(id, |known| {
            known.breaker.close();
            known.last_success = Some(now);
            known.others.clear();
        });
    }

    /// Credentials whose breaker is open.
    pub(crate) fn open(&self) -> Vec<(ApplicationId, CredentialId)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let open = known.iter().filter(|(_, known)| known.breaker.is_open());
        open.filter_map(|(id, known)| Some((known.application_id?, *id)))
            .collect()
    }

    /// Judges a refusal as another client's. `is_only_grant`: the credential has no other valid grant.
    pub(crate) fn other_client(
        &self,
        id: CredentialId,
        grant_id: GrantId,
        is_only_grant: bool,
        now: UnixMillis,
    ) -> OtherClientVerdict {
        self.with(id, |known| {
            let sound = known
                .last_success
                .is_some_and(|at| now < at.plus_ms(SOUND_FOR_MS));
            if known.others.len() < GRANTS_TO_BLAME {
                known.others.insert(grant_id);
            }
            match (
                sound || is_only_grant,
                known.others.len() >= GRANTS_TO_BLAME,
            ) {
                (true, _) => OtherClientVerdict::Grant,
                (false, true) => OtherClientVerdict::Credential,
                (false, false) => OtherClientVerdict::Unknown,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: CredentialId = CredentialId::from_u128(1);
    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn grant(n: u128) -> GrantId {
        GrantId::from_u128(n)
    }

    #[test]
    fn rule_06_unauthorized_client_on_one_grant_is_that_grants() {
        let breakers = Breakers::default();
        breakers.succeeded(ID, NOW);
        let verdict = breakers.other_client(ID, grant(1), false, NOW.plus_ms(1));
        assert_eq!(verdict, OtherClientVerdict::Grant);
        let alone = Breakers::default().other_client(ID, grant(1), true, NOW);
        assert_eq!(alone, OtherClientVerdict::Grant);
    }

    #[test]
    fn rule_06_unauthorized_client_on_all_grants_is_the_credentials() {
        let breakers = Breakers::default();
        let verdicts: Vec<_> = (1..=3)
            .map(|n| breakers.other_client(ID, grant(n), false, NOW))
            .collect();
        use OtherClientVerdict::{Credential, Unknown};
        assert_eq!(verdicts, [Unknown, Unknown, Credential]);
        assert_eq!(breakers.other_client(ID, grant(3), false, NOW), Credential);
    }

    #[test]
    fn work_nobody_waits_for_is_bounded_and_stops_while_the_breaker_is_open() {
        let breakers = Breakers::default();
        let held: Vec<_> = (0..AHEAD_PER_CREDENTIAL)
            .map(|_| breakers.ahead(ID))
            .collect();
        assert!(held.iter().all(Option::is_some));
        assert!(breakers.ahead(ID).is_none());
        drop(held);
        assert!(breakers.ahead(ID).is_some());
        breakers.trip(ApplicationId::from_u128(9), ID, NOW);
        assert!(breakers.ahead(ID).is_none());
        assert_eq!(breakers.open(), [(ApplicationId::from_u128(9), ID)]);
    }
}
