//! How many requests a thread has under way, and whose calls they are.
//!
//! A request takes its place before anything is looked up, and gives it back when its answer has been written
//! or given up. What is found full is refused at once: a place is all that a request too many costs.

use super::peer::Peer;
use keyway_core::ids::ApplicationId;
use keyway_outbound::Origin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// How many times what is free somebody's calls may hold. Who is alone gets four fifths of all places; two who
/// want all get four ninths each; and there is always room for whoever comes next.
const TIMES_FREE: usize = 4;
/// Counters by application, and as many by host: more than a thread's calls are likely to belong to at a time.
const COUNTERS: usize = 2048;
/// Counters that may be any one's who is sent to the same row by its key.
const ROW: usize = 8;

/// A count that only one thread changes, so that plain loads and stores do. Others may read it.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicUsize);

impl Count {
    /// How many they are.
    pub(super) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Counts one more, and tells how many they are.
    pub(super) fn up(&self) -> usize {
        let count = self.get() + 1;
        self.0.store(count, Relaxed);
        count
    }

    /// Counts one less.
    pub(super) fn down(&self) {
        self.0.store(self.get().saturating_sub(1), Relaxed);
    }
}

/// Somebody's counter, for as long as it is not zero.
#[derive(Debug, Default)]
struct Counter {
    key: AtomicU64,
    held: Count,
}

/// Who holds how much of something: a table in rows, of which a key may use one. Whoever holds something has a
/// counter of its own there, unless as many others as a row has counters hold something at the same time and
/// were sent to that row as well: then it shares the first one's.
#[derive(Debug)]
pub(super) struct Shares(Box<[Counter]>);

/// Somebody's share: which counter has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share(usize);

impl Default for Shares {
    fn default() -> Self {
        Self(
            std::iter::repeat_with(Counter::default)
                .take(COUNTERS)
                .collect(),
        )
    }
}

impl Shares {
    /// The counter that is, or may become, the one of `key`.
    fn counter(&self, key: u64) -> Option<(Share, &Counter)> {
        // Fibonacci hashing: the upper bits depend on all of the key's.
        let spread = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let start = usize::try_from(spread).unwrap_or(0) % (COUNTERS / ROW) * ROW;
        let row = self.0.get(start..start + ROW)?;
        let is_held = |counter: &Counter| counter.held.get() > 0;
        let own = |counter: &Counter| is_held(counter) && counter.key.load(Relaxed) == key;
        let found = row.iter().position(own);
        let found = found.or_else(|| row.iter().position(|counter| !is_held(counter)));
        let at = found.unwrap_or(0);
        Some((Share(start + at), row.get(at)?))
    }

    /// One more for `key`, if it does not hold too many times what is `free`.
    pub(super) fn take(&self, key: u64, free: usize) -> Option<Share> {
        let (share, counter) = self.counter(key)?;
        let held = counter.held.get();
        if held >= free.saturating_mul(TIMES_FREE) {
            return None;
        }
        if held == 0 {
            counter.key.store(key, Relaxed);
        }
        counter.held.up();
        Some(share)
    }

    /// One less for whoever took it.
    pub(super) fn give_back(&self, share: Share) {
        if let Some(counter) = self.0.get(share.0) {
            counter.held.down();
        }
    }
}

/// The key an application is counted by.
pub(super) fn application_key(id: ApplicationId) -> u64 {
    let (upper, lower) = id.as_uuid().as_u64_pair();
    upper ^ lower
}

/// The key a host is counted by: hosts are made once and live as long as the server.
fn host_key(host: &Arc<Origin>) -> u64 {
    u64::try_from(Arc::as_ptr(host).addr()).unwrap_or(0)
}

/// One thread's places.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    taken: Arc<Count>,
    applications: Shares,
    hosts: Shares,
}

/// Why a call does not get the room it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowded {
    /// Its application has too many calls under way.
    Application,
    /// Its provider has.
    Host,
    /// Too many WebSockets are open.
    Tunnels,
    /// Its application has too many of them.
    TunnelsOfApplication,
}

impl Places {
    /// Room for `max` requests, whose count can be read at `taken`.
    pub(super) fn new(max: usize, taken: Arc<Count>) -> Self {
        Self {
            max,
            taken,
            applications: Shares::default(),
            hosts: Shares::default(),
        }
    }
}

/// A request's place; given back when dropped, at the latest.
pub(super) struct Place {
    peer: Arc<Peer>,
    /// Whether it counts: there was room, and it has not been given back.
    is_held: bool,
    is_over: bool,
    /// A call's shares: its application's and its host's.
    call: Option<(Share, Share)>,
}

/// A place while its request is being answered.
pub(super) struct Placed<'a> {
    /// Who sent the request.
    pub(super) peer: &'a Peer,
    /// Whether there was no room for it.
    pub(super) is_over: bool,
    call: &'a mut Option<(Share, Share)>,
}

impl Place {
    /// Takes a place for a request that `peer` sent, on the thread that serves it.
    pub(super) fn take(peer: Arc<Peer>) -> Self {
        peer.request_came();
        let places = peer.lane.places();
        let is_over = places.taken.get() >= places.max;
        if !is_over {
            places.taken.up();
        }
        Self {
            peer,
            is_held: !is_over,
            is_over,
            call: None,
        }
    }

    /// What answering the request takes.
    pub(super) fn placed(&mut self) -> Placed<'_> {
        Placed {
            peer: &self.peer,
            is_over: self.is_over,
            call: &mut self.call,
        }
    }

    /// Whether it counts still.
    pub(super) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Lets somebody else have it, while the request stays one that its peer has under way.
    pub(super) fn give_back(&mut self) {
        let places = self.peer.lane.places();
        if std::mem::take(&mut self.is_held) {
            places.taken.down();
        }
        if let Some((application, host)) = self.call.take() {
            places.applications.give_back(application);
            places.hosts.give_back(host);
        }
    }
}

impl Placed<'_> {
    /// Counts the request as a call of `application` to `host`.
    ///
    /// # Errors
    /// Whose part of the places is used up.
    pub(super) fn share(
        &mut self,
        application: ApplicationId,
        host: &Arc<Origin>,
    ) -> Result<(), Crowded> {
        let places = self.peer.lane.places();
        // Its own place is free to it.
        let free = (places.max + 1).saturating_sub(places.taken.get());
        let application = places.applications.take(application_key(application), free);
        let application = application.ok_or(Crowded::Application)?;
        let Some(host) = places.hosts.take(host_key(host), free) else {
            places.applications.give_back(application);
            return Err(Crowded::Host);
        };
        *self.call = Some((application, host));
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_back();
        self.peer.request_ended();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has every key take as much as it gets of `max`, in turns; what each holds.
    fn filled(keys: &[u64], max: usize) -> Vec<usize> {
        let shares = Shares::default();
        let mut held = vec![0; keys.len()];
        loop {
            let mut moved = false;
            for (held_by, key) in keys.iter().enumerate() {
                let free = max - held.iter().sum::<usize>();
                if shares.take(*key, free).is_some() {
                    held[held_by] += 1;
                    moved = true;
                }
            }
            if !moved {
                return held;
            }
        }
    }

    #[test]
    fn who_is_alone_gets_four_fifths_and_two_share_evenly() {
        assert_eq!(filled(&[1], 1000), [800]);
        assert_eq!(filled(&[1, 2], 900), [400, 400]);
    }

    #[test]
    fn there_is_always_room_for_who_comes_next() {
        // Fewer places than that cannot be shared by the fifth.
        for max in 5..50 {
            let shares = Shares::default();
            let greedy = (0..max)
                .filter(|taken| shares.take(1, max - taken).is_some())
                .count();
            assert!(greedy < max, "{greedy} of {max}");
            assert!(shares.take(2, max - greedy).is_some(), "none left of {max}");
        }
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let shares = Shares::default();
        let taken: Vec<_> = (0..10).filter_map(|_| shares.take(7, 1)).collect();
        assert_eq!(taken.len(), TIMES_FREE);
        shares.give_back(taken[0]);
        assert!(shares.take(7, 1).is_some());
        assert_eq!(shares.take(7, 1), None);
    }

    #[test]
    fn nobody_s_load_counts_for_somebody_else() {
        let shares = Shares::default();
        let keys = (0..100).map(|n| application_key(ApplicationId::from_u128(n * n + 1)));
        for key in keys.clone() {
            for _ in 0..TIMES_FREE {
                assert!(shares.take(key, 1).is_some(), "{key} has nothing yet");
            }
        }
        for key in keys {
            assert_eq!(shares.take(key, 1), None);
        }
    }

    #[test]
    fn a_row_that_is_full_is_shared_and_counters_go_to_others_once_they_are_zero() {
        let shares = Shares::default();
        let row = |key| shares.counter(key).unwrap().0.0 / ROW;
        let same_row: Vec<u64> = (1..)
            .filter(|key| row(*key) == row(1))
            .take(ROW + 1)
            .collect();
        let taken: Vec<_> = same_row.iter().map(|key| shares.take(*key, 9)).collect();
        assert_eq!(taken[ROW], taken[0]);
        let kept: std::collections::BTreeSet<_> =
            taken[..ROW].iter().map(|s| s.unwrap().0).collect();
        assert_eq!(kept.len(), ROW);
        for share in taken.into_iter().flatten() {
            shares.give_back(share);
        }
        assert!(shares.0.iter().all(|counter| counter.held.get() == 0));
        assert_eq!(filled(&same_row[ROW..], 5), [4]);
    }
}
