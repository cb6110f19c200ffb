//! When to refresh, and how to go on after a refusal: pure schedules.

use crate::refusal::Blame;
use crate::time::UnixMillis;

/// How long one refresh call may take, in milliseconds.
pub const CALL_LIMIT_MS: i64 = 60_000;
/// How long a lease on a grant's refresh lasts, in milliseconds: longer than the call, so that nobody
/// presents the same refresh token while a slow provider may still rotate it (rule 5).
pub const LEASE_MS: i64 = 90_000;
/// A token with less left than this is refreshed while it is still served, in milliseconds.
pub const LEAD_MS: i64 = 5 * 60_000;
/// Added to the lead at random, in milliseconds, so that tokens given together part.
pub const LEAD_JITTER_MS: i64 = 60_000;
/// A token with less left than this is not handed out any more, in milliseconds: it would end on the way.
pub const MARGIN_MS: i64 = 5_000;
/// First pause after a transient refusal, in milliseconds; doubles.
const FIRST_PAUSE_MS: i64 = 1_000;
/// Longest pause after transient refusals, in milliseconds.
const LONGEST_PAUSE_MS: i64 = 5 * 60_000;
/// Longest wait a provider's `Retry-After` is honoured for, in milliseconds.
const RETRY_AFTER_MAX_MS: i64 = 60 * 60_000;
/// No grant is left alone for longer after a refusal, in milliseconds.
pub const REST_MAX_MS: i64 = RETRY_AFTER_MAX_MS;
const DAY_MS: i64 = 24 * 60 * 60_000;

/// When a grant nobody uses must next be refreshed to stay alive: a third of the days for which the provider
/// keeps a refresh token that nobody uses, so that two whole attempts may fail. `jitter` in 0..=1000 spreads
/// grants made together over a tenth.
#[must_use]
pub fn keep_alive_at(idle_days: Option<u16>, now: UnixMillis, jitter: u16) -> Option<UnixMillis> {
    let third = i64::from(idle_days?) * DAY_MS / 3;
    let spread = third / 10 * i64::from(jitter.min(1000)) / 1000;
    Some(now.plus_ms(third - spread))
}

/// What to do about a token that ends at `expires_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Serve it.
    Fresh,
    /// Serve it, and refresh it meanwhile.
    Ageing,
    /// It cannot be served any more.
    Stale,
}

/// When a token was obtained and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When the provider gave it.
    pub obtained_at: UnixMillis,
    /// When it ends.
    pub expires_at: UnixMillis,
}

/// Judges a token. `jitter` in 0..=1000 is the grant's own share of [`LEAD_JITTER_MS`]. A token that lives
/// shorter than usual has a lead and a margin in proportion: it would never be fresh otherwise, and every
/// call would refresh it.
#[must_use]
pub fn freshness(life: Life, now: UnixMillis, jitter: u16) -> Freshness {
    let whole = life.expires_at.0.saturating_sub(life.obtained_at.0).max(0);
    let left = life.expires_at.0.saturating_sub(now.0);
    let lead = LEAD_MS + LEAD_JITTER_MS * i64::from(jitter.min(1000)) / 1000;
    let lead = lead.min(whole / 4);
    match left {
        left if left <= MARGIN_MS.min(whole / 10) => Freshness::Stale,
        left if left <= lead => Freshness::Ageing,
        _ => Freshness::Fresh,
    }
}

/// When to try again after the `failures`-th refusal in a row (counted from 1). A provider's own
/// `Retry-After` counts if it is longer; `jitter` in 0..=1000 takes off up to half, so that grants
/// refused together part.
#[must_use]
pub fn retry_at(
    now: UnixMillis,
    failures: i64,
    retry_after_secs: Option<i64>,
    jitter: u16,
) -> UnixMillis {
    let doublings = u32::try_from(failures.clamp(1, 20) - 1).unwrap_or(0);
    let pause = FIRST_PAUSE_MS
        .saturating_mul(1_i64 << doublings)
        .min(LONGEST_PAUSE_MS);
    let jittered = pause - pause / 2 * i64::from(jitter.min(1000)) / 1000;
    let asked = retry_after_secs
        .unwrap_or(0)
        .saturating_mul(1000)
        .clamp(0, RETRY_AFTER_MAX_MS);
    now.plus_ms(jittered.max(asked))
}

/// What a refusal does to the grant's own schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRefusal {
    /// The grant becomes invalid; nothing is tried until somebody signs in.
    End,
    /// The grant waits for its credential; the credential's breaker decides when.
    AwaitCredential,
    /// Tried again then.
    RetryAt(UnixMillis),
}

/// Decides what follows from a refusal.
#[must_use]
pub fn after_refusal(
    blame: Blame,
    now: UnixMillis,
    failures: i64,
    retry_after_secs: Option<i64>,
    jitter: u16,
) -> AfterRefusal {
    match blame {
        Blame::User | Blame::TenantAdmin => AfterRefusal::End,
        Blame::Credential => AfterRefusal::AwaitCredential,
        // Of another client's it is not known yet whose fault it is: soon again shows.
        Blame::Transient | Blame::OtherClient => {
            AfterRefusal::RetryAt(retry_at(now, failures, retry_after_secs, jitter))
        }
        // It does not mend itself soon; a slow retry shows when somebody has mended it.
        Blame::Ours => {
            AfterRefusal::RetryAt(retry_at(now, failures.max(8), retry_after_secs, jitter))
        }
    }
}

/// How often a broken credential is tried while calls arrive, in milliseconds.
pub const BREAKER_PROBE_MS: i64 = 5_000;

/// How long after its opening a breaker is probed for the first time if nobody calls, in milliseconds;
/// doubles.
const QUIET_PROBE_MS: i64 = 60_000;
/// The longest of these pauses, in milliseconds.
const QUIET_PROBE_MAX_MS: i64 = 15 * 60_000;

/// A credential's breaker: open while the provider refuses the client itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    /// When it opened, or the last call was let through.
    last: UnixMillis,
    /// When it is probed next although nobody calls, and the pause after that.
    quiet_at: UnixMillis,
    quiet_pause_ms: i64,
}

impl Breaker {
    /// Whether a call may go to the provider now. While open, one may every few seconds: it shows
    /// whether the credential has been mended.
    pub fn admits(&mut self, now: UnixMillis) -> bool {
        match &mut self.open {
            None => true,
            Some(open) if now >= open.last.plus_ms(BREAKER_PROBE_MS) => {
                open.last = now;
                true
            }
            Some(_) => false,
        }
    }

    /// Whether it is time for a probe although nobody calls: ever more seldom.
    pub fn wants_probe(&mut self, now: UnixMillis) -> bool {
        let Some(open) = self.open.as_mut().filter(|open| now >= open.quiet_at) else {
            return false;
        };
        open.quiet_pause_ms = (open.quiet_pause_ms * 2).min(QUIET_PROBE_MAX_MS);
        open.quiet_at = now.plus_ms(open.quiet_pause_ms);
        true
    }

    /// Whether a call would be turned away now. Asking takes nobody's turn.
    #[must_use]
    pub fn turns_away(&self, now: UnixMillis) -> bool {
        self.open
            .is_some_and(|open| now < open.last.plus_ms(BREAKER_PROBE_MS))
    }

    /// The provider refused the client.
    pub fn trip(&mut self, now: UnixMillis) {
        self.open.get_or_insert(Open {
            last: now,
            quiet_at: now.plus_ms(QUIET_PROBE_MS),
            quiet_pause_ms: QUIET_PROBE_MS,
        });
    }

    /// The provider accepted the client.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Whether it is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000_000);

    #[test]
    fn rule_11_a_token_is_served_until_its_last_seconds_and_refreshed_before() {
        let of = |left_ms| Life {
            obtained_at: NOW.plus_ms(left_ms - 3_600_000),
            expires_at: NOW.plus_ms(left_ms),
        };
        let judged = |left_ms| freshness(of(left_ms), NOW, 0);
        assert_eq!(judged(LEAD_MS + 1), Freshness::Fresh);
        assert_eq!(judged(LEAD_MS), Freshness::Ageing);
        assert_eq!(judged(MARGIN_MS + 1), Freshness::Ageing);
        assert_eq!(judged(MARGIN_MS), Freshness::Stale);
        assert_eq!(judged(-1), Freshness::Stale);
        assert_eq!(
            freshness(of(LEAD_MS + LEAD_JITTER_MS), NOW, 1000),
            Freshness::Ageing
        );
    }

    #[test]
    fn rule_11_a_short_lived_token_is_fresh_for_most_of_its_life() {
        let life = Life {
            obtained_at: NOW,
            expires_at: NOW.plus_ms(30_000),
        };
        let judged = |after_ms| freshness(life, NOW.plus_ms(after_ms), 500);
        assert_eq!(judged(0), Freshness::Fresh);
        assert_eq!(judged(22_499), Freshness::Fresh);
        assert_eq!(judged(22_500), Freshness::Ageing);
        assert_eq!(judged(26_999), Freshness::Ageing);
        assert_eq!(judged(27_000), Freshness::Stale);
    }

    #[test]
    fn rule_05_a_lease_outlives_the_call_it_covers() {
        const { assert!(LEASE_MS > CALL_LIMIT_MS) };
    }

    #[test]
    fn pauses_double_to_a_bound_and_a_longer_retry_after_counts() {
        let pause = |failures| retry_at(NOW, failures, None, 0).0 - NOW.0;
        assert_eq!(
            [pause(0), pause(1), pause(2), pause(3)],
            [1000, 1000, 2000, 4000]
        );
        assert_eq!(pause(i64::MAX), LONGEST_PAUSE_MS);
        assert_eq!(retry_at(NOW, 1, Some(30), 0), NOW.plus_secs(30));
        assert_eq!(
            retry_at(NOW, 1, Some(i64::MAX), 0),
            NOW.plus_ms(RETRY_AFTER_MAX_MS)
        );
        assert_eq!(retry_at(NOW, 1, Some(-5), 1000).0 - NOW.0, 500);
    }

    #[test]
    fn grants_nobody_uses_are_kept_alive_well_before_the_limit() {
        for days in [1, 60, 90, 180] {
            let limit = i64::from(days) * DAY_MS;
            for jitter in [0, 500, 1000, u16::MAX] {
                let at = keep_alive_at(Some(days), NOW, jitter).unwrap();
                assert!(
                    at.0 - NOW.0 <= limit / 3 && at.0 - NOW.0 >= limit / 4,
                    "{days}"
                );
            }
        }
        assert_eq!(keep_alive_at(None, NOW, 0), None);
    }

    #[test]
    fn rule_06_only_user_and_administrator_end_a_grant() {
        let after = |blame| after_refusal(blame, NOW, 1, None, 0);
        assert_eq!(after(Blame::User), AfterRefusal::End);
        assert_eq!(after(Blame::TenantAdmin), AfterRefusal::End);
        assert_eq!(after(Blame::Credential), AfterRefusal::AwaitCredential);
        assert_eq!(
            after(Blame::Transient),
            AfterRefusal::RetryAt(NOW.plus_ms(1000))
        );
        assert!(matches!(after(Blame::Ours), AfterRefusal::RetryAt(at) if at.0 > NOW.0 + 60_000));
    }

    #[test]
    fn rule_06_an_open_breaker_lets_one_call_through_every_few_seconds() {
        let mut breaker = Breaker::default();
        assert!(breaker.admits(NOW) && breaker.admits(NOW));
        breaker.trip(NOW);
        assert!(breaker.turns_away(NOW.plus_ms(BREAKER_PROBE_MS - 1)));
        assert!(!breaker.admits(NOW.plus_ms(BREAKER_PROBE_MS - 1)));
        let later = NOW.plus_ms(BREAKER_PROBE_MS);
        assert!(breaker.admits(later));
        assert!(!breaker.admits(later));
        breaker.close();
        assert!(breaker.admits(later) && !breaker.is_open());
    }

    #[test]
    fn rule_06_a_breaker_nobody_calls_is_probed_ever_more_seldom() {
        let mut breaker = Breaker::default();
        assert!(!breaker.wants_probe(NOW));
        breaker.trip(NOW);
        let minutes: Vec<i64> = (0..60)
            .filter(|minute| breaker.wants_probe(NOW.plus_ms(minute * 60_000)))
            .collect();
        assert_eq!(minutes, [1, 3, 7, 15, 30, 45]);
    }
}
