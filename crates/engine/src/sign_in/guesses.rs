//! How often passwords may be tried on the hosted forms: for one address, and from one client.
//!
//! Only what failed counts. Kept in this process alone: over several servers somebody has as many tries as
//! there are servers.

use keyway_core::time::UnixMillis;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Failed tries within [`WINDOW_MS`] for one address.
const TRIES_PER_ADDRESS: usize = 10;
/// Failed tries within [`WINDOW_MS`] from one client: an office behind one address mistypes more often.
const TRIES_PER_CLIENT: usize = 30;
/// Fifteen minutes, in milliseconds.
const WINDOW_MS: i64 = 900_000;
/// Addresses and clients remembered. Whoever fills this up has used that many clients.
const REMEMBERED_MAX: usize = 100_000;

/// Whose tries are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    /// An address, as it is compared.
    Address(String),
    /// A client: its address, of which only the network counts in IPv6.
    Client(IpAddr),
}

impl Whose {
    /// The client at `ip`. One subscriber has a whole network in IPv6 (RFC 6177).
    pub(crate) fn client(ip: IpAddr) -> Self {
        Self::Client(match ip.to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & (u128::MAX << 64)).into()),
            ip => ip,
        })
    }

    const fn allowed(&self) -> usize {
        match self {
            Self::Address(_) => TRIES_PER_ADDRESS,
            Self::Client(_) => TRIES_PER_CLIENT,
        }
    }
}

/// The tries of the last quarter of an hour.
#[derive(Default)]
pub(crate) struct Guesses(Mutex<HashMap<Whose, VecDeque<UnixMillis>>>);

impl Guesses {
    /// Counts one more try for all of `whose`; or none of them, and says after how many seconds there may be
    /// one.
    pub(crate) fn begin(&self, whose: &[Whose], now: UnixMillis) -> Result<(), u32> {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = UnixMillis(now.0.saturating_sub(WINDOW_MS));
        for one in whose {
            let Some(times) = tries.get_mut(one) else {
                continue;
            };
            times.retain(|at| *at > begin);
            if let (true, Some(first)) = (times.len() >= one.allowed(), times.front()) {
                let wait_ms = first.0.saturating_sub(begin.0);
                return Err(u32::try_from(wait_ms.saturating_add(999) / 1000).unwrap_or(900));
            }
        }
        if tries.len() >= REMEMBERED_MAX {
            tries.retain(|_, times| times.back().is_some_and(|last| *last > begin));
        }
        for one in whose {
            if tries.len() < REMEMBERED_MAX || tries.contains_key(one) {
                tries.entry(one.clone()).or_default().push_back(now);
            }
        }
        Ok(())
    }

    /// The try did not fail: it does not count.
    pub(crate) fn forget(&self, whose: &[Whose], now: UnixMillis) {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in whose {
            let Some(times) = tries.get_mut(one) else {
                continue;
            };
            if let Some(at) = times.iter().rposition(|at| *at == now) {
                times.remove(at);
            }
            if times.is_empty() {
                tries.remove(one);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Whose {
        Whose::Address(text.to_owned())
    }

    fn client(text: &str) -> Whose {
        Whose::client(text.parse().unwrap())
    }

    #[test]
    fn guessing_ends_for_an_address_from_wherever_it_comes_and_begins_again_later() {
        let guesses = Guesses::default();
        let at = |n: i64, ms| {
            guesses.begin(
                &[address("a@b.c"), client(&format!("10.0.0.{n}"))],
                UnixMillis(ms),
            )
        };
        for n in 0..10 {
            assert_eq!(at(n, 1000 + n), Ok(()));
        }
        assert_eq!(at(99, 2000), Err(899));
        assert_eq!(guesses.begin(&[address("x@b.c")], UnixMillis(2000)), Ok(()));
        assert_eq!(at(99, 901_000), Ok(()));
    }

    #[test]
    fn guessing_ends_for_a_client_whatever_the_address() {
        let guesses = Guesses::default();
        let at = |n: u32| {
            let whose = [address(&format!("{n}@b.c")), client("192.0.2.7")];
            guesses.begin(&whose, UnixMillis(5))
        };
        for n in 0..30 {
            assert_eq!(at(n), Ok(()));
        }
        assert!(at(31).is_err());
        // What was refused is counted for nobody.
        assert!(!guesses.0.lock().unwrap().contains_key(&address("31@b.c")));
    }

    #[test]
    fn what_succeeds_does_not_count() {
        let guesses = Guesses::default();
        let whose = [address("a@b.c"), client("192.0.2.7")];
        for n in 0..100 {
            assert_eq!(guesses.begin(&whose, UnixMillis(n)), Ok(()));
            guesses.forget(&whose, UnixMillis(n));
        }
        assert!(guesses.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_client_of_ipv6_is_its_network() {
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:192.0.2.7"), client("192.0.2.7"));
    }

    #[test]
    fn memory_has_an_end() {
        let guesses = Guesses::default();
        for n in 0..REMEMBERED_MAX + 10 {
            let _ = guesses.begin(&[address(&n.to_string())], UnixMillis(1));
        }
        assert_eq!(guesses.0.lock().unwrap().len(), REMEMBERED_MAX);
        let later = UnixMillis(1 + WINDOW_MS);
        assert_eq!(guesses.begin(&[address("new")], later), Ok(()));
        assert_eq!(guesses.0.lock().unwrap().len(), 1);
    }
}
