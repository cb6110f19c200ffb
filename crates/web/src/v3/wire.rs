//! What bodies and queries mean, and what answers look like, member by member.

pub(crate) mod api_key;
pub(crate) mod application;
pub(crate) mod connector;
pub(crate) mod credential;
pub(crate) mod custom;
pub(crate) mod detection;
pub(crate) mod fields;
pub(crate) mod grant;
pub(crate) mod page;
pub(crate) mod provider_token;
pub(crate) mod redirect_uri;
pub(crate) mod token;
