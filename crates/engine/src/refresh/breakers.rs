//! What is known of each credential while the process runs: whether the provider refuses the client, and
//! how much work nobody waits for is under way.

use keyway_core::ids::{ApplicationId, CredentialId, GrantId};
use keyway_core::provider::Provider;
use keyway_core::rate::Bucket;
use keyway_core::refresh::{Breaker, REST_MAX_MS};
use keyway_core::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Refreshes nobody waits for, at once and per credential.
const AHEAD_PER_CREDENTIAL: usize = 16;
/// Refreshes nobody waits for, at once and per provider: one that is slow leaves the others theirs.
const AHEAD_PER_PROVIDER: usize = 64;
/// Refreshes nobody waits for that begin in a second, per credential.
const AHEAD_PER_CREDENTIAL_PER_SEC: u32 = 50;
/// Refreshes nobody waits for that begin in a second, per provider.
const AHEAD_PER_PROVIDER_PER_SEC: u32 = 200;
/// Credentials remembered.
const CREDENTIALS_MAX: usize = 10_000;
/// So many grants in a row refused as another client's, or asked to wait, are no coincidence.
const GRANTS_TO_BLAME: usize = 3;
/// Grants remembered as refused in such a way, of one credential.
const GRANTS_REMEMBERED: usize = 64;

/// Work nobody waits for: so much at once, and so much a second.
struct Allowance {
    room: Arc<Semaphore>,
    bucket: Option<Bucket>,
    per_second: u32,
}

impl Allowance {
    fn new(at_once: usize, per_second: u32) -> Self {
        Self {
            room: Arc::new(Semaphore::new(at_once)),
            bucket: None,
            per_second,
        }
    }

    fn take(&mut self, now: UnixMillis) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.room).try_acquire_owned().ok()?;
        let full = || Bucket::full(self.per_second, now);
        let bucket = self.bucket.get_or_insert_with(full);
        bucket.take(self.per_second, now).then_some(room)
    }
}

struct Known {
    breaker: Breaker,
    /// Whose it is; known once the breaker was tripped.
    application_id: Option<ApplicationId>,
    ahead: Allowance,
    last_success: Option<UnixMillis>,
    /// Grants refused as another client's, and since when.
    others: BTreeMap<GrantId, UnixMillis>,
    /// Grants the provider asked to wait since the last success.
    waiting: BTreeSet<GrantId>,
    /// The credential as a whole is to wait until then.
    rests_until: Option<UnixMillis>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            breaker: Breaker::default(),
            application_id: None,
            ahead: Allowance::new(AHEAD_PER_CREDENTIAL, AHEAD_PER_CREDENTIAL_PER_SEC),
            last_success: None,
            others: BTreeMap::new(),
            waiting: BTreeSet::new(),
            rests_until: None,
        }
    }
}

impl Known {
    fn rests(&self, now: UnixMillis) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    fn is_worth_keeping(&self, now: UnixMillis) -> bool {
        self.breaker.is_open() || self.rests(now)
    }
}

/// What `unauthorized_client` on a grant turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtherClientVerdict {
    /// The grant's own: its token was minted by another client.
    Grant,
    /// The credential's: its client id is wrong.
    Credential,
    /// Not known yet: tried again.
    Unknown,
}

/// The room for one refresh ahead of its time.
pub(crate) struct Ahead {
    _own: OwnedSemaphorePermit,
    _provider: OwnedSemaphorePermit,
}

#[derive(Default)]
pub(crate) struct Breakers {
    known: Mutex<BTreeMap<CredentialId, Known>>,
    providers: Mutex<BTreeMap<Provider, Allowance>>,
}

impl Breakers {
    fn with<T>(&self, id: CredentialId, now: UnixMillis, ask: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CREDENTIALS_MAX && !known.contains_key(&id) {
            // What says nothing can be learnt again.
            known.retain(|_, known| known.is_worth_keeping(now));
        }
        ask(known.entry(id).or_default())
    }

    /// Whether a refresh may go to the provider now.
    pub(crate) fn admits(&self, id: CredentialId, now: UnixMillis) -> bool {
        self.with(id, now, |known| {
            !known.rests(now) && known.breaker.admits(now)
        })
    }

    /// Whether a refresh would be turned away now for the credential's own fault; takes nobody's turn.
    pub(crate) fn turns_away(&self, id: CredentialId, now: UnixMillis) -> bool {
        self.with(id, now, |known| known.breaker.turns_away(now))
    }

    /// How long the provider wants nothing of this credential, in seconds.
    pub(crate) fn rest_secs(&self, id: CredentialId, now: UnixMillis) -> Option<u32> {
        let until = self.with(id, now, |known| known.rests_until)?;
        let left_ms = until.0.saturating_sub(now.0);
        let secs = u32::try_from(left_ms.max(0).saturating_add(999) / 1000).ok()?;
        (secs > 0).then_some(secs)
    }

    /// Room for a refresh nobody waits for, unless the credential is to be left alone.
    pub(crate) fn ahead(
        &self,
        provider: Provider,
        id: CredentialId,
        now: UnixMillis,
    ) -> Option<Ahead> {
        let own = self.with(id, now, |known| {
            let is_free = !known.breaker.turns_away(now) && !known.rests(now);
            is_free.then(|| known.ahead.take(now)).flatten()
        })?;
        let mut providers = self
            .providers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let all = providers
            .entry(provider)
            .or_insert_with(|| Allowance::new(AHEAD_PER_PROVIDER, AHEAD_PER_PROVIDER_PER_SEC));
        Some(Ahead {
            _own: own,
            _provider: all.take(now)?,
        })
    }

    /// The provider refused the client.
    pub(crate) fn trip(&self, application_id: ApplicationId, id: CredentialId, now: UnixMillis) {
        self.with(id, now, |known| {
            known.application_id = Some(application_id);
            known.breaker.trip(now);
        });
    }

    /// The provider accepted the client.
    pub(crate) fn succeeded(&self, id: CredentialId, now: UnixMillis) {
        self.with(id, now, |known| {
            known.breaker.close();
            known.last_success = Some(now);
            known.waiting.clear();
            known.rests_until = None;
        });
    }

    /// The provider asked a grant to wait. That is the grant's matter until it has asked several in a row:
    /// then it means the client, and the rest need not ask one by one.
    pub(crate) fn asked_to_wait(
        &self,
        id: CredentialId,
        grant_id: GrantId,
        until: UnixMillis,
        now: UnixMillis,
    ) {
        let until = UnixMillis(until.0.min(now.plus_ms(REST_MAX_MS).0));
        self.with(id, now, |known| {
            if known.waiting.len() < GRANTS_REMEMBERED {
                known.waiting.insert(grant_id);
            }
            if known.waiting.len() >= GRANTS_TO_BLAME {
                known.rests_until = known.rests_until.max(Some(until));
            }
        });
    }

    /// Credentials whose breaker is open and which are to be probed now although nobody calls.
    pub(crate) fn to_probe(&self, now: UnixMillis) -> Vec<(ApplicationId, CredentialId)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let due = known.iter_mut().filter_map(|(id, known)| {
            let application_id = known.application_id?;
            let wanted = known.breaker.wants_probe(now);
            wanted.then_some((application_id, *id))
        });
        due.collect()
    }

    /// Judges a refusal as another client's. It is the grant's own if the credential has no other, or if
    /// another of them was refreshed since this one was first refused; it is the credential's if several
    /// were refused since the last success, or all there are.
    pub(crate) fn other_client(
        &self,
        id: CredentialId,
        grant_id: GrantId,
        valid_grants: i64,
        now: UnixMillis,
    ) -> OtherClientVerdict {
        self.with(id, now, |known| {
            if known.others.len() >= GRANTS_REMEMBERED {
                known.others.clear();
            }
            let first = *known.others.entry(grant_id).or_insert(now);
            let last_success = known.last_success.unwrap_or(UnixMillis(i64::MIN));
            let since = known.others.values().filter(|at| **at > last_success);
            let refused = since.count();
            let all = usize::try_from(valid_grants).unwrap_or(usize::MAX);
            if valid_grants <= 1 || last_success > first {
                known.others.remove(&grant_id);
                OtherClientVerdict::Grant
            } else if refused >= GRANTS_TO_BLAME.min(all) {
                OtherClientVerdict::Credential
            } else {
                OtherClientVerdict::Unknown
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

    fn ahead(breakers: &Breakers, id: u128, now: UnixMillis) -> Option<Ahead> {
        breakers.ahead(Provider::Google, CredentialId::from_u128(id), now)
    }

    #[test]
    fn rule_06_unauthorized_client_on_one_grant_is_that_grants() {
        use OtherClientVerdict::{Grant, Unknown};
        let breakers = Breakers::default();
        breakers.succeeded(ID, NOW);
        let later = |ms| NOW.plus_ms(ms);
        // A success before says nothing: the client may have been struck off since.
        assert_eq!(breakers.other_client(ID, grant(1), 9, later(1)), Unknown);
        assert_eq!(breakers.other_client(ID, grant(1), 9, later(2)), Unknown);
        breakers.succeeded(ID, later(3));
        assert_eq!(breakers.other_client(ID, grant(1), 9, later(4)), Grant);
        let alone = Breakers::default().other_client(ID, grant(1), 1, NOW);
        assert_eq!(alone, Grant);
    }

    #[test]
    fn rule_06_unauthorized_client_on_all_grants_is_the_credentials() {
        use OtherClientVerdict::{Credential, Unknown};
        let breakers = Breakers::default();
        breakers.succeeded(ID, NOW);
        let judged = |n, valid| breakers.other_client(ID, grant(n), valid, NOW.plus_ms(1));
        assert_eq!(
            [judged(1, 9), judged(2, 9), judged(3, 9)],
            [Unknown, Unknown, Credential]
        );
        assert_eq!(judged(1, 9), Credential);
        let two = Breakers::default();
        let judged = |n| two.other_client(ID, grant(n), 2, NOW);
        assert_eq!([judged(1), judged(2)], [Unknown, Credential]);
    }

    #[test]
    fn rule_06_several_grants_asked_to_wait_let_the_whole_credential_rest() {
        let breakers = Breakers::default();
        let until = NOW.plus_secs(120);
        for n in 1..=3 {
            assert!(breakers.admits(ID, NOW));
            breakers.asked_to_wait(ID, grant(n), until, NOW);
        }
        assert!(!breakers.admits(ID, NOW));
        assert_eq!(breakers.rest_secs(ID, NOW), Some(120));
        assert!(
            !breakers.turns_away(ID, NOW),
            "the credential is not broken"
        );
        assert!(breakers.ahead(Provider::Google, ID, NOW).is_none());
        assert!(breakers.admits(ID, until));
        breakers.succeeded(ID, NOW);
        assert!(breakers.admits(ID, NOW));
    }

    #[test]
    fn work_nobody_waits_for_is_bounded_and_stops_while_the_breaker_is_open() {
        let breakers = Breakers::default();
        let held: Vec<_> = (0..AHEAD_PER_CREDENTIAL)
            .map(|_| ahead(&breakers, 1, NOW))
            .collect();
        assert!(held.iter().all(Option::is_some));
        assert!(ahead(&breakers, 1, NOW).is_none());
        drop(held);
        assert!(ahead(&breakers, 1, NOW).is_some());
        breakers.trip(ApplicationId::from_u128(9), ID, NOW);
        assert!(ahead(&breakers, 1, NOW).is_none());
        // A due refresh is as good a probe as any other call.
        assert!(ahead(&breakers, 1, NOW.plus_secs(5)).is_some());
        assert_eq!(breakers.to_probe(NOW.plus_secs(59)), []);
        assert_eq!(
            breakers.to_probe(NOW.plus_secs(60)),
            [(ApplicationId::from_u128(9), ID)]
        );
    }

    #[test]
    fn work_nobody_waits_for_is_bounded_in_rate_per_credential_and_provider() {
        let breakers = Breakers::default();
        let begun = |id, now| {
            (0..500)
                .filter(|_| ahead(&breakers, id, now).is_some())
                .count()
        };
        assert_eq!([begun(1, NOW), begun(1, NOW)], [50, 0]);
        assert_eq!(begun(1, NOW.plus_ms(500)), 25);
        let all: usize = (2..20).map(|id| begun(id, NOW.plus_ms(500))).sum();
        assert_eq!(
            all,
            200 - 25,
            "the provider's share, of which 100 had come back"
        );
        // One provider's share is not another's.
        let zoom = breakers.ahead(Provider::Zoom, CredentialId::from_u128(30), NOW);
        assert!(zoom.is_some());
    }
}
