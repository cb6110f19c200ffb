//! A token bucket: so many a second, and one second's share at once.

use crate::time::UnixMillis;

/// What is left, in thousandths, so that a millisecond adds as many of them as a second adds whole ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    left: i64,
    filled_at: UnixMillis,
}

/// One, in the bucket's unit.
const ONE: i64 = 1000;

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn full(per_second: u32, now: UnixMillis) -> Self {
        Self {
            left: i64::from(per_second) * ONE,
            filled_at: now,
        }
    }

    /// Takes one if there is one.
    pub fn take(&mut self, per_second: u32, now: UnixMillis) -> bool {
        let rate = i64::from(per_second);
        // A clock that is set back fills nothing and takes nothing away.
        let elapsed_ms = now.0.saturating_sub(self.filled_at.0).max(0);
        let filled = self.left.saturating_add(elapsed_ms.saturating_mul(rate));
        self.left = filled.min(rate * ONE);
        self.filled_at = now;
        let has_one = self.left >= ONE;
        if has_one {
            self.left -= ONE;
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_share_may_be_used_at_once_and_comes_back_evenly() {
        let mut bucket = Bucket::full(4, UnixMillis(0));
        let mut at = |ms| bucket.take(4, UnixMillis(ms));
        assert_eq!(
            [at(0), at(0), at(0), at(0), at(0)],
            [true, true, true, true, false]
        );
        assert_eq!([at(249), at(250), at(250)], [false, true, false]);
        assert_eq!([at(60_000), at(60_000)], [true; 2]);
    }

    #[test]
    fn a_clock_set_back_takes_nothing_away() {
        let mut bucket = Bucket::full(2, UnixMillis(10_000));
        let mut at = |ms| bucket.take(2, UnixMillis(ms));
        assert!(at(10_000));
        assert!(at(1_000));
        assert!(!at(1_000));
        assert!(at(1_500));
    }
}
