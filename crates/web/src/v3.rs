//! The v3 API: for each noun, requests read into the engine's terms and answers written in the wire's.

pub(crate) mod api_keys;
pub(crate) mod applications;
pub(crate) mod connect_auth;
pub(crate) mod connect_callback;
pub(crate) mod connect_custom;
pub(crate) mod connect_done;
pub(crate) mod connect_embedded;
pub(crate) mod connect_login;
pub(crate) mod connect_look;
pub(crate) mod connect_revoke;
pub(crate) mod connect_token;
pub(crate) mod connect_tokeninfo;
pub(crate) mod connectors;
pub(crate) mod credentials;
pub(crate) mod grants;
pub(crate) mod provider_token;
pub(crate) mod providers;
pub(crate) mod redirect_uris;
pub(crate) mod wire;
