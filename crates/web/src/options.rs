//! What the binary tells this crate about where and how it is served.

use crate::address::Cidr;
use std::net::SocketAddr;
use std::time::Duration;
use url::Url;

/// Longest JSON or form body, in bytes, unless the options say otherwise.
const BODY_LIMIT_BYTES: usize = 1024 * 1024;
/// Longest time a request may take, in milliseconds, unless the options say otherwise: the clients' own
/// patience.
const DEADLINE_MS: u64 = 90_000;

/// The peer's address: a request extension that whoever accepts connections inserts.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddr(pub SocketAddr);

/// How the router is served.
#[derive(Clone, Debug)]
pub struct WebOptions {
    /// The address browsers and applications use. Cookies are `Secure` when it is https.
    pub public_url: Url,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Longest JSON or form body, in bytes; longer ones are answered 413.
    pub body_limit_bytes: usize,
    /// After this a request is given up and answered 503.
    pub deadline: Duration,
    /// Applications that ask for it may read providers' access tokens.
    pub allow_provider_tokens: bool,
}

impl WebOptions {
    /// Options with no trusted proxies and the default limits.
    #[must_use]
    pub const fn new(public_url: Url) -> Self {
        Self {
            public_url,
            trusted_proxies: Vec::new(),
            body_limit_bytes: BODY_LIMIT_BYTES,
            deadline: Duration::from_millis(DEADLINE_MS),
            allow_provider_tokens: false,
        }
    }

    /// `public_url` without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        self.public_url.as_str().trim_end_matches('/')
    }

    /// Whether browsers reach this server over https.
    pub(crate) fn is_https(&self) -> bool {
        self.public_url.scheme() == "https"
    }
}
