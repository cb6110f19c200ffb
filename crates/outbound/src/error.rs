//! Why a call brought no answer.

use std::fmt;
use std::time::Duration;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallErrorKind {
    /// No whole answer within the call's deadline.
    Timeout,
    /// No connection.
    Connect,
    /// No TLS: mostly a certificate that does not hold.
    Tls,
    /// The [`NetworkPolicy`](crate::NetworkPolicy) forbids the address, or the URL is not one to call.
    AddressRefused,
    /// The answer is larger than the call takes.
    TooLarge,
    /// What came back is not HTTP, or broke off.
    Protocol,
    /// The host's name has no address.
    Dns,
    /// The process is stopping, or a fault of Keyway's own ended the call.
    Stopped,
}

/// Who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// The provider, or the network between.
    Provider,
    /// The operator of this server.
    Us,
}

/// Whether the provider can have seen the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// No byte of it left: repeating it is safe.
    No,
    /// It may have been acted upon: a code may be used up, a refresh token rotated.
    Perhaps,
}

impl CallErrorKind {
    /// Who has to do something about failures of this kind.
    #[must_use]
    pub const fn whose(self) -> Whose {
        match self {
            Self::AddressRefused | Self::Stopped => Whose::Us,
            Self::Timeout
            | Self::Connect
            | Self::Tls
            | Self::TooLarge
            | Self::Protocol
            | Self::Dns => Whose::Provider,
        }
    }

    /// Whether the request can have been seen when a call failed so.
    #[must_use]
    pub const fn sent(self) -> Sent {
        match self {
            Self::Connect | Self::Tls | Self::AddressRefused | Self::Dns => Sent::No,
            Self::Timeout | Self::TooLarge | Self::Protocol | Self::Stopped => Sent::Perhaps,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Timeout => "did not answer in time",
            Self::Connect => "cannot be connected to",
            Self::Tls => "failed to agree on TLS",
            Self::AddressRefused => "may not be called under the network policy",
            Self::TooLarge => "sent an answer larger than is accepted",
            Self::Protocol => "sent something that is not HTTP, or broke off",
            Self::Dns => "has no address",
            Self::Stopped => "was not called to the end, because this server is stopping",
        }
    }
}

/// A call that brought no answer. Holds the host, never the rest of the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CallError {
    /// What went wrong.
    pub kind: CallErrorKind,
    /// Who has to do something about it.
    pub whose: Whose,
    /// Whether the provider can have seen the request.
    pub sent: Sent,
    /// The host that was to be called, with the port if the URL names one.
    pub host: String,
    /// More for an operator, such as what is wrong with a certificate, or which address was refused.
    /// Not for tenants: it tells about the network this server stands in.
    pub detail: Option<String>,
}

impl CallError {
    /// A failure of `kind` in a call to `host`.
    #[must_use]
    pub fn new(kind: CallErrorKind, host: impl Into<String>) -> Self {
        let (whose, sent) = (kind.whose(), kind.sent());
        Self {
            kind,
            whose,
            sent,
            host: host.into(),
            detail: None,
        }
    }

    /// The same, with more for an operator. Must hold neither query nor body.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }

    pub(crate) fn timeout(host: &str, deadline: Duration) -> Self {
        let detail = format!("after {} ms", deadline.as_millis());
        Self::new(CallErrorKind::Timeout, host).with_detail(detail)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.host, self.kind.words())?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_name_the_host_and_the_detail() {
        let error = CallError::new(CallErrorKind::Tls, "a.example").with_detail("expired");
        assert_eq!(
            error.to_string(),
            "a.example failed to agree on TLS: expired"
        );
        assert_eq!((error.whose, error.sent), (Whose::Provider, Sent::No));
    }

    #[test]
    fn a_timeout_leaves_open_whether_the_request_was_seen() {
        let error = CallError::timeout("a.example", Duration::from_secs(2));
        assert_eq!(
            error.to_string(),
            "a.example did not answer in time: after 2000 ms"
        );
        assert_eq!(error.sent, Sent::Perhaps);
    }
}
