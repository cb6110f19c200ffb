//! What things mean in Keyway: applications, connectors, credentials, grants, sign-ins and tokens,
//! and the rules between them.
//!
//! Everything here is a value or a pure function: no I/O, no clock, no randomness, no runtime. The
//! edges fetch facts, ask this crate what follows from them, and store the result. It does not know
//! HTTP, SQL or cryptography.

pub mod account_secret;
pub mod application;
pub mod autoconfig;
pub mod autodiscover;
pub mod bearer;
pub mod catalogue;
pub mod change;
pub mod connector;
pub mod credential;
pub mod delegation;
pub mod detect;
pub mod email;
pub mod entropy;
pub mod ews;
pub mod grant;
pub mod identity;
pub mod ids;
pub mod issued;
pub mod login_check;
pub mod mail_servers;
pub mod mail_services;
pub mod oauth;
pub mod page;
pub mod pkce;
pub mod provider;
pub mod proxy;
pub mod rate;
pub mod reauth;
pub mod redirect_uri;
pub mod refresh;
pub mod refusal;
pub mod scope;
pub mod sealed;
pub mod service_account;
pub mod sign_in;
pub mod time;
pub mod token_set;
mod xml;
