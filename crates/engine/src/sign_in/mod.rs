//! Hosted sign-in: from `/v3/connect/auth` through the provider to a code for the application.

mod callback;
mod choose;
mod complete;
mod consent;
mod enter;
mod form;
mod guesses;
mod handle;
mod repeats;
mod resolve;
mod start;

pub use callback::{CallbackParams, Finish, SignInFault};
pub use choose::{Options, Part};
pub(crate) use complete::Issued;
pub use enter::{Entered, Way};
pub use form::{AccountForm, Trouble, TroubleKind, TypedAccount};
pub(crate) use guesses::Guesses;
pub use handle::cookie_prefix;
pub(crate) use repeats::Repeats;
pub(crate) use start::EXTERNAL_ID_MAX_BYTES;
pub use start::{AuthorizeParams, Browser, Start};

use keyway_core::redirect_uri::with_query;

/// The sealed sign-in, as a cookie of the browser that began it (rule 14).
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    /// One name per sign-in, so that several may run side by side.
    pub name: String,
    /// The sealed sign-in, base64url.
    pub value: String,
    /// How long the browser keeps it, in seconds.
    pub max_age_secs: i64,
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cookie")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A failure told to the application by way of the browser (RFC 6749, 4.1.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Returned {
    pub(crate) error: &'static str,
    pub(crate) error_code: i64,
    pub(crate) description: String,
}

impl Returned {
    pub(crate) fn new(
        error: &'static str,
        error_code: i64,
        description: impl Into<String>,
    ) -> Self {
        Self {
            error,
            error_code,
            description: description.into(),
        }
    }

    pub(crate) fn invalid_request(description: impl Into<String>) -> Self {
        Self::new("invalid_request", 400, description)
    }

    pub(crate) fn to_location(&self, redirect_uri: &str, state: Option<&str>) -> String {
        let code = self.error_code.to_string();
        let mut params = vec![
            ("error", self.error),
            ("error_description", self.description.as_str()),
            ("error_code", code.as_str()),
        ];
        params.extend(state.map(|state| ("state", state)));
        with_query(redirect_uri, &params)
    }
}
