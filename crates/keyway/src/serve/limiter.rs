//! `[limits] requests_per_second`: one token bucket for each application of this process and each group of paths.

use keyway_core::ids::ApplicationId;
use keyway_core::rate::Bucket;
use keyway_core::time::UnixMillis;
use keyway_engine::{Error, ErrorKind};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

/// Told with a refusal: a bucket that is empty has something again within the second.
const RETRY_AFTER_SECS: u32 = 1;

/// Paths that are counted together, as upstream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Group {
    /// `/v3/applications`.
    Applications,
    /// `/v3/connect`.
    Authentication,
    /// `/v3/connectors`, with their credentials.
    Connectors,
    /// `/v3/grants`, without the calls.
    Grants,
    /// Calls on behalf of grants.
    Calls,
    /// Everything else.
    Other,
}

impl Group {
    /// The group of a request's path.
    pub(super) fn of(path: &str) -> Self {
        let mut segments = path.split('/').skip(1);
        match (segments.next(), segments.next(), segments.nth(1)) {
            (Some("v3"), Some("applications"), _) => Self::Applications,
            (Some("v3"), Some("connect"), _) => Self::Authentication,
            (Some("v3"), Some("connectors"), _) => Self::Connectors,
            (Some("v3"), Some("grants"), Some("proxy")) => Self::Calls,
            (Some("v3"), Some("grants"), _) => Self::Grants,
            _ => Self::Other,
        }
    }
}

/// Buckets, full at first: an application may use one second's share at once.
pub(super) struct Limiter {
    per_second: NonZeroU32,
    // Only proven applications get buckets, so there are never more than applications times groups.
    buckets: Mutex<HashMap<(ApplicationId, Group), Bucket>>,
}

impl Limiter {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self {
            per_second,
            buckets: Mutex::default(),
        }
    }

    /// Whether `application` may make one more request of `group` at `now`; if so it is counted.
    pub(super) fn admits(&self, application: ApplicationId, group: Group, now: UnixMillis) -> bool {
        let per_second = self.per_second.get();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets
            .entry((application, group))
            .or_insert_with(|| Bucket::full(per_second, now));
        bucket.take(per_second, now)
    }

    /// What a request too many is told.
    pub(super) fn error(&self) -> Error {
        let message = format!(
            "Too many requests: this server allows an application {} a second to each group of paths.",
            self.per_second
        );
        Error::new(ErrorKind::RateLimited, message).retry_after(RETRY_AFTER_SECS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_second: u32) -> Limiter {
        Limiter::new(NonZeroU32::new(per_second).unwrap())
    }

    #[test]
    fn rule_08_applications_do_not_share_a_bucket() {
        let limiter = limiter(1);
        let at_zero =
            |app| limiter.admits(ApplicationId::from_u128(app), Group::Grants, UnixMillis(0));
        assert_eq!([at_zero(1), at_zero(1), at_zero(2)], [true, false, true]);
    }

    #[test]
    fn groups_of_one_application_do_not_either() {
        let limiter = limiter(1);
        let at_zero = |path| {
            let group = Group::of(path);
            limiter.admits(ApplicationId::from_u128(1), group, UnixMillis(0))
        };
        assert!(at_zero("/v3/grants"));
        assert!(!at_zero("/v3/grants/x"), "the same group");
        for path in [
            "/v3/grants/x/proxy/me",
            "/v3/connect/custom",
            "/v3/connectors/google/creds",
            "/v3/applications",
            "/v3/providers/detect",
        ] {
            assert!(at_zero(path), "{path}");
            assert!(!at_zero(path), "{path}");
        }
    }
}
