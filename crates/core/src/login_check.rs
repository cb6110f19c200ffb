//! How often it is tried whether a password still opens its account, and what follows.

use crate::time::UnixMillis;

/// Between two tries, in milliseconds; a tenth less at most, so that grants made together part.
const INTERVAL_MS: i64 = 24 * 60 * 60_000;
/// Before the next try after one that did not succeed, in milliseconds.
const RETRY_MS: i64 = 60 * 60_000;
/// Refusals that end a grant: servers refuse good passwords too, for a moment.
const REFUSALS_MAX: i64 = 2;

/// How a try went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// The account opened.
    Opened,
    /// The server refused the password.
    Refused,
    /// Nobody can tell: the server was not reached, or could not say.
    Unknown,
}

/// What follows from a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterLogin {
    /// Refusals since the account last opened.
    pub refusals: i64,
    /// When the next try is due; none where the grant has ended.
    pub due_at: Option<UnixMillis>,
}

/// What follows from `login` after so many refusals. `jitter` in 0..=1000 is the grant's own.
#[must_use]
pub fn after_login(login: Login, refusals: i64, now: UnixMillis, jitter: u16) -> AfterLogin {
    let refusals = match login {
        Login::Opened => 0,
        Login::Refused => refusals.saturating_add(1),
        Login::Unknown => refusals,
    };
    let due_at = match login {
        Login::Opened => Some(next_check_at(now, jitter)),
        Login::Refused if refusals >= REFUSALS_MAX => None,
        Login::Refused | Login::Unknown => Some(now.plus_ms(RETRY_MS)),
    };
    AfterLogin { refusals, due_at }
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
        assert_eq!(
            (silent.refusals, silent.due_at),
            (1, Some(NOW.plus_ms(RETRY_MS)))
        );
        let second = after_login(Login::Refused, silent.refusals, NOW, 0);
        assert_eq!(second.due_at, None);
        assert_eq!(after_login(Login::Opened, 1, NOW, 0).refusals, 0);
        assert!(after_login(Login::Unknown, 0, NOW, 0).due_at.is_some());
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
