//! Providers' published keys, fetched when first needed and again when a token names an unknown one.

use crate::engine::Engine;
use keyway_core::time::UnixMillis;
use keyway_outbound::{CallError, Request};
use keyway_vault::jwt::{JwtError, ProviderKeys, verify_provider};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// Keys are used this long before they are fetched anew, in seconds.
const KEYS_LIFETIME_SECS: i64 = 3600;
/// While they cannot be fetched, known ones are used for so long, in seconds.
const KEYS_KEPT_SECS: i64 = 24 * 3600;
/// An unknown key makes us fetch at most this often, in seconds: a forged token must not.
const REFETCH_PAUSE_SECS: i64 = 10;
/// Key sets remembered; one per `jwks_uri`, so one per provider and named tenant.
const SETS_MAX: usize = 256;

#[derive(Default)]
pub(crate) struct ProviderKeyCache(Mutex<BTreeMap<String, Fetched>>);

#[derive(Clone)]
struct Fetched {
    keys: Arc<ProviderKeys>,
    at: UnixMillis,
}

impl ProviderKeyCache {
    fn get(&self, uri: &str) -> Option<Fetched> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(uri)
            .cloned()
    }

    fn put(&self, uri: &str, fetched: Fetched) {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sets.len() >= SETS_MAX {
            sets.clear();
        }
        sets.insert(uri.to_owned(), fetched);
    }
}

/// Why an id_token's signature could not be vouched for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignatureError {
    /// The keys' address is none.
    #[error("the address of the provider's keys is no URL")]
    Address(#[source] url::ParseError),
    /// Whoever has the keys cannot be reached. What is wrong there is for the log: it tells about the
    /// network this server stands in.
    #[error("the provider's keys cannot be fetched from {}", .0.host)]
    Unreachable(#[source] CallError),
    /// The keys are not given out, with this HTTP status.
    #[error("the provider's keys cannot be fetched: status {0}")]
    Status(u16),
    /// The token is bad.
    #[error(transparent)]
    Token(#[from] JwtError),
}

impl Engine {
    /// The claims of a provider's id_token, its signature checked against the keys at `jwks_uri`.
    pub(crate) async fn verified_claims(
        &self,
        jwks_uri: &str,
        token: &str,
    ) -> Result<Map<String, Value>, SignatureError> {
        let now = self.now();
        let known = self.inner.provider_keys.get(jwks_uri);
        let fresh_for = |secs: i64| known.clone().filter(|set| now < set.at.plus_secs(secs));
        if let Some(set) = fresh_for(KEYS_LIFETIME_SECS) {
            match verify_provider(token, &set.keys) {
                Err(JwtError::UnknownKey) if fresh_for(REFETCH_PAUSE_SECS).is_none() => {}
                other => return Ok(other?),
            }
        }
        match self.fetch_keys(jwks_uri).await {
            Ok(keys) => Ok(verify_provider(token, &keys)?),
            // Keys that were good an hour ago vouch for those they know until others are to be had.
            Err(error) => match fresh_for(KEYS_KEPT_SECS) {
                Some(set) => verify_provider(token, &set.keys).map_err(|_| error),
                None => Err(error),
            },
        }
    }

    async fn fetch_keys(&self, jwks_uri: &str) -> Result<Arc<ProviderKeys>, SignatureError> {
        let url = Url::parse(jwks_uri).map_err(SignatureError::Address)?;
        let answer = self.inner.parts.transport.send(Request::get(url)).await;
        let answer = answer.map_err(SignatureError::Unreachable)?;
        if !answer.status.is_success() {
            return Err(SignatureError::Status(answer.status.as_u16()));
        }
        let keys = Arc::new(ProviderKeys::parse(&answer.body)?);
        let fetched = Fetched {
            keys: Arc::clone(&keys),
            at: self.now(),
        };
        self.inner.provider_keys.put(jwks_uri, fetched);
        Ok(keys)
    }
}
