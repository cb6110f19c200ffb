//! How many accounts of users may be tried at once, whoever asks.
//!
//! A try opens connections for as long as half a minute, whether or not the browser waits for it, to servers that the
//! person named. They share places, so that they never take all the sockets and name lookups of the process, and no
//! application takes them all.

use keyway_core::ids::ApplicationId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Tries at once.
const AT_ONCE: usize = 256;
/// Tries at once for one application.
const AT_ONCE_PER_APPLICATION: usize = 64;

type UnderWay = Arc<Mutex<HashMap<ApplicationId, usize>>>;

/// The tries under way.
#[derive(Default)]
pub(crate) struct Trials(UnderWay);

/// A try under way; its place is free again when it is dropped.
pub(crate) struct Trial {
    under_way: UnderWay,
    application_id: ApplicationId,
}

impl Trials {
    /// A place for one more, if there is any.
    pub(crate) fn begin(&self, application_id: ApplicationId) -> Option<Trial> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let in_all = under_way.values().sum::<usize>();
        let own = under_way.get(&application_id).copied().unwrap_or_default();
        if in_all >= AT_ONCE || own >= AT_ONCE_PER_APPLICATION {
            return None;
        }
        under_way.insert(application_id, own + 1);
        Some(Trial {
            under_way: Arc::clone(&self.0),
            application_id,
        })
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match under_way.get_mut(&self.application_id) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(under_way.remove(&self.application_id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_08_no_application_takes_all_places_and_each_comes_back() {
        let trials = Trials::default();
        let of = |n: usize| trials.begin(ApplicationId::from_u128(n as u128));
        let first: Vec<_> = (0..=AT_ONCE_PER_APPLICATION).map_while(|_| of(1)).collect();
        assert_eq!(first.len(), AT_ONCE_PER_APPLICATION);
        let others: Vec<_> = (2..).map_while(of).collect();
        assert_eq!(first.len() + others.len(), AT_ONCE);
        drop(others);
        assert!(of(1).is_none() && of(2).is_some());
        drop(first);
        assert!(of(1).is_some());
        assert!(trials.0.lock().unwrap().is_empty());
    }
}
