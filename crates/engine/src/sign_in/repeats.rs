//! Forms that are sent twice: by a double click, or again before the answer has come.
//!
//! A sign-in is finished once (rule 9). Whoever sends its form again a moment later, with the cookie that only
//! its browser has, is told once more where the first went, since a browser drops the first answer.

use super::enter::Way;
use keyway_core::ids::SignInId;
use keyway_core::time::UnixMillis;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How long a finished sign-in is remembered, in milliseconds.
const REMEMBERED_MS: i64 = 15_000;
/// Sign-ins remembered at once. Beyond these a double click ends at the page that says so.
const REMEMBERED_MAX: usize = 10_000;

/// Forms of one sign-in under way at once: whoever sends more does so without waiting for answers.
const FORMS_AT_ONCE: usize = 3;

/// Where a sign-in went, once it has; locked while it is under way.
pub(crate) type Turn = Arc<tokio::sync::Mutex<Option<Way>>>;

/// Sign-ins whose forms came in a moment ago.
#[derive(Default)]
pub(crate) struct Repeats(Mutex<HashMap<SignInId, (UnixMillis, Turn)>>);

impl Repeats {
    /// The sign-in is finished: its moment begins now.
    pub(crate) fn finished(&self, id: SignInId, now: UnixMillis) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, _)) = turns.get_mut(&id) {
            *at = now;
        }
    }

    /// The turn of a sign-in: one form of it is looked at after the other. None if enough of them wait already.
    pub(crate) fn turn(&self, id: SignInId, now: UnixMillis) -> Option<Turn> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = UnixMillis(now.0.saturating_sub(REMEMBERED_MS));
        // A turn somebody holds is not over, however long it takes.
        turns.retain(|_, (at, turn)| *at > begin || Arc::strong_count(turn) > 1);
        if let Some((_, turn)) = turns.get(&id) {
            // This table holds it as well.
            return (Arc::strong_count(turn) <= FORMS_AT_ONCE).then(|| Arc::clone(turn));
        }
        let turn = Turn::default();
        if turns.len() < REMEMBERED_MAX {
            turns.insert(id, (now, Arc::clone(&turn)));
        }
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_is_remembered_for_a_moment_and_as_long_as_it_is_under_way() {
        let repeats = Repeats::default();
        let of = |n, ms| {
            let turn = repeats.turn(SignInId::from_u128(n), UnixMillis(ms));
            turn.unwrap()
        };
        let first = of(1, 0);
        assert!(Arc::ptr_eq(&first, &of(1, 14_999)));
        assert!(Arc::ptr_eq(&first, &of(1, 60_000)));
        assert!(!Arc::ptr_eq(&first, &of(2, 0)));
        let (former, now) = (Arc::downgrade(&first), 50_000 + REMEMBERED_MS);
        repeats.finished(SignInId::from_u128(1), UnixMillis(50_000));
        drop(first);
        of(3, now - 1);
        assert!(former.upgrade().is_some());
        of(3, now);
        assert!(former.upgrade().is_none());
    }

    #[test]
    fn forms_of_one_sign_in_do_not_pile_up() {
        let repeats = Repeats::default();
        let of = |n| repeats.turn(SignInId::from_u128(n), UnixMillis(0));
        let mut held: Vec<_> = (0..=FORMS_AT_ONCE).map_while(|_| of(1)).collect();
        assert_eq!(held.len(), FORMS_AT_ONCE);
        assert!(of(2).is_some());
        held.pop();
        assert!(of(1).is_some());
    }
}
