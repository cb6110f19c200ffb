//! How often it is tried whether a password still opens its account, and what follows.

use crate::time::UnixMillis;

/// Between two tries, in milliseconds; a tenth less at most, so that grants made together part.
const INTERVAL_MS: i64 = 24 * 60 * 60_000;
/// Before the next try after one that did not succeed, in milliseconds; doubles where that is said.
const RETRY_MS: i64 = 60 * 60_000;
/// Refusals that end a grant: servers refuse good passwords too, for a moment.
const REFUSALS_MAX: i64 = 2;
/// Refusals without a reason that end a grant; with the pauses between them that takes more than three days.
const DOUBTS_MAX: i64 = 8;

/// How a try went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// The account opened.
    Opened,
    /// The server refused the password, and says so.
    Refused,
    /// The server let nobody in and gave no reason: it may be busy.
    Doubted,
    /// Nobody can tell: the server could not say, or said something else.
    Unknown,
}

/// What follows from a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterLogin {
    /// Refusals since the account last opened: one without a reason counts one, another as much as makes
    /// two of them end the grant.
    pub refusals: i64,
    /// When the next try is due; none where the grant has ended.
    pub due_at: Option<UnixMillis>,
}

/// What follows from `login` after so many refusals. `jitter` in 0..=1000 is the grant's own.
#[must_use]
pub fn after_login(login: Login, refusals: i64, now: UnixMillis, jitter: u16) -> AfterLogin {
    let refusals = match login {
        Login::Opened => 0,
        Login::Refused => refusals.saturating_add(DOUBTS_MAX / REFUSALS_MAX),
        Login::Doubted => refusals.saturating_add(1),
        Login::Unknown => refusals,
    };
    let due_at = match login {
        Login::Opened => Some(next_check_at(now, jitter)),
        Login::Refused | Login::Doubted if refusals >= DOUBTS_MAX => None,
        Login::Doubted => Some(now.plus_ms(lengthened_ms(refusals))),
        Login::Refused | Login::Unknown => Some(now.plus_ms(RETRY_MS)),
    };
    AfterLogin { refusals, due_at }
}

/// How long a server is left alone that was silent for the `times`-th time in a row, in milliseconds: at most a
/// day.
#[must_use]
pub fn silence_ms(times: u32) -> i64 {
    lengthened_ms(i64::from(times))
}

/// The pause after the `times`-th try in a row that did not succeed; doubles up to a day.
fn lengthened_ms(times: i64) -> i64 {
    let doublings = u32::try_from(times.saturating_sub(1).clamp(0, 10)).unwrap_or(0);
    INTERVAL_MS.min(RETRY_MS << doublings)
}

/// When an account that opened at `now` is tried again.
#[must_use]
pub fn next_check_at(now: UnixMillis, jitter: u16) -> UnixMillis {
    let spread = INTERVAL_MS / 10 * i64::from(jitter.min(1000)) / 1000;
    now.plus_ms(INTERVAL_MS - spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn rule_06_two_refusals_an_hour_apart_end_a_grant_and_silence_never_does() {
        let first = after_login(Login::Refused, 0, NOW, 0);
        assert_eq!(first.due_at, Some(NOW.plus_ms(RETRY_MS)));
        let silent = after_login(Login::Unknown, first.refusals, NOW, 0);
        assert_eq!(silent, first);
        let second = after_login(Login::Refused, silent.refusals, NOW, 0);
        assert_eq!(second.due_at, None);
        assert_eq!(after_login(Login::Opened, 1, NOW, 0).refusals, 0);
        assert!(after_login(Login::Unknown, 0, NOW, 0).due_at.is_some());
    }

    #[test]
    fn rule_06_refusals_without_a_reason_take_days_to_end_a_grant() {
        let (mut refusals, mut now, mut tries) = (0, NOW, 0);
        loop {
            tries += 1;
            let after = after_login(Login::Doubted, refusals, now, 0);
            refusals = after.refusals;
            let Some(due_at) = after.due_at else { break };
            now = due_at;
        }
        assert_eq!(tries, DOUBTS_MAX);
        let hours = (now.0 - NOW.0) / RETRY_MS;
        assert_eq!(hours, 1 + 2 + 4 + 8 + 16 + 24 + 24);
        // A reason counts, whatever came before.
        let refused = after_login(Login::Refused, 1, NOW, 0);
        assert!(refused.due_at.is_some());
        assert_eq!(
            after_login(Login::Refused, refused.refusals, NOW, 0).due_at,
            None
        );
    }

    #[test]
    fn silence_is_waited_out_for_an_hour_and_never_for_more_than_a_day() {
        assert_eq!((silence_ms(0), silence_ms(1)), (RETRY_MS, RETRY_MS));
        assert_eq!(silence_ms(3), 4 * RETRY_MS);
        assert_eq!(silence_ms(6), INTERVAL_MS);
        assert_eq!(silence_ms(u32::MAX), INTERVAL_MS);
    }

    #[test]
    fn checks_are_spread_over_a_tenth_of_a_day() {
        for jitter in [0, 500, 1000, u16::MAX] {
            let wait = next_check_at(NOW, jitter).0 - NOW.0;
            assert!(
                (INTERVAL_MS * 9 / 10..=INTERVAL_MS).contains(&wait),
                "{wait}"
            );
        }
    }
}
