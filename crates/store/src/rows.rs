//! The tables, one file each: their statements, and the session's methods on them.

pub(crate) mod access_tokens;
pub(crate) mod account_secrets;
pub(crate) mod api_keys;
pub(crate) mod application_origins;
pub(crate) mod applications;
pub(crate) mod changes;
pub(crate) mod connectors;
pub(crate) mod credential_secrets;
pub(crate) mod credentials;
pub(crate) mod grant_list;
pub(crate) mod grants;
pub(crate) mod keys;
pub(crate) mod redirect_uris;
pub(crate) mod refresh_states;
pub(crate) mod refresh_tokens;
pub(crate) mod sealed;
pub(crate) mod server;
pub(crate) mod service_accounts;
pub(crate) mod sign_ins;
pub(crate) mod signing_keys;
pub(crate) mod sweeps;
pub(crate) mod tenant_consents;
pub(crate) mod token_sets;
