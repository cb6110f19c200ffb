//! A map that cannot grow without end: past its capacity the oldest entry is forgotten.

use crate::digest::Digest;
use std::collections::{HashMap, VecDeque};

#[derive(Debug)]
pub(crate) struct BoundedMap<V> {
    entries: HashMap<Digest, V>,
    /// Keys in order of arrival. May name keys that are gone; they are skipped when met.
    arrivals: VecDeque<Digest>,
    capacity: usize,
}

impl<V> BoundedMap<V> {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            arrivals: VecDeque::new(),
            capacity: capacity.max(1),
        }
    }

    /// Adds an entry. Entries at the old end that `is_dead` says are of no more use go first.
    pub(crate) fn insert(&mut self, key: Digest, value: V, is_dead: impl Fn(&V) -> bool) {
        while let Some(oldest) = self.arrivals.front() {
            match self.entries.get(oldest) {
                Some(entry) if !is_dead(entry) && self.entries.len() < self.capacity => break,
                _ => self.drop_oldest(),
            }
        }
        if self.entries.insert(key, value).is_none() {
            self.arrivals.push_back(key);
        }
        self.forget_stale_arrivals();
    }

    fn drop_oldest(&mut self) {
        if let Some(key) = self.arrivals.pop_front() {
            self.entries.remove(&key);
        }
    }

    /// Removals leave their key in the queue; once those outnumber the entries they are swept.
    fn forget_stale_arrivals(&mut self) {
        if self.arrivals.len() > 64 + 2 * self.entries.len() {
            let entries = &self.entries;
            self.arrivals.retain(|key| entries.contains_key(key));
        }
    }

    pub(crate) fn get(&self, key: &Digest) -> Option<&V> {
        self.entries.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &Digest) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    pub(crate) fn remove(&mut self, key: &Digest) -> Option<V> {
        self.entries.remove(key)
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        self.entries.retain(|_, value| keep(value));
        self.forget_stale_arrivals();
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Digest {
        Digest::of(&n.to_string())
    }

    #[test]
    fn past_its_capacity_the_oldest_entry_is_forgotten() {
        let mut map = BoundedMap::with_capacity(2);
        for n in 0..3 {
            map.insert(key(n), n, |_| false);
        }
        assert_eq!(map.get(&key(0)), None);
        assert_eq!(map.values().count(), 2);
    }

    #[test]
    fn dead_entries_make_room_before_live_ones() {
        let mut map = BoundedMap::with_capacity(10);
        map.insert(key(1), 1, |_| false);
        map.insert(key(2), 2, |value| *value == 1);
        assert_eq!(map.get(&key(1)), None);
    }

    #[test]
    fn the_queue_of_arrivals_stays_in_proportion_to_the_entries() {
        let mut map = BoundedMap::with_capacity(10);
        for n in 0..1000 {
            map.insert(key(n), n, |_| false);
            map.remove(&key(n));
        }
        assert!(map.arrivals.len() <= 66);
    }
}
