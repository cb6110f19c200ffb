//! What the provider remembers: clients, users, consents, codes, tokens, sessions, mailboxes.
//! Codes, tokens and sessions are known by their digests only.

use crate::bounded::BoundedMap;
use crate::config::{ClientConfig, RevocationReach, SandboxConfig, UserConfig};
use crate::digest::Digest;
use crate::mailbox::Mailbox;
use crate::pkce::Challenge;
use crate::service_account::ServiceAccount;
use keyway_core::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) clients: BTreeMap<String, Arc<ClientConfig>>,
    pub(crate) users: BTreeMap<String, Arc<UserConfig>>,
    pub(crate) service_accounts: BTreeMap<String, ServiceAccount>,
    /// Clients that an administrator consented to, each with the tenant.
    pub(crate) admin_consents: BTreeSet<(String, String)>,
    pub(crate) codes: BoundedMap<Code>,
    pub(crate) access_tokens: BoundedMap<AccessToken>,
    pub(crate) refresh_tokens: BoundedMap<Arc<Authorization>>,
    /// The sign-ins of refresh tokens already exchanged for others, so that reuse is noticed.
    pub(crate) spent_refresh_tokens: BoundedMap<u64>,
    pub(crate) sessions: BoundedMap<Session>,
    consents: BoundedMap<Consent>,
    mailboxes: BoundedMap<Mailbox>,
    last_sign_in: u64,
}

/// What one sign-in, or one service account's or client's own request, allowed.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    /// The sign-in that everything issued from it belongs to.
    pub(crate) sign_in: u64,
    pub(crate) client_id: String,
    /// Nobody, for a client's own token.
    pub(crate) user: Option<Arc<UserConfig>>,
    /// The tenant of a client's own token.
    pub(crate) tenant: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) signed_in_at: UnixMillis,
}

#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) authorization: Arc<Authorization>,
    pub(crate) redirect_uri: String,
    pub(crate) nonce: Option<String>,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) gives_refresh_token: bool,
    pub(crate) expires_at: UnixMillis,
    pub(crate) is_redeemed: bool,
}

#[derive(Debug)]
pub(crate) struct AccessToken {
    pub(crate) authorization: Arc<Authorization>,
    /// May be fewer than the authorization's, after a narrowing refresh.
    pub(crate) scopes: Vec<String>,
    pub(crate) expires_at: UnixMillis,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) user: Arc<UserConfig>,
    pub(crate) signed_in_at: UnixMillis,
}

#[derive(Debug)]
struct Consent {
    client_id: String,
    sub: String,
    scopes: Vec<String>,
}

impl Store {
    pub(crate) fn new(config: &SandboxConfig) -> Self {
        let capacity = config.max_live_entries;
        let client = |c: &ClientConfig| (c.client_id.clone(), Arc::new(c.clone()));
        let user = |u: &UserConfig| (u.key(), Arc::new(u.clone()));
        Self {
            clients: config.clients.iter().map(client).collect(),
            users: config.users.iter().map(user).collect(),
            service_accounts: BTreeMap::new(),
            admin_consents: BTreeSet::new(),
            codes: BoundedMap::with_capacity(capacity),
            access_tokens: BoundedMap::with_capacity(capacity),
            refresh_tokens: BoundedMap::with_capacity(capacity),
            spent_refresh_tokens: BoundedMap::with_capacity(capacity),
            sessions: BoundedMap::with_capacity(capacity),
            consents: BoundedMap::with_capacity(capacity),
            mailboxes: BoundedMap::with_capacity(capacity),
            last_sign_in: 0,
        }
    }

    /// The listed user of this address, or the one every sandbox makes of it.
    pub(crate) fn user(&self, email: &str) -> Arc<UserConfig> {
        let made = || Arc::new(UserConfig::new(email));
        self.users
            .get(&email.trim().to_lowercase())
            .cloned()
            .unwrap_or_else(made)
    }

    pub(crate) fn next_sign_in(&mut self) -> u64 {
        self.last_sign_in += 1;
        self.last_sign_in
    }

    pub(crate) fn keep_code(&mut self, code: &str, entry: Code, now: UnixMillis) {
        self.codes
            .insert(Digest::of(code), entry, |code| code.expires_at <= now);
    }

    pub(crate) fn keep_access_token(&mut self, token: &str, entry: AccessToken, now: UnixMillis) {
        self.access_tokens
            .insert(Digest::of(token), entry, |token| token.expires_at <= now);
    }

    pub(crate) fn keep_refresh_token(&mut self, token: &str, authorization: Arc<Authorization>) {
        self.refresh_tokens
            .insert(Digest::of(token), authorization, |_| false);
    }

    pub(crate) fn keep_session(&mut self, session: &str, entry: Session) {
        self.sessions.insert(Digest::of(session), entry, |_| false);
    }

    /// The access token, while it works.
    pub(crate) fn live_access_token(&self, token: &str, now: UnixMillis) -> Option<&AccessToken> {
        self.access_tokens
            .get(&Digest::of(token))
            .filter(|token| token.expires_at > now)
    }

    /// Ends all tokens that came from one sign-in.
    pub(crate) fn end_sign_in(&mut self, sign_in: u64) {
        self.end_where(|authorization| authorization.sign_in == sign_in);
    }

    /// Ends the tokens and forgets the consents of a user with all clients.
    pub(crate) fn end_user(&mut self, sub: &str) {
        self.end_where(|authorization| authorization.is_of(sub));
        self.consents.retain(|consent| consent.sub != sub);
    }

    /// Ends what a revocation of one of `authorization`'s tokens ends.
    pub(crate) fn revoke(&mut self, authorization: &Authorization, reach: RevocationReach) {
        self.end_sign_in(authorization.sign_in);
        let (RevocationReach::WholeProject, Some(user)) = (reach, &authorization.user) else {
            return;
        };
        let clients = self.clients_of_same_project(&authorization.client_id);
        self.end_where(|other| clients.contains(&other.client_id) && other.is_of(&user.sub));
        self.consents
            .retain(|consent| !(clients.contains(&consent.client_id) && consent.sub == user.sub));
    }

    fn clients_of_same_project(&self, client_id: &str) -> BTreeSet<String> {
        let project = self
            .clients
            .get(client_id)
            .map(|client| client.project.clone());
        let same = self
            .clients
            .values()
            .filter(|c| Some(&c.project) == project.as_ref());
        same.map(|client| client.client_id.clone())
            .chain([client_id.to_owned()])
            .collect()
    }

    fn end_where(&mut self, is_ended: impl Fn(&Authorization) -> bool) {
        self.access_tokens
            .retain(|token| !is_ended(&token.authorization));
        self.refresh_tokens
            .retain(|authorization| !is_ended(authorization));
        // A redeemed code stays, so that its replay is told from a code never given.
        self.codes
            .retain(|code| code.is_redeemed || !is_ended(&code.authorization));
    }

    /// The scopes that `sub` has already allowed this client.
    pub(crate) fn consented(&self, client_id: &str, sub: &str) -> Vec<String> {
        let consent = self.consents.get(&consent_key(client_id, sub));
        consent
            .map(|consent| consent.scopes.clone())
            .unwrap_or_default()
    }

    pub(crate) fn keep_consent(&mut self, client_id: &str, sub: &str, scopes: Vec<String>) {
        let (client, owner) = (client_id.to_owned(), sub.to_owned());
        let consent = Consent {
            client_id: client,
            sub: owner,
            scopes,
        };
        self.consents
            .insert(consent_key(client_id, sub), consent, |_| false);
    }

    /// The user's mailbox, with its first messages if it was never opened.
    pub(crate) fn mailbox(&mut self, user: &UserConfig, now: UnixMillis) -> Option<&mut Mailbox> {
        let key = Digest::of(&user.sub);
        if self.mailboxes.get(&key).is_none() {
            self.mailboxes
                .insert(key, Mailbox::welcoming(user, now), |_| false);
        }
        self.mailboxes.get_mut(&key)
    }
}

impl Authorization {
    fn is_of(&self, sub: &str) -> bool {
        self.user.as_ref().is_some_and(|user| user.sub == sub)
    }
}

fn consent_key(client_id: &str, sub: &str) -> Digest {
    Digest::of(&format!("{client_id}\n{sub}"))
}
