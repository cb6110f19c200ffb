//! The servers of accounts that are tried: how many tries each has at once, and which have been silent. Kept in this
//! process alone: another one finds out by itself, and so does the next.

use keyway_core::login_check::silence_ms;
use keyway_core::time::UnixMillis;
use keyway_store::DueLogin;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tries at once at one server: half of all, so that one that is slow keeps no other waiting.
const AT_ONCE_PER_HOST: usize = 4;
/// Accounts of one server in a round.
const PER_HOST: usize = 50;
/// Silent servers remembered.
const HOSTS_MAX: usize = 10_000;

/// A server's silence.
#[derive(Clone, Copy)]
struct Silence {
    times: u32,
    until: UnixMillis,
}

/// Servers that were not reached when they were last tried.
#[derive(Default)]
pub(crate) struct SilentHosts(Mutex<HashMap<String, Silence>>);

impl SilentHosts {
    fn hosts(&self) -> MutexGuard<'_, HashMap<String, Silence>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when nobody is to try the server.
    fn until(&self, host: &str, now: UnixMillis) -> Option<UnixMillis> {
        let known = self.hosts().get(host).map(|silence| silence.until);
        known.filter(|until| *until > now)
    }

    /// It was not reached: says until when nobody is to try it again. Tries that were under way together are one.
    pub(super) fn was_silent(&self, host: &str, now: UnixMillis) -> UnixMillis {
        let mut hosts = self.hosts();
        if hosts.len() >= HOSTS_MAX {
            hosts.retain(|_, silence| silence.until > now);
        }
        if hosts.len() >= HOSTS_MAX {
            hosts.clear();
        }
        let before = hosts.get(host).copied();
        if let Some(known) = before.filter(|silence| silence.until > now) {
            return known.until;
        }
        let times = before.map_or(0, |silence| silence.times).saturating_add(1);
        let until = now.plus_ms(silence_ms(times));
        hosts.insert(host.to_owned(), Silence { times, until });
        until
    }

    /// It answered.
    pub(super) fn was_heard(&self, host: &str) {
        self.hosts().remove(host);
    }
}

/// An account that is put off, and until when.
pub(super) type PutOff = (DueLogin, UnixMillis);

/// The due accounts of one round, by server.
pub(super) struct Queues(Mutex<BTreeMap<String, VecDeque<DueLogin>>>);

impl Queues {
    /// What is due, without what is not to be tried in this round: of servers that are silent until they may be
    /// tried again, of others what is too much for one round until `postponed`.
    pub(super) fn of(
        due: Vec<DueLogin>,
        silent: &SilentHosts,
        now: UnixMillis,
        postponed: UnixMillis,
    ) -> (Self, Vec<PutOff>) {
        let mut queues: BTreeMap<String, VecDeque<DueLogin>> = BTreeMap::new();
        let mut put_off = Vec::new();
        for one in due {
            let host = host_of(&one);
            if let Some(until) = silent.until(&host, now) {
                put_off.push((one, until));
                continue;
            }
            let queue = queues.entry(host).or_default();
            match queue.len() {
                ..PER_HOST => queue.push_back(one),
                _ => put_off.push((one, postponed)),
            }
        }
        (Self(Mutex::new(queues)), put_off)
    }

    /// One server after the other, and then again, each as often as it may be tried at once: a server is named once
    /// for each of its tries, and no server a second time before all are a first.
    pub(super) fn lanes(&self) -> Vec<String> {
        let queues = self.queues();
        let turns = 0..AT_ONCE_PER_HOST;
        let lanes = turns.flat_map(|turn| {
            let busy = queues.iter().filter(move |(_, queue)| queue.len() > turn);
            busy.map(|(host, _)| host.clone())
        });
        lanes.collect()
    }

    /// The server's next account.
    pub(super) fn next(&self, host: &str) -> Option<DueLogin> {
        self.queues().get_mut(host)?.pop_front()
    }

    /// All that is left of a server's: nothing more of it is tried.
    pub(super) fn give_up(&self, host: &str) -> Vec<DueLogin> {
        let queue = self.queues().remove(host);
        queue.map(Vec::from).unwrap_or_default()
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<String, VecDeque<DueLogin>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server that opens an account; one without is nobody's, and tried to be told so.
fn host_of(due: &DueLogin) -> String {
    let text = |name: &str| due.settings.get(name).and_then(Value::as_str);
    let host = text("imap_host").or_else(|| text("ews_host"));
    host.unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::ids::{ApplicationId, GrantId};
    use serde_json::json;

    const HOUR_MS: i64 = 3_600_000;

    fn due(n: u128, settings: &Value) -> DueLogin {
        DueLogin {
            application_id: ApplicationId::from_u128(1),
            grant_id: GrantId::from_u128(n),
            settings: settings.as_object().unwrap().clone(),
        }
    }

    fn queues(due: Vec<DueLogin>, silent: &SilentHosts) -> (Queues, Vec<PutOff>) {
        Queues::of(due, silent, UnixMillis(10), UnixMillis(600))
    }

    #[test]
    fn every_server_has_its_first_turn_before_any_has_its_second() {
        let many = (0..60).map(|n| due(n, &json!({"imap_host": "Many.test"})));
        let few = (60..62).map(|n| due(n, &json!({"ews_host": "few.test"})));
        let (queues, put_off) = queues(many.chain(few).collect(), &SilentHosts::default());
        assert_eq!(put_off.len(), 10);
        assert!(put_off.iter().all(|(_, until)| *until == UnixMillis(600)));
        let (few, many) = ("few.test", "many.test");
        assert_eq!(queues.lanes(), [few, many, few, many, many, many]);
        assert_eq!(queues.next(few).unwrap().grant_id, GrantId::from_u128(60));
        assert_eq!(queues.give_up(many).len(), PER_HOST);
        assert!(queues.next(many).is_none());
        assert_eq!(queues.lanes(), [few]);
    }

    #[test]
    fn a_silence_is_the_longer_the_oftener_it_was_met_and_ends_with_an_answer() {
        let silent = SilentHosts::default();
        let mut now = UnixMillis(10);
        for hours in [1, 2, 4, 8, 16, 24, 24] {
            let until = silent.was_silent("a.test", now);
            assert_eq!(until, now.plus_ms(hours * HOUR_MS));
            // Found by another try that was under way.
            assert_eq!(silent.was_silent("a.test", now.plus_ms(9)), until);
            let due = vec![due(1, &json!({"imap_host": "a.test"}))];
            let (queues, put_off) = Queues::of(due, &silent, now, now);
            assert!(queues.lanes().is_empty());
            assert_eq!(put_off.first().map(|(_, at)| *at), Some(until));
            now = until;
        }
        assert_eq!(silent.until("a.test", now), None);
        silent.was_heard("a.test");
        assert_eq!(silent.was_silent("a.test", now), now.plus_ms(HOUR_MS));
    }

    #[test]
    fn memory_of_silence_has_an_end() {
        let silent = SilentHosts::default();
        for n in 0..=HOSTS_MAX {
            silent.was_silent(&format!("{n}.test"), UnixMillis(1));
        }
        assert!(silent.hosts().len() <= HOSTS_MAX);
        silent.was_silent("a.test", UnixMillis(1));
        assert!(silent.until("a.test", UnixMillis(2)).is_some());
    }
}
