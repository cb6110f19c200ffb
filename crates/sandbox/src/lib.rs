//! The sandbox provider: an OpenID provider that is not real, for demonstrations, for the test
//! suites of Keyway's users, and, with its faults switched on, for Keyway's own.
//!
//! It has several client applications, a sign-in and a consent page, refresh tokens that rotate or
//! do not, revocation, and a small mail-like API that checks tokens. It says what it is: on every
//! page, and in the header `X-Keyway-Sandbox: 1` of every answer. The server never links to it;
//! only the commands `keyway sandbox` and `keyway demo` start it, on a listener of its own.
//!
//! There are no passwords: whoever types an address is that user. All state is in memory, bounded,
//! and gone at the next start. Tokens, codes and sessions are kept as digests, and neither
//! `/sandbox/state` nor any `Debug` output has a secret in it. Do not put it on a public address.
//!
//! # Driving it without a browser
//!
//! The shortest way is [`Control::sign_in`] in process, or over HTTP `POST /sandbox/sign-in` with
//! `{"authorize_url": "…", "email": "…", "deny": false, "scopes": ["…"]}` (the last two may be left
//! out), which answers `{"location": "…"}`.
//!
//! The pages are plain forms, too:
//!
//! 1. `GET /auth?…` answers 200 with the sign-in page, or a redirect when a session and consent
//!    are there already.
//! 2. `POST /auth/sign-in` with the fields `request` (the query string of step 1) and `email`
//!    answers 200 with the consent page and sets the cookie `keyway_sandbox_session`, or 303 when
//!    consent was given before. `decision=deny` in place of `email` cancels.
//! 3. `POST /auth/consent` with that cookie and the fields `request`, `scope` (once for each scope
//!    ticked) and `decision` (`accept` or `deny`) answers 303 to the redirect URI.
//!
//! Browser tests find `input[name=email]` with the button `#sign-in`, `input[name=scope]`, and the
//! buttons `#accept` and `#deny`. `/adminconsent` has the last two as well.

mod admin_consent;
mod api;
mod authorization;
mod authorization_request;
mod authorize;
mod bearer;
mod bounded;
mod claims;
mod client_auth;
mod config;
mod console;
mod control;
mod digest;
mod fault_answer;
mod faults;
mod grants;
mod mailbox;
mod oauth_error;
mod pages;
mod params;
mod pkce;
mod provider;
mod records;
mod revocation;
mod router;
mod service_account;
mod signer;
mod store;
mod tenants;
mod token;
mod userinfo;

pub use config::{
    ClientConfig, DEFAULT_TENANT_ID, Dialect, Pkce, RevocationReach, Rotation, SandboxConfig,
    Signing, UserConfig,
};
pub use control::{
    AliveCount, ClientSummary, Control, Decision, ScriptedUser, SignInRefused, StateView,
};
pub use faults::{BodyKind, ErrorAnswer, Fault, Faults, Lie, When};
pub use records::{Counters, Revocation, TokenRequest};

use keyway_core::entropy::Entropy;
use keyway_core::time::Clock;
use provider::Provider;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

/// Why a sandbox cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A key could not be made or used.
    #[error("the sandbox could not make or use a signing key")]
    Key,
    /// An embedded page does not parse; a fault of this crate.
    #[error("the sandbox page {0} does not parse")]
    Template(&'static str),
}

/// A sandbox provider. Clones share their state.
#[derive(Clone)]
pub struct Sandbox(Arc<Provider>);

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sandbox").field(&self.0.config).finish()
    }
}

impl Sandbox {
    /// A sandbox with nobody signed in. Makes its signing key, which takes a moment for RSA.
    ///
    /// # Errors
    /// When the signing key cannot be made.
    pub fn new(
        config: SandboxConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, SandboxError> {
        Provider::new(config, clock, entropy).map(|provider| Self(Arc::new(provider)))
    }

    /// Everything it answers. Routes are at the root: the issuer has no path.
    pub fn router(&self) -> axum::Router {
        router::router(self.0.clone())
    }

    /// The handle to control it with from the same process.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::new(self.0.clone())
    }

    /// The clients registered, for a command line to print.
    #[must_use]
    pub fn index_of_clients(&self) -> Vec<ClientSummary> {
        self.control().index_of_clients()
    }

    /// Answers on `listener` until `stop` is ready and the connections have ended.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(
        &self,
        listener: tokio::net::TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        axum::serve(listener, self.router())
            .with_graceful_shutdown(stop)
            .await
    }
}
