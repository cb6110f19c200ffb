//! The engine's stories: whole use cases against a provider, on both databases.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that finds something else than it expects fails"
)]

mod admin_consent;
mod attacks;
mod bearers;
mod browser;
mod bulk;
mod changes;
mod choice;
mod consent;
mod credentials;
mod disconnects;
mod ended;
mod ews;
mod ews_servers;
mod forms;
mod grants;
mod health;
mod identity;
mod keyring;
mod keys;
mod lenders;
mod login_checks;
mod mail;
mod mail_changes;
mod mail_services;
mod migration;
mod once;
mod other_clouds;
mod outages;
mod own_credential;
mod own_provider;
mod pages;
mod pkce;
mod provider_faults;
mod reauthentication;
mod refresh;
mod refusals;
mod secrecy;
mod service_accounts;
mod shared_apps;
mod shipped;
mod sizes;
mod tenants;
mod tokens;
mod told_wrongly;
