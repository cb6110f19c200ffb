//! What a caller is told when something cannot be done.

use keyway_core::oauth::ProviderError;
use keyway_store::StoreError;
use std::borrow::Cow;
use std::error::Error as StdError;

/// What kind of failure it is. The edge turns each into a status and a type on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No, or no good, API key or access token.
    Unauthorized,
    /// A member or parameter is missing or wrong.
    InvalidRequest,
    /// The body is not JSON.
    InvalidPayload,
    /// A query parameter is wrong.
    InvalidQuery,
    /// No such connector, credential, redirect URI, …
    NotFound,
    /// No such grant.
    GrantNotFound,
    /// The redirect URI is not registered.
    RedirectUriNotAllowed,
    /// The sign-in's handle is wrong, used or too old.
    LoginIdInvalid,
    /// The account that signed in is another.
    ReauthEmailInvalid,
    /// The provider granted less than was asked.
    ScopesConflict,
    /// The provider refused what the application brought.
    InvalidAuthentication,
    /// A provider must be named.
    ProviderRequired,
    /// This caller may not.
    AccessDenied,
    /// The user has not granted what a call needs.
    InsufficientScopes,
    /// The application or grant is barred.
    Blocked,
    /// The provider does not answer, or not sensibly.
    ProviderUnavailable,
    /// The provider refuses the provider application itself.
    CredentialFailing,
    /// Too many requests.
    RateLimited,
    /// The server cannot serve this now.
    Unavailable,
    /// Our own fault.
    Internal,
}

type Cause = Box<dyn StdError + Send + Sync>;

/// A failure: words for the caller, a cause for the log.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    field: Option<Box<str>>,
    provider_error: Option<Box<ProviderError>>,
    retry_after_secs: Option<u32>,
    #[source]
    source: Option<Cause>,
}

impl Error {
    /// A failure with words for the caller; they must hold no secret and nothing of another application.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self {
            kind,
            message,
            field: None,
            provider_error: None,
            retry_after_secs: None,
            source: None,
        }
    }

    /// A request whose member or parameter `name` is wrong.
    pub fn field(name: &str, what: impl std::fmt::Display) -> Self {
        Self {
            field: Some(name.into()),
            ..Self::new(ErrorKind::InvalidRequest, format!("{name}: {what}"))
        }
    }

    /// Something named in the request that does not exist.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// A fault of our own: the caller learns nothing, the log everything.
    pub fn internal(source: impl Into<Cause>) -> Self {
        Self::new(
            ErrorKind::Internal,
            "Internal error, contact administrator.",
        )
        .caused_by(source)
    }

    /// The same with a cause for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Cause>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same with one more sentence for the caller.
    #[must_use]
    pub(crate) fn adding(mut self, sentence: &str) -> Self {
        self.message = format!("{} {sentence}", self.message).into();
        self
    }

    /// The same with the provider's own words.
    #[must_use]
    pub fn with_provider_error(mut self, error: ProviderError) -> Self {
        self.provider_error = Some(Box::new(error));
        self
    }

    /// The same, to be tried again after so many seconds.
    #[must_use]
    pub const fn retry_after(mut self, secs: u32) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The words for the caller.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The member or parameter that is wrong, where one is.
    #[must_use]
    pub fn wrong_field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// The provider's own words, where it refused.
    #[must_use]
    pub fn provider_error(&self) -> Option<&ProviderError> {
        self.provider_error.as_deref()
    }

    /// When to try again, in seconds.
    #[must_use]
    pub const fn retry_after_secs(&self) -> Option<u32> {
        self.retry_after_secs
    }

    pub(crate) fn is_store_conflict(&self) -> Option<keyway_store::Constraint> {
        match self.source.as_ref()?.downcast_ref::<StoreError>()? {
            StoreError::Conflict(constraint) => Some(*constraint),
            _ => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::new(
                ErrorKind::Unavailable,
                "The database does not answer; try again shortly.",
            )
            .retry_after(1)
            .caused_by(error),
            other => Self::internal(other),
        }
    }
}

/// A failure of one of the three OAuth endpoints (RFC 6749, 5.2).
#[derive(Debug, thiserror::Error)]
#[error("{error}: {description}")]
pub struct OAuthError {
    /// The OAuth word.
    pub error: &'static str,
    /// A number; 400 unless upstream has one of its own.
    pub error_code: i64,
    /// Words for the developer.
    pub description: String,
    /// The cause, for the log.
    #[source]
    pub source: Option<Cause>,
}

impl OAuthError {
    /// An error with the usual number.
    pub fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self {
            error,
            error_code: 400,
            description: description.into(),
            source: None,
        }
    }

    /// `invalid_request`.
    pub fn invalid_request(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }

    /// `invalid_grant`.
    pub fn invalid_grant(description: impl Into<String>) -> Self {
        Self::new("invalid_grant", description)
    }

    /// `invalid_client`.
    pub fn invalid_client(description: impl Into<String>) -> Self {
        Self::new("invalid_client", description)
    }

    /// Whether asking once more can bring nothing else. A fault of ours, or of the moment, says nothing about what
    /// was sent.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(self.error, "temporarily_unavailable" | "server_error")
    }

    /// `invalid_token`.
    pub fn invalid_token() -> Self {
        Self::new("invalid_token", "Token expired or revoked")
    }
}

impl From<Error> for OAuthError {
    fn from(error: Error) -> Self {
        let (word, code) = match error.kind {
            ErrorKind::Internal => ("server_error", 500),
            ErrorKind::Unavailable | ErrorKind::ProviderUnavailable => {
                ("temporarily_unavailable", 503)
            }
            _ => ("invalid_grant", 400),
        };
        let description = error.message.clone().into_owned();
        Self {
            error: word,
            error_code: code,
            description,
            source: Some(Box::new(error)),
        }
    }
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        Error::from(error).into()
    }
}
