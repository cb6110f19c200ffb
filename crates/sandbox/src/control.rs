//! The handle that in-process tests hold: sign users in, switch faults on, look at what happened.

use crate::SandboxError;
use crate::admin_consent;
use crate::authorization::{self, Script};
use crate::config::{ClientConfig, UserConfig};
use crate::faults::Faults;
use crate::grants;
use crate::provider::Provider;
use crate::records::{Counters, Revocation, TokenRequest};
use crate::service_account;
use crate::store::Authorization;
use secrecy::SecretString;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A handle on a running sandbox. Clones are handles on the same one.
#[derive(Clone)]
pub struct Control(Arc<Provider>);

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Control").field(&self.0.origin()).finish()
    }
}

/// What a scripted user does at the sign-in and consent pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedUser {
    /// The address typed.
    pub email: String,
    /// What is decided.
    pub decision: Decision,
}

/// The decision at the consent page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Everything asked for is allowed.
    AllowAll,
    /// Only these scopes stay ticked; `openid`, `email`, `profile` and `offline_access` cannot be
    /// unticked.
    AllowOnly(Vec<String>),
    /// Nothing is allowed.
    Decline,
}

impl ScriptedUser {
    /// A user who allows everything.
    #[must_use]
    pub fn allowing_all(email: &str) -> Self {
        Self {
            email: email.to_owned(),
            decision: Decision::AllowAll,
        }
    }

    /// A user who leaves only `scopes` ticked.
    #[must_use]
    pub fn allowing_only(email: &str, scopes: &[&str]) -> Self {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        Self {
            email: email.to_owned(),
            decision: Decision::AllowOnly(scopes),
        }
    }

    /// A user who declines.
    #[must_use]
    pub fn declining(email: &str) -> Self {
        Self {
            email: email.to_owned(),
            decision: Decision::Decline,
        }
    }

    fn script(&self) -> Script<'_> {
        let scopes = match &self.decision {
            Decision::AllowOnly(scopes) => Some(scopes.as_slice()),
            Decision::AllowAll | Decision::Decline => None,
        };
        Script {
            email: &self.email,
            scopes,
            denies: self.decision == Decision::Decline,
        }
    }
}

/// A registered client, for the list that the command line prints.
#[derive(Clone, Debug)]
pub struct ClientSummary {
    /// Its `client_id`.
    pub client_id: String,
    /// Its secret, if it has one. Nothing outside this sandbox is behind it.
    pub client_secret: Option<SecretString>,
    /// The provider project it belongs to.
    pub project: String,
    /// Its name on the consent page.
    pub name: String,
    /// Its redirect URIs.
    pub redirect_uris: Vec<String>,
}

/// Live tokens of one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AliveCount {
    /// Access tokens that have not expired.
    pub access_tokens: u64,
    /// Refresh tokens that still work.
    pub refresh_tokens: u64,
}

/// What `GET /sandbox/state` answers. No token, secret or code is in it.
#[derive(Clone, Debug, Serialize)]
pub struct StateView {
    /// Ids of the registered clients.
    pub clients: Vec<String>,
    /// The faults switched on.
    pub faults: Faults,
    /// How often things happened.
    pub counters: Counters,
    /// Live tokens by client, service accounts among them.
    pub tokens_alive: BTreeMap<String, AliveCount>,
}

/// The provider does not let this user sign in, and says so on a page instead of redirecting:
/// unknown client, wrong redirect URI, or no e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox shows an error page: {0}")]
pub struct SignInRefused(pub String);

impl Control {
    pub(crate) fn new(provider: Arc<Provider>) -> Self {
        Self(provider)
    }

    /// Walks through sign-in and consent for an authorization URL, of which only the query
    /// counts. Returns where the browser is sent: the redirect URI with `code`, or with `error`.
    ///
    /// # Errors
    /// When the provider would show an error page.
    pub fn sign_in(
        &self,
        authorize_url: &str,
        user: &ScriptedUser,
    ) -> Result<String, SignInRefused> {
        authorization::run_script(&self.0, authorize_url, &user.script()).map_err(SignInRefused)
    }

    /// Walks through administrator consent likewise. Its tenant is the one in the URL, if that names one.
    ///
    /// # Errors
    /// When the provider would show an error page.
    pub fn admin_consent(&self, url: &str, decision: &Decision) -> Result<String, SignInRefused> {
        let path = url.split_once("/adminconsent").map(|(path, _)| path);
        let path = path.map(|path| path.trim_end_matches("/v2.0"));
        let tenant = path.and_then(|path| path.rsplit('/').next());
        self.consent_in(url, decision, tenant)
    }

    /// The same by the administrator of that tenant, whatever the URL names.
    ///
    /// # Errors
    /// When the provider would show an error page.
    pub fn consent_in(
        &self,
        url: &str,
        decision: &Decision,
        tenant: Option<&str>,
    ) -> Result<String, SignInRefused> {
        let query = url.split_once('?').map_or(url, |(_, query)| query);
        let word = match decision {
            Decision::Decline => "deny",
            _ => "accept",
        };
        admin_consent::decide_at(&self.0, query, Some(word), tenant).map_err(SignInRefused)
    }

    /// An administrator withdraws what was consented to for a tenant.
    pub fn withdraw_consent(&self, client_id: &str, tenant: &str) {
        let consent = (client_id.to_owned(), tenant.to_owned());
        self.0.store().admin_consents.remove(&consent);
    }

    /// The faults switched on, those counted down included.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.0.faults().clone()
    }

    /// Replaces the faults; `Faults::default()` ends them.
    pub fn set_faults(&self, faults: Faults) {
        *self.0.faults() = faults;
    }

    /// Registers a client, or changes the one with the same id.
    pub fn put_client(&self, client: ClientConfig) {
        self.0
            .store()
            .clients
            .insert(client.client_id.clone(), Arc::new(client));
    }

    /// Lists a user, or changes who is behind an address. Tokens already given are not touched.
    pub fn put_user(&self, user: UserConfig) {
        self.0.store().users.insert(user.key(), Arc::new(user));
    }

    /// The user behind an address, listed or not.
    #[must_use]
    pub fn user(&self, email: &str) -> UserConfig {
        self.0.store().user(email).as_ref().clone()
    }

    /// The `sub` that a client sees for the user behind an address.
    #[must_use]
    pub fn subject(&self, email: &str, client_id: &str) -> String {
        let user = self.0.store().user(email);
        self.0.subject(&user, client_id)
    }

    /// Ends all tokens of the user behind an address, for all clients, and forgets the consents.
    pub fn revoke_all(&self, email: &str) {
        let mut store = self.0.store();
        let user = store.user(email);
        store.end_user(&user.sub);
    }

    /// A refresh token as if from an earlier sign-in of the client's own. The client need not be
    /// registered.
    #[must_use]
    pub fn mint_refresh_token(&self, client_id: &str, email: &str, scopes: &[&str]) -> String {
        let mut store = self.0.store();
        let authorization = Authorization {
            sign_in: store.next_sign_in(),
            client_id: client_id.to_owned(),
            user: Some(store.user(email)),
            tenant: None,
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            signed_in_at: self.0.now(),
        };
        grants::new_refresh_token(&self.0, &mut store, &Arc::new(authorization))
    }

    /// Makes a service account that may act within `delegated` scopes (none means all). Returns
    /// its key file in Google's form.
    ///
    /// # Errors
    /// When no key could be made.
    pub fn create_service_account(
        &self,
        client_email: &str,
        delegated: &[&str],
    ) -> Result<String, SandboxError> {
        service_account::create(&self.0, client_email, delegated)
    }

    /// What a service account may ask for from now on; nothing means all.
    pub fn delegate(&self, client_email: &str, scopes: &[&str]) {
        service_account::delegate(&self.0, client_email, scopes);
    }

    /// How often things happened since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.0.records().counters.clone()
    }

    /// The last 20,000 requests seen at the token endpoint, the oldest first.
    #[must_use]
    pub fn token_requests(&self) -> Vec<TokenRequest> {
        self.0.records().token_requests.iter().cloned().collect()
    }

    /// The last 20,000 requests seen at the revocation endpoint, the oldest first.
    #[must_use]
    pub fn revocations(&self) -> Vec<Revocation> {
        self.0.records().revocations.iter().cloned().collect()
    }

    /// Live tokens by client.
    #[must_use]
    pub fn tokens_alive(&self) -> BTreeMap<String, AliveCount> {
        let (store, now) = (self.0.store(), self.0.now());
        let mut counts = BTreeMap::<String, AliveCount>::new();
        for token in store
            .access_tokens
            .values()
            .filter(|token| token.expires_at > now)
        {
            counts
                .entry(token.authorization.client_id.clone())
                .or_default()
                .access_tokens += 1;
        }
        for authorization in store.refresh_tokens.values() {
            counts
                .entry(authorization.client_id.clone())
                .or_default()
                .refresh_tokens += 1;
        }
        counts
    }

    /// Whether this access or refresh token works at the moment.
    #[must_use]
    pub fn is_alive(&self, token: &str) -> bool {
        let store = self.0.store();
        let is_refresh_token = store
            .refresh_tokens
            .get(&crate::digest::Digest::of(token))
            .is_some();
        is_refresh_token || store.live_access_token(token, self.0.now()).is_some()
    }

    /// What `GET /sandbox/state` answers.
    #[must_use]
    pub fn state(&self) -> StateView {
        // A statement of its own: the lock must be free again when the tokens are counted.
        let clients = self.0.store().clients.keys().cloned().collect();
        StateView {
            clients,
            faults: self.faults(),
            counters: self.counters(),
            tokens_alive: self.tokens_alive(),
        }
    }

    /// The registered clients.
    #[must_use]
    pub fn index_of_clients(&self) -> Vec<ClientSummary> {
        let store = self.0.store();
        let summary = |client: &Arc<ClientConfig>| ClientSummary {
            client_id: client.client_id.clone(),
            client_secret: client.client_secret.clone(),
            project: client.project.clone(),
            name: client.name.clone(),
            redirect_uris: client.redirect_uris.clone(),
        };
        store.clients.values().map(summary).collect()
    }
}
