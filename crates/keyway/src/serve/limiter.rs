//! `[limits] requests_per_second`: one token bucket for each application of this process.

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use keyway_core::ids::ApplicationId;
use keyway_core::rate::Bucket;
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

impl Limiter {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self {
            per_second,
            buckets: Mutex::default(),
        }
    }

    /// Whether `application` may make one more request at `now`; if so it is counted.
    pub(super) fn admits(&self, application: ApplicationId, now: UnixMillis) -> bool {
        let per_second = self.per_second.get();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets
            .entry(application)
            .or_insert_with(|| Bucket::full(per_second, now));
        bucket.take(per_second, now)
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
}
