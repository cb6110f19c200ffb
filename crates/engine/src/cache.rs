//! What is remembered between requests: who a key or token belongs to. Bounded, and exact: an entry
//! goes the moment this process changes what it says, and within a poll when another process does.

use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::ids::{ApplicationId, GrantId};
use keyway_core::sealed::Digest;
use keyway_core::time::UnixMillis;
use std::sync::atomic::{AtomicU64, Ordering};

/// API keys remembered. An entry is about 100 bytes.
const KEYS_REMEMBERED: usize = 10_000;
/// Access tokens remembered. An entry is about 130 bytes.
const TOKENS_REMEMBERED: usize = 50_000;

/// What an API key opens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownKey {
    pub(crate) caller: crate::caller::Caller,
    pub(crate) expires_at: Option<UnixMillis>,
}

/// What an access token opens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownToken {
    pub(crate) application_id: ApplicationId,
    pub(crate) grant_id: GrantId,
    pub(crate) expires_at: UnixMillis,
}

/// A look into the cache that found nothing: what is read from the database now may be stored only if
/// nothing was forgotten meanwhile, or a revoked key could slip back in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Miss(u64);

pub(crate) struct Cache {
    keys: quick_cache::sync::Cache<Digest, KnownKey>,
    tokens: quick_cache::sync::Cache<Digest, KnownToken>,
    epoch: AtomicU64,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            keys: quick_cache::sync::Cache::new(KEYS_REMEMBERED),
            tokens: quick_cache::sync::Cache::new(TOKENS_REMEMBERED),
            epoch: AtomicU64::new(0),
        }
    }

    pub(crate) fn key(&self, digest: &Digest) -> Result<KnownKey, Miss> {
        let miss = Miss(self.epoch.load(Ordering::SeqCst));
        self.keys.get(digest).ok_or(miss)
    }

    pub(crate) fn token(&self, digest: &Digest) -> Result<KnownToken, Miss> {
        let miss = Miss(self.epoch.load(Ordering::SeqCst));
        self.tokens.get(digest).ok_or(miss)
    }

    pub(crate) fn remember_key(&self, miss: Miss, digest: Digest, known: KnownKey) {
        self.keys.insert(digest, known);
        if self.is_stale(miss) {
            self.keys.remove(&digest);
        }
    }

    pub(crate) fn remember_token(&self, miss: Miss, digest: Digest, known: KnownToken) {
        self.tokens.insert(digest, known);
        if self.is_stale(miss) {
            self.tokens.remove(&digest);
        }
    }

    fn is_stale(&self, miss: Miss) -> bool {
        self.epoch.load(Ordering::SeqCst) != miss.0
    }

    /// Drops what `change` makes stale. Revocations are rare, so they clear a whole table rather than
    /// keep an index of it.
    pub(crate) fn forget(&self, change: &NewChange) {
        match (change.entity, change.action) {
            (Entity::ApiKey | Entity::Application, Action::Created) => {}
            (Entity::ApiKey | Entity::Application, _) => self.clear_keys(),
            (Entity::TokenFamily, Action::Revoked) | (Entity::Grant, Action::Deleted) => {
                self.clear_tokens();
            }
            _ => {}
        }
    }

    fn clear_keys(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.keys.clear();
    }

    fn clear_tokens(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.tokens.clear();
    }

    /// Drops everything: what other processes changed is unknown.
    pub(crate) fn forget_all(&self) {
        self.clear_keys();
        self.clear_tokens();
    }
}
