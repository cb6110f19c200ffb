//! How often accounts may be tried on the hosted forms: by one name, and from one client.
//!
//! What failed counts against every name that was shown to a server, and against the client; every try counts
//! against the client, since strangers must not make this server ask others without end. Kept in this process
//! alone: over several servers somebody has as many tries as there are servers.

use keyway_core::ids::ApplicationId;
use keyway_core::time::UnixMillis;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Failed tries within [`WINDOW_MS`] by one name in one application.
const TRIES_PER_NAME: usize = 10;
/// Failed tries within [`WINDOW_MS`] by one name over all applications.
const TRIES_ANYWHERE: usize = 30;
/// Failed tries within [`WINDOW_MS`] from one client: an office behind one address mistypes more often.
const TRIES_PER_CLIENT: usize = 30;
/// Tries of any outcome within [`WINDOW_MS`] from one client.
const ALL_TRIES_PER_CLIENT: usize = 100;
/// Fifteen minutes, in milliseconds.
const WINDOW_MS: i64 = 900_000;
/// Names and clients remembered.
const REMEMBERED_MAX: usize = 100_000;

/// Whose tries are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    /// A name shown to a server, as addresses are compared, in one application: what one application's users do
    /// is nothing to another's.
    Name(ApplicationId, String),
    /// The same wherever it is.
    NameAnywhere(String),
    /// A client: its address, of which only the network counts in IPv6.
    Client(IpAddr),
    /// A client, whatever comes of it.
    AnyTry(IpAddr),
}

/// The client at `ip`. One subscriber has a whole network in IPv6 (RFC 6177).
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & (u128::MAX << 64)).into()),
        ip => ip,
    }
}

impl Whose {
    /// All that a try counts against: by these names, from this client.
    pub(crate) fn of(
        application_id: ApplicationId,
        names: &[String],
        ip: Option<IpAddr>,
    ) -> Vec<Self> {
        let by_name = names.iter().flat_map(|name| {
            let anywhere = Self::NameAnywhere(name.clone());
            [Self::Name(application_id, name.clone()), anywhere]
        });
        let by_client = ip.map(network).into_iter();
        let by_client = by_client.flat_map(|ip| [Self::Client(ip), Self::AnyTry(ip)]);
        by_name.chain(by_client).collect()
    }

    const fn allowed(&self) -> usize {
        match self {
            Self::Name(..) => TRIES_PER_NAME,
            Self::NameAnywhere(_) => TRIES_ANYWHERE,
            Self::Client(_) => TRIES_PER_CLIENT,
            Self::AnyTry(_) => ALL_TRIES_PER_CLIENT,
        }
    }

    const fn is_client(&self) -> bool {
        matches!(self, Self::Client(_) | Self::AnyTry(_))
    }
}

type Tries = HashMap<Whose, VecDeque<UnixMillis>>;

/// The tries of the last quarter of an hour.
#[derive(Default)]
pub(crate) struct Guesses(Mutex<Tries>);

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
            make_room(&mut tries, begin);
        }
        for one in whose {
            tries.entry(one.clone()).or_default().push_back(now);
        }
        Ok(())
    }

    /// The try did not fail: it counts as a try and as nothing else.
    pub(crate) fn forgive(&self, whose: &[Whose], now: UnixMillis) {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in whose {
            let counts = matches!(one, Whose::AnyTry(_));
            let Some(times) = tries.get_mut(one).filter(|_| !counts) else {
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

/// Forgets what is over; then clients, of which whoever filled this up has as many as they like; then the rest.
/// Counting goes on in any case.
fn make_room(tries: &mut Tries, begin: UnixMillis) {
    tries.retain(|_, times| times.back().is_some_and(|last| *last > begin));
    if tries.len() >= REMEMBERED_MAX {
        tries.retain(|whose, _| !whose.is_client());
    }
    if tries.len() >= REMEMBERED_MAX {
        tries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(n: u128) -> ApplicationId {
        ApplicationId::from_u128(n)
    }

    fn whose(name: &str, ip: &str) -> Vec<Whose> {
        Whose::of(app(1), &[name.to_owned()], ip.parse().ok())
    }

    #[test]
    fn guessing_ends_for_a_name_from_wherever_it_comes_and_begins_again_later() {
        let guesses = Guesses::default();
        let at =
            |n: i64, ms| guesses.begin(&whose("a@b.c", &format!("10.0.0.{n}")), UnixMillis(ms));
        for n in 0..10 {
            assert_eq!(at(n, 1000 + n), Ok(()));
        }
        assert_eq!(at(99, 2000), Err(899));
        assert_eq!(
            guesses.begin(&whose("x@b.c", "10.0.1.1"), UnixMillis(2000)),
            Ok(())
        );
        assert_eq!(at(99, 901_000), Ok(()));
    }

    #[test]
    fn rule_08_a_name_tried_in_one_application_is_free_in_another_for_a_while() {
        let guesses = Guesses::default();
        let at = |n: u128, ip: &str| {
            let whose = Whose::of(app(n), &["a@b.c".to_owned()], ip.parse().ok());
            guesses.begin(&whose, UnixMillis(1))
        };
        for n in 0..30 {
            assert_eq!(at(n / 10, &format!("10.0.0.{n}")), Ok(()));
        }
        // Thirty in all are guessing, whoever asks.
        assert!(at(9, "10.0.1.1").is_err());
    }

    #[test]
    fn guessing_ends_for_a_client_whatever_the_name() {
        let guesses = Guesses::default();
        let at = |n: u32| guesses.begin(&whose(&format!("{n}@b.c"), "192.0.2.7"), UnixMillis(5));
        for n in 0..30 {
            assert_eq!(at(n), Ok(()));
        }
        assert!(at(31).is_err());
        // What was refused is counted for nobody.
        let names = whose("31@b.c", "192.0.2.8");
        assert!(!guesses.0.lock().unwrap().contains_key(&names[0]));
    }

    #[test]
    fn what_succeeds_counts_as_a_try_alone() {
        let guesses = Guesses::default();
        let mine = whose("a@b.c", "192.0.2.7");
        for n in 0..100 {
            assert_eq!(guesses.begin(&mine, UnixMillis(n)), Ok(()));
            guesses.forgive(&mine, UnixMillis(n));
        }
        assert!(guesses.begin(&mine, UnixMillis(100)).is_err());
        assert_eq!(guesses.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_client_of_ipv6_is_its_network() {
        let client = |ip: &str| network(ip.parse().unwrap());
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:192.0.2.7"), client("192.0.2.7"));
    }

    #[test]
    fn memory_has_an_end_and_counting_has_none() {
        let guesses = Guesses::default();
        let full = |guesses: &Guesses| guesses.0.lock().unwrap().len();
        let victim = whose("victim@b.c", "");
        for _ in 0..9 {
            assert_eq!(guesses.begin(&victim, UnixMillis(1)), Ok(()));
        }
        for n in 0..u32::try_from(REMEMBERED_MAX).unwrap() {
            let ip = IpAddr::V4(n.into());
            assert_eq!(guesses.begin(&[Whose::Client(ip)], UnixMillis(1)), Ok(()));
        }
        assert!(full(&guesses) <= REMEMBERED_MAX);
        // Clients were forgotten, and not what they tried.
        assert_eq!(guesses.begin(&victim, UnixMillis(1)), Ok(()));
        assert!(guesses.begin(&victim, UnixMillis(1)).is_err());
        let later = UnixMillis(1 + WINDOW_MS);
        assert_eq!(guesses.begin(&victim, later), Ok(()));
    }
}
