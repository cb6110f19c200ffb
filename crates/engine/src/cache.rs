//! What is remembered between requests: who a key or token belongs to, and grants. Bounded, and exact:
//! an entry goes the moment this process changes what it says, and within a poll when another does.

use crate::follower::Following;
use crate::known::KnownThings;
use crate::refresh::{OpenedToken, OpenedTokens, is_over, table};
use crate::tenant_json::{json_bytes, map_bytes};
use bytes::Bytes;
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::grant::Grant;
use keyway_core::ids::{ApplicationId, GrantId};
use keyway_core::sealed::Digest;
use keyway_core::time::UnixMillis;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// API keys remembered. An entry is about 100 bytes.
const KEYS_REMEMBERED: usize = 10_000;
/// Access tokens remembered. An entry is about 130 bytes.
const TOKENS_REMEMBERED: usize = 50_000;

/// Room for grants, in bytes; about 30,000 of them.
const GRANTS_BYTES: u64 = 32 * 1024 * 1024;
/// Grants the table is laid out for.
const GRANTS_EXPECTED: usize = 30_000;
/// What a remembered grant takes beside its texts, in bytes.
const GRANT_FIXED_BYTES: usize = 400;

/// What its rendered form takes beside the members an application or a user decides, in bytes.
const RENDERED_FIXED_BYTES: usize = 500;

/// A grant, and the form in which the edge last wrote it.
#[derive(Debug)]
pub struct KnownGrant {
    /// The grant.
    pub grant: Grant,
    /// Written once by the edge and reused; the engine does not know its form.
    pub rendered: OnceLock<Bytes>,
}

impl KnownGrant {
    fn bytes(&self) -> u64 {
        let grant = &self.grant;
        let texts = [
            &grant.name,
            &grant.identity,
            &grant.provider_user_id,
            &grant.state,
            &grant.ip,
            &grant.user_agent,
            &grant.external_id,
        ];
        let held: usize = texts
            .iter()
            .map(|t| t.as_ref().map_or(0, String::len))
            .sum();
        let scopes: usize = grant
            .scope
            .iter()
            .map(|s| s.len() + size_of::<String>())
            .sum();
        let held = held + scopes + grant.email.len() + map_bytes(&grant.settings);
        // The rendered form is written after the entry is weighed, and must not change its weight.
        let rendered = json_bytes(&(texts, &grant.email, grant.scope.as_slice(), &grant.settings));
        let size = GRANT_FIXED_BYTES + held + RENDERED_FIXED_BYTES + rendered;
        u64::try_from(size).unwrap_or(u64::MAX)
    }
}

#[derive(Clone)]
struct ByBytes;

impl quick_cache::Weighter<GrantId, Arc<KnownGrant>> for ByBytes {
    fn weight(&self, _: &GrantId, known: &Arc<KnownGrant>) -> u64 {
        known.bytes()
    }
}

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
    grants: quick_cache::sync::Cache<GrantId, Arc<KnownGrant>, ByBytes>,
    opened: OpenedTokens,
    things: KnownThings,
    /// Nothing remembered is served unless it is known to be current.
    pub(crate) following: Following,
    /// Raised, under `writing`, by every forgetting.
    epoch: AtomicU64,
    /// Held while remembering or forgetting; hits take no lock.
    writing: Mutex<()>,
}

impl Cache {
    /// Remembers nothing yet. What is remembered counts for `stale_after` after the sequence of changes was
    /// last seen to its end.
    pub(crate) fn new(stale_after: Duration) -> Self {
        Self {
            keys: quick_cache::sync::Cache::new(KEYS_REMEMBERED),
            tokens: quick_cache::sync::Cache::new(TOKENS_REMEMBERED),
            grants: quick_cache::sync::Cache::with_weighter(GRANTS_EXPECTED, GRANTS_BYTES, ByBytes),
            opened: table(),
            things: KnownThings::new(),
            following: Following::new(stale_after),
            epoch: AtomicU64::new(0),
            writing: Mutex::new(()),
        }
    }

    /// A hit, unless what other processes changed is not known: then it counts as a miss.
    fn current<T>(&self, hit: Option<T>) -> Option<T> {
        hit.filter(|_| self.following.is_current())
    }

    pub(crate) fn key(&self, digest: &Digest) -> Result<KnownKey, Miss> {
        let miss = Miss(self.epoch.load(Ordering::SeqCst));
        self.current(self.keys.get(digest)).ok_or(miss)
    }

    pub(crate) fn token(&self, digest: &Digest) -> Result<KnownToken, Miss> {
        let miss = Miss(self.epoch.load(Ordering::SeqCst));
        self.current(self.tokens.get(digest)).ok_or(miss)
    }

    pub(crate) fn remember_key(&self, miss: Miss, digest: Digest, known: KnownKey) {
        if let Some(_writing) = self.unless_stale(miss) {
            self.keys.insert(digest, known);
        }
    }

    pub(crate) fn remember_token(&self, miss: Miss, digest: Digest, known: KnownToken) {
        if let Some(_writing) = self.unless_stale(miss) {
            self.tokens.insert(digest, known);
        }
    }

    pub(crate) fn grant(&self, id: &GrantId) -> Result<Arc<KnownGrant>, Miss> {
        let miss = Miss(self.epoch.load(Ordering::SeqCst));
        self.current(self.grants.get(id)).ok_or(miss)
    }

    pub(crate) fn remember_grant(&self, miss: Miss, grant: Grant) -> Arc<KnownGrant> {
        let id = grant.id;
        let known = Arc::new(KnownGrant {
            grant,
            rendered: OnceLock::new(),
        });
        if let Some(_writing) = self.unless_stale(miss) {
            self.grants.insert(id, Arc::clone(&known));
        }
        known
    }

    pub(crate) fn opened(&self, id: &GrantId) -> Result<Arc<OpenedToken>, Miss> {
        let miss = self.opened_miss();
        self.current(self.opened.get(id)).ok_or(miss)
    }

    pub(crate) fn opened_miss(&self) -> Miss {
        Miss(self.epoch.load(Ordering::SeqCst))
    }

    pub(crate) fn remember_opened(&self, miss: Miss, id: GrantId, token: &Arc<OpenedToken>) {
        if let Some(_writing) = self.unless_stale(miss) {
            self.opened.insert(id, Arc::clone(token));
        }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to remember what was read after `miss`, unless something was forgotten since.
    fn unless_stale(&self, miss: Miss) -> Option<MutexGuard<'_, ()>> {
        let writing = self.lock();
        (self.epoch.load(Ordering::SeqCst) == miss.0).then_some(writing)
    }

    fn forgetting(&self) -> MutexGuard<'_, ()> {
        let writing = self.lock();
        self.epoch.fetch_add(1, Ordering::SeqCst);
        writing
    }

    /// Drops what `change` makes stale, and nothing of other applications: one that changes much must not
    /// slow the rest down. Revocations are rare, so they go through a whole table rather than keep an index
    /// of it.
    pub(crate) fn forget(&self, change: &NewChange) {
        self.forget_things(change);
        match (change.entity, change.action) {
            // What a newer version means by it is not known: anything may be stale.
            (Entity::Unknown, _) | (_, Action::Unknown) => self.forget_all(),
            (Entity::ApiKey | Entity::Application, Action::Created) => {}
            (Entity::ApiKey, _) => self.forget_keys(change.application_id),
            (Entity::Application, _) => {
                self.forget_keys(change.application_id);
                self.forget_tokens(change.application_id);
            }
            (Entity::TokenFamily, Action::Revoked) => self.forget_tokens(change.application_id),
            (Entity::Grant, Action::Created) => {}
            (Entity::TokenSet, _) => self.forget_opened(&change.entity_id),
            (Entity::Grant, action) => {
                self.forget_grant(&change.entity_id);
                if action == Action::Deleted {
                    self.forget_tokens(change.application_id);
                }
            }
            // Grants stand on them, and are not told one by one.
            (Entity::Credential | Entity::Connector, Action::Deleted) => {
                self.forget_grants(change.application_id);
            }
            _ => {}
        }
    }

    /// What `ask` finds among the remembered applications and credentials.
    pub(crate) fn known<T>(&self, ask: impl FnOnce(&KnownThings) -> Option<T>) -> Result<T, Miss> {
        let miss = self.known_miss();
        self.current(ask(&self.things)).ok_or(miss)
    }

    pub(crate) fn known_miss(&self) -> Miss {
        Miss(self.epoch.load(Ordering::SeqCst))
    }

    pub(crate) fn remember_known(&self, miss: Miss, remember: impl FnOnce(&KnownThings)) {
        if let Some(_writing) = self.unless_stale(miss) {
            remember(&self.things);
        }
    }

    fn forget_things(&self, change: &NewChange) {
        let concerned = matches!(
            change.entity,
            Entity::Application | Entity::RedirectUri | Entity::Connector | Entity::Credential
        );
        if concerned {
            let _writing = self.forgetting();
            self.things.forget(change);
        }
    }

    fn clear_things(&self) {
        let _writing = self.forgetting();
        self.things.clear();
    }

    fn clear_keys(&self) {
        let _writing = self.forgetting();
        self.keys.clear();
    }

    fn clear_tokens(&self) {
        let _writing = self.forgetting();
        self.tokens.clear();
    }

    fn forget_keys(&self, of: ApplicationId) {
        let _writing = self.forgetting();
        self.keys
            .retain(|_, known| known.caller.application_id != of);
    }

    fn forget_tokens(&self, of: ApplicationId) {
        let _writing = self.forgetting();
        self.tokens.retain(|_, known| known.application_id != of);
    }

    /// The grants of an application, and whatever is open of them.
    fn forget_grants(&self, of: ApplicationId) {
        let _writing = self.forgetting();
        self.grants
            .retain(|_, known| known.grant.application_id != of);
        self.opened.retain(|_, token| token.application_id != of);
    }

    /// Drops secrets that have been open long enough, used or not.
    pub(crate) fn drop_opened(&self, now: UnixMillis) {
        self.opened.retain(|_, token| !is_over(token, now));
        self.things.drop_opened(now);
    }

    fn forget_grant(&self, id: &str) {
        let _writing = self.forgetting();
        match id.parse::<GrantId>() {
            Ok(id) => {
                drop(self.grants.remove(&id));
                drop(self.opened.remove(&id));
            }
            Err(_) => {
                self.grants.clear();
                self.opened.clear();
            }
        }
    }

    /// A token set's entry in the sequence of changes names its grant.
    fn forget_opened(&self, grant_id: &str) {
        let _writing = self.forgetting();
        match grant_id.parse::<GrantId>() {
            Ok(id) => drop(self.opened.remove(&id)),
            Err(_) => self.opened.clear(),
        }
    }

    fn clear_grants(&self) {
        let _writing = self.forgetting();
        self.grants.clear();
        self.opened.clear();
    }

    /// Drops everything: what other processes changed is unknown.
    pub(crate) fn forget_all(&self) {
        self.clear_keys();
        self.clear_tokens();
        self.clear_grants();
        self.clear_things();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Caller;
    use keyway_core::ids::ApiKeyId;

    fn known() -> KnownKey {
        let application_id = ApplicationId::from_u128(1);
        let caller = Caller {
            application_id,
            key_id: ApiKeyId::from_u128(2),
        };
        KnownKey {
            caller,
            expires_at: None,
        }
    }

    fn grant(settings: serde_json::Value) -> Grant {
        let serde_json::Value::Object(settings) = settings else {
            panic!("an object")
        };
        Grant {
            id: GrantId::from_u128(1),
            application_id: ApplicationId::from_u128(2),
            provider: keyway_core::provider::Provider::Google,
            connector_id: keyway_core::ids::ConnectorId::from_u128(3),
            credential_id: None,
            email: "a@b.c".into(),
            identity: None,
            provider_user_id: None,
            name: None,
            scope: keyway_core::scope::Scopes::none(),
            status: keyway_core::grant::GrantStatus::Valid,
            is_anchored: true,
            blocked: false,
            settings,
            state: None,
            ip: None,
            user_agent: None,
            workspace_id: None,
            external_id: None,
            created_at: UnixMillis(0),
            updated_at: UnixMillis(0),
            version: 1,
        }
    }

    #[test]
    fn a_grant_weighs_its_settings_and_what_is_written_of_them() {
        let known = |settings| KnownGrant {
            grant: grant(settings),
            rendered: OnceLock::new(),
        };
        let plain = known(serde_json::json!({})).bytes();
        let large = known(serde_json::json!({"a": "x".repeat(8_000)}));
        assert!(large.bytes() >= plain + 16_000);
        let before = large.bytes();
        drop(large.rendered.set(Bytes::from(vec![0; 9_000])));
        assert_eq!(
            large.bytes(),
            before,
            "a weight must not change in the cache"
        );
    }

    #[test]
    fn what_was_read_before_a_forgetting_is_not_remembered_after_it() {
        let (cache, digest) = (Cache::new(Duration::ZERO), Digest([1; 32]));
        let miss = cache.key(&digest).unwrap_err();
        cache.clear_keys();
        cache.remember_key(miss, digest, known());
        assert!(cache.key(&digest).is_err());
        let fresh = cache.key(&digest).unwrap_err();
        cache.remember_key(fresh, digest, known());
        assert!(cache.key(&digest).is_ok());
    }

    #[test]
    fn rule_08_what_one_application_changes_is_forgotten_of_that_one_alone() {
        let cache = Cache::new(Duration::ZERO);
        let of = |n: u128| KnownKey {
            caller: Caller {
                application_id: ApplicationId::from_u128(n),
                ..known().caller
            },
            expires_at: None,
        };
        for n in 1..=2_u8 {
            let miss = cache.key(&Digest([n; 32])).unwrap_err();
            cache.remember_key(miss, Digest([n; 32]), of(u128::from(n)));
        }
        cache.forget(&NewChange {
            at: UnixMillis(0),
            application_id: ApplicationId::from_u128(1),
            entity: Entity::ApiKey,
            entity_id: "any".into(),
            action: Action::Revoked,
            actor: "test".into(),
            detail: serde_json::Map::new(),
        });
        assert!(cache.key(&Digest([1; 32])).is_err());
        assert!(cache.key(&Digest([2; 32])).is_ok());
    }

    #[test]
    fn a_hit_counts_as_a_miss_while_the_sequence_of_changes_cannot_be_followed() {
        let (cache, digest) = (Cache::new(Duration::ZERO), Digest([1; 32]));
        let miss = cache.key(&digest).unwrap_err();
        cache.remember_key(miss, digest, known());
        assert!(cache.key(&digest).is_ok());
        cache.following.begin();
        let stale = cache.key(&digest).unwrap_err();
        cache.remember_key(stale, digest, known());
        assert!(cache.key(&digest).is_err());
    }
}
