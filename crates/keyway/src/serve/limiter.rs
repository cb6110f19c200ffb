//! `[limits] requests_per_second`: one token bucket for each application of this process.

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use keyway_core::ids::ApplicationId;
use keyway_core::time::UnixMillis;
use serde_json::json;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

/// Buckets, full at first: an application may use one second's share at once.
pub(super) struct Limiter {
    per_second: NonZeroU32,
    // Only proven applications get a bucket, so there are never more than applications.
    buckets: Mutex<HashMap<ApplicationId, Bucket>>,
}

/// What is left, in thousandths of a request, so that a millisecond adds `per_second` of them.
struct Bucket {
    left: i64,
    filled_at: UnixMillis,
}

/// A request, in the bucket's unit.
const ONE: i64 = 1000;

impl Limiter {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self {
            per_second,
            buckets: Mutex::default(),
        }
    }

    /// Whether `application` may make one more request at `now`; if so it is counted.
    pub(super) fn admits(&self, application: ApplicationId, now: UnixMillis) -> bool {
        let rate = i64::from(self.per_second.get());
        let full = rate * ONE;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(application).or_insert(Bucket {
            left: full,
            filled_at: now,
        });
        // A clock that is set back fills nothing and takes nothing away.
        let elapsed_ms = now.0.saturating_sub(bucket.filled_at.0).max(0);
        bucket.left = bucket
            .left
            .saturating_add(elapsed_ms.saturating_mul(rate))
            .min(full);
        bucket.filled_at = now;
        let admitted = bucket.left >= ONE;
        if admitted {
            bucket.left -= ONE;
        }
        admitted
    }

    /// The answer to a request too many.
    pub(super) fn refusal(&self, request_id: &str) -> Response<Body> {
        let message = format!(
            "Too many requests: this server allows an application {} a second.",
            self.per_second
        );
        let error = json!({"type": "api.rate_limit_error", "message": message});
        let body = json!({"request_id": request_id, "error": error}).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_second: u32) -> Limiter {
        Limiter::new(NonZeroU32::new(per_second).unwrap())
    }

    #[test]
    fn a_second_s_share_may_be_used_at_once_and_comes_back_evenly() {
        let (limiter, app) = (limiter(4), ApplicationId::from_u128(1));
        let at = |ms| limiter.admits(app, UnixMillis(ms));
        assert_eq!(
            [at(0), at(0), at(0), at(0), at(0)],
            [true, true, true, true, false]
        );
        assert_eq!([at(249), at(250), at(250)], [false, true, false]);
        assert_eq!([at(60_000); 2], [true; 2]);
    }

    #[test]
    fn rule_08_applications_do_not_share_a_bucket() {
        let limiter = limiter(1);
        let at_zero = |app| limiter.admits(ApplicationId::from_u128(app), UnixMillis(0));
        assert_eq!([at_zero(1), at_zero(1), at_zero(2)], [true, false, true]);
    }

    #[test]
    fn a_refusal_is_as_well_guarded_as_any_answer() {
        let refusal = limiter(1).refusal("7");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("retry-after", "1"),
            ("vary", "Origin"),
            ("x-content-type-options", "nosniff"),
            ("x-request-id", "7"),
        ] {
            assert_eq!(refusal.headers()[name], value);
        }
    }

    #[test]
    fn a_clock_set_back_takes_nothing_away() {
        let (limiter, app) = (limiter(2), ApplicationId::from_u128(1));
        assert!(limiter.admits(app, UnixMillis(10_000)));
        assert!(limiter.admits(app, UnixMillis(1_000)));
        assert!(!limiter.admits(app, UnixMillis(1_000)));
        assert!(limiter.admits(app, UnixMillis(1_500)));
    }
}
