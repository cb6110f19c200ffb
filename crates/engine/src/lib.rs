//! What Keyway does: the use cases behind every endpoint and command.
//!
//! A use case reads facts, asks `keyway-core` what follows, and stores the result. It decides no rule of
//! its own and knows neither HTTP nor SQL. Invariants kept here: every change is appended to the
//! sequence of changes in its own transaction ([`Engine::commit`] makes it so); no transaction is open
//! across a call to a provider; work that must not be lost with the caller's connection runs on the
//! engine's own tracker ([`Engine::finishing`]).

pub mod admin_keys;
pub mod applications;
mod borrowing;
mod cache;
pub mod caller;
mod clients;
pub mod connectors;
pub mod cors;
pub mod credential_data;
pub mod credentials;
pub mod custom;
pub mod detect;
mod directory;
mod engine;
pub mod error;
mod follower;
pub mod grants;
pub mod health;
mod key_file;
pub mod keyring;
pub mod keys;
mod known;
mod login_checks;
mod name;
mod passwords;
pub mod pictures;
mod provider_calls;
mod provider_keys;
pub mod provider_token;
pub mod proxy;
pub mod redirect_uris;
pub mod refresh;
mod revocations;
mod rounds;
pub mod service_accounts;
pub mod shared_apps;
pub mod sign_in;
mod signing;
mod sweeps;
mod tenant_json;
pub mod tokens;
mod transfer;
pub mod unlock;

pub use cache::KnownGrant;
pub use caller::{Bearer, Caller, Principal};
pub use engine::{AllowedApplications, Engine, Parts, Settings, SharedApp};
pub use error::{Error, ErrorKind, OAuthError};
pub use keyway_store::GrantFilter;
pub use proxy::{CallTarget, ProxyCall};
pub use service_accounts::ServiceCaller;
