//! Who is connected, and who has to go when too many are.
//!
//! A connection costs whoever opens it nothing. So that those who only hold theirs keep nobody out, they give
//! way when somebody waits and there is no room: first those on which no request has ever come, then those on
//! which none has come lately. A connection with a request under way stays.

use super::lane::Lane;
use super::metrics::Shed;
use super::peer::Peer;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How long a new connection has until it may be sent away: its first request may be on its way.
const GRACE: Duration = Duration::from_secs(1);
/// How often room is looked for again while somebody waits.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How many are sent away at a time: looking through all takes longer than to let one in.
const SENT_AWAY_MAX: usize = 64;

/// The connections of all threads.
pub(super) struct Crowd {
    room: Arc<Semaphore>,
    peers: Mutex<Peers>,
}

#[derive(Default)]
struct Peers {
    next: u64,
    // In the order they came.
    all: BTreeMap<u64, Weak<Peer>>,
}

/// A connection's room; given back when dropped.
pub(super) struct Room {
    crowd: Arc<Crowd>,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Crowd {
    /// Room for `max` connections.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            room: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))),
            peers: Mutex::default(),
        })
    }

    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for `peer`; others may have to go.
    pub(super) async fn admit(self: &Arc<Self>, peer: &Arc<Peer>) -> Option<Room> {
        let permit = loop {
            if let Ok(permit) = self.room.clone().try_acquire_owned() {
                break permit;
            }
            self.send_some_away(&peer.lane);
            let next = self.room.clone().acquire_owned();
            if let Ok(permit) = tokio::time::timeout(LOOK_AGAIN, next).await {
                break permit.ok()?;
            }
        };
        let mut peers = self.peers();
        let number = peers.next;
        peers.next += 1;
        peers.all.insert(number, Arc::downgrade(peer));
        drop(peers);
        Some(Room {
            crowd: Arc::clone(self),
            number,
            _permit: permit,
        })
    }

    fn send_some_away(&self, lane: &Lane) {
        let peers = self.peers();
        let leaving = peers.idle();
        for peer in &leaving {
            peer.send_away();
        }
        // Whoever waits on another thread chooses from the others.
        drop(peers);
        for _ in leaving {
            lane.note(Shed::Connection);
        }
    }
}

impl Peers {
    /// Those that have to go now.
    fn idle(&self) -> Vec<Arc<Peer>> {
        let now = Instant::now();
        let most = (self.all.len() / 8 + 1).min(SENT_AWAY_MAX);
        let idle = || {
            let found = self.all.values().filter_map(Weak::upgrade);
            found.filter(|peer| {
                let is_new = now.duration_since(peer.since()) < GRACE;
                !is_new && peer.is_idle() && !peer.is_leaving()
            })
        };
        let strangers: Vec<_> = idle().filter(|peer| !peer.has_asked()).take(most).collect();
        if !strangers.is_empty() {
            return strangers;
        }
        idle()
            .filter(|peer| !peer.take_asked_lately())
            .take(most)
            .collect()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.crowd.peers().all.remove(&self.number);
    }
}
