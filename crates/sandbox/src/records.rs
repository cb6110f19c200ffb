//! What was asked of the sandbox: counters and short logs for tests to look at. No secret is
//! kept, only digests.

use crate::digest::Digest;
use keyway_core::time::UnixMillis;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// How many requests each log holds; the counters go on past that.
const LOG_LENGTH: usize = 20_000;

/// A request seen at the token endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenRequest {
    /// When it came.
    pub at_ms: UnixMillis,
    /// Its `grant_type`.
    pub grant_type: String,
    /// The client it claimed to come from.
    pub client_id: String,
    /// The first 16 characters of the base64url SHA-256 of the refresh token presented.
    pub refresh_token_digest: Option<String>,
    /// The `scope` it sent.
    pub scope: Option<String>,
}

/// A request seen at the revocation endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revocation {
    /// When it came.
    pub at_ms: UnixMillis,
    /// The client that asked, if it said.
    pub client_id: Option<String>,
    /// The user whose token it was, if the token was known.
    pub email: Option<String>,
    /// The first 16 characters of the base64url SHA-256 of the token presented.
    pub token_digest: String,
}

/// How often things happened since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Requests at the token endpoint, by grant type, then by client.
    pub token_requests: BTreeMap<String, BTreeMap<String, u64>>,
    /// Refusals at the token endpoint, by error code. Faults are not counted here.
    pub token_refusals: BTreeMap<String, u64>,
    /// Times that a refresh token came in while an earlier request with it was still being
    /// answered.
    pub overlapping_refreshes: u64,
    /// Requests at the revocation endpoint.
    pub revocations: u64,
    /// Requests at the userinfo endpoint.
    pub userinfo_requests: u64,
    /// Requests for the key set.
    pub jwks_requests: u64,
    /// Requests under `/api`, by path.
    pub api_requests: BTreeMap<String, u64>,
    /// Sign-ins that ended with a code.
    pub sign_ins: u64,
}

impl Counters {
    /// Requests at the token endpoint with this grant type, over all clients.
    #[must_use]
    pub fn token_requests_of(&self, grant_type: &str) -> u64 {
        self.token_requests
            .get(grant_type)
            .map_or(0, |by_client| by_client.values().sum())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) counters: Counters,
    pub(crate) token_requests: VecDeque<TokenRequest>,
    pub(crate) revocations: VecDeque<Revocation>,
    refreshing: HashMap<Digest, u32>,
}

/// The counters are maps whose keys come from requests: past this many they stop growing.
const MAX_KEYS: usize = 1000;

fn count(counts: &mut BTreeMap<String, u64>, key: &str) {
    if let Some(n) = counts.get_mut(key) {
        *n += 1;
    } else if counts.len() < MAX_KEYS {
        counts.insert(key.to_owned(), 1);
    }
}

fn push<T>(log: &mut VecDeque<T>, entry: T) {
    if log.len() >= LOG_LENGTH {
        log.pop_front();
    }
    log.push_back(entry);
}

impl Records {
    pub(crate) fn token_request(&mut self, request: TokenRequest) {
        let by_grant_type = &mut self.counters.token_requests;
        if by_grant_type.len() < MAX_KEYS || by_grant_type.contains_key(&request.grant_type) {
            let by_client = by_grant_type.entry(request.grant_type.clone()).or_default();
            count(by_client, &request.client_id);
        }
        push(&mut self.token_requests, request);
    }

    pub(crate) fn token_refusal(&mut self, error: &str) {
        count(&mut self.counters.token_refusals, error);
    }

    pub(crate) fn revocation(&mut self, revocation: Revocation) {
        self.counters.revocations += 1;
        push(&mut self.revocations, revocation);
    }

    pub(crate) fn api_request(&mut self, path: &str) {
        count(&mut self.counters.api_requests, path);
    }

    pub(crate) fn refresh_begins(&mut self, token: Digest) {
        let under_way = self.refreshing.entry(token).or_default();
        *under_way += 1;
        if *under_way > 1 {
            self.counters.overlapping_refreshes += 1;
        }
    }

    pub(crate) fn refresh_ends(&mut self, token: Digest) {
        if let Some(under_way) = self.refreshing.get_mut(&token) {
            *under_way -= 1;
            if *under_way == 0 {
                self.refreshing.remove(&token);
            }
        }
    }
}
