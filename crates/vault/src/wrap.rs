//! Wrapping of keys by a key that is kept elsewhere.

use zeroize::Zeroizing;

/// A key could not be wrapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {wrapper} could not wrap a key: {reason}")]
pub struct WrapError {
    /// [`KeyWrapper::name`] of who failed.
    pub wrapper: String,
    /// Why, in words for an operator.
    pub reason: String,
}

/// A wrapped key could not be unwrapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// The bytes have not the form of a wrapped key.
    #[error("the bytes are not a wrapped key")]
    Malformed,
    /// Wrapped by another key, for another context, or changed since.
    #[error("the wrapped key was made by another key, for another use, or was changed")]
    Refused,
    /// The wrapper itself could not be reached or would not answer.
    #[error("the key that unwraps cannot be used now: {0}")]
    Unavailable(String),
}

/// Wraps the keyring's keys for storage and unwraps them at start.
///
/// `context` names the key that is wrapped; unwrapping under another one fails, so wrapped keys
/// cannot be exchanged for each other in the database.
pub trait KeyWrapper: Send + Sync {
    /// What the wrapper is called in messages.
    fn name(&self) -> &'static str;

    /// A short public identifier of the wrapping key: equal keys, equal fingerprints. It lets a wrong
    /// key be told from damage.
    fn fingerprint(&self) -> String;

    /// `key`, encrypted for `context`.
    ///
    /// # Errors
    /// When the wrapper cannot do its work; the built-in one always can.
    fn wrap(&self, context: &str, key: &[u8]) -> Result<Vec<u8>, WrapError>;

    /// The key wrapped for `context`.
    ///
    /// # Errors
    /// When the bytes were not made by this wrapper for this context.
    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnwrapError>;
}
