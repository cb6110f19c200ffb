//! Which headers cross, in each direction. Names are lower case, as every HTTP library hands them out.

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the caller to the provider.
    ToProvider,
    /// From the provider to the caller.
    ToCaller,
}

/// Whether a header belongs to one connection and never crosses (RFC 9110, 7.6.1).
#[must_use]
pub fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Whether a header crosses. What a message's own `Connection` header names does not, whatever this says.
#[must_use]
pub fn crosses(direction: Direction, name: &str) -> bool {
    if is_hop_by_hop(name) || name.starts_with("proxy-") || name.starts_with("x-keyway-") {
        return false;
    }
    match direction {
        Direction::ToProvider => !is_the_callers_own(name),
        Direction::ToCaller => !is_about_our_origin(name) && !is_for_whoever_is_in_front(name),
    }
}

/// What the caller says to Keyway, and claims about its own address that the provider might believe.
fn is_the_callers_own(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "cookie"
            | "cookie2"
            | "expect"
            | "forwarded"
            | "host"
            | "http2-settings"
            | "via"
            | "true-client-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-real-ip"
    ) || name.starts_with("x-forwarded-")
}

/// What a browser would apply to Keyway's origin, where the provider has nothing to say.
fn is_about_our_origin(name: &str) -> bool {
    matches!(
        name,
        "accept-ch"
            | "alt-svc"
            | "clear-site-data"
            | "content-security-policy"
            | "content-security-policy-report-only"
            | "critical-ch"
            | "expect-ct"
            | "nel"
            | "origin-agent-cluster"
            | "public-key-pins"
            | "refresh"
            | "report-to"
            | "reporting-endpoints"
            | "service-worker-allowed"
            | "set-cookie"
            | "set-cookie2"
            | "set-login"
            | "sourcemap"
            | "strict-transport-security"
            | "timing-allow-origin"
            | "x-content-type-options"
            | "x-request-id"
    ) || name.starts_with("access-control-")
}

/// What the operator's own proxy or cache in front of Keyway would take for Keyway's orders: to serve a file
/// or an internal path in place of the answer, or to keep it. A provider has none to give there.
fn is_for_whoever_is_in_front(name: &str) -> bool {
    matches!(
        name,
        "edge-control"
            | "surrogate-control"
            | "surrogate-key"
            | "x-accel-charset"
            | "x-accel-expires"
            | "x-accel-limit-rate"
            | "x-accel-redirect"
            | "x-lighttpd-send-file"
            | "x-reproxy-url"
            | "x-sendfile"
            | "x-sendfile2"
    ) || name.ends_with("cdn-cache-control")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_caller_proves_itself_by_never_reaches_the_provider() {
        for name in [
            "authorization",
            "cookie",
            "host",
            "proxy-authorization",
            "x-forwarded-for",
            "x-forwarded-host",
            "forwarded",
            "x-keyway-upstream-host",
            "connection",
            "transfer-encoding",
            "te",
            "upgrade",
        ] {
            assert!(!crosses(Direction::ToProvider, name), "{name}");
        }
    }

    #[test]
    fn what_a_call_is_about_crosses_both_ways() {
        for name in [
            "content-type",
            "content-length",
            "content-range",
            "accept",
            "accept-encoding",
            "etag",
            "if-match",
            "range",
            "retry-after",
            "location",
            "link",
            "prefer",
            "user-agent",
            "x-goog-user-project",
            "www-authenticate",
            "x-upload-content-type",
        ] {
            assert!(crosses(Direction::ToProvider, name), "{name}");
            assert!(crosses(Direction::ToCaller, name), "{name}");
        }
    }

    #[test]
    fn a_provider_says_nothing_about_our_origin() {
        for name in [
            "set-cookie",
            "clear-site-data",
            "alt-svc",
            "strict-transport-security",
            "access-control-allow-origin",
            "access-control-allow-credentials",
            "content-security-policy",
            "x-keyway-answer",
            "x-request-id",
            "connection",
            "keep-alive",
        ] {
            assert!(!crosses(Direction::ToCaller, name), "{name}");
        }
    }

    #[test]
    fn a_provider_gives_no_orders_to_the_operators_own_proxy() {
        for name in [
            "x-accel-redirect",
            "x-accel-expires",
            "x-sendfile",
            "x-lighttpd-send-file",
            "x-reproxy-url",
            "surrogate-control",
            "cdn-cache-control",
            "cloudflare-cdn-cache-control",
        ] {
            assert!(!crosses(Direction::ToCaller, name), "{name}");
        }
        // Event streams ask for it, and it concerns their own answer alone.
        assert!(crosses(Direction::ToCaller, "x-accel-buffering"));
        assert!(crosses(Direction::ToCaller, "cache-control"));
    }
}
