//! Why the provider's answer is not passed on, in Keyway's words.

use http::{HeaderMap, StatusCode, header};
use keyway_engine::{Error, ErrorKind};
use keyway_outbound::{CallError, CallErrorKind, Whose};

/// The error for a call that brought no answer. The operator's log has the detail, the caller the gist.
pub(super) fn of(failure: &CallError) -> Error {
    if failure.whose == Whose::Us {
        let message = "Internal error, contact administrator.";
        return Error::new(ErrorKind::Internal, message).caused_by(failure.clone());
    }
    tracing::debug!(host = failure.host, kind = ?failure.kind, detail = failure.detail, "a call brought no answer");
    let message = match failure.kind {
        CallErrorKind::Timeout => "Provider request timed out. It may have been acted upon.",
        CallErrorKind::Connect | CallErrorKind::Dns | CallErrorKind::Tls => {
            "The provider cannot be reached; try again later."
        }
        _ => "The provider broke off before it answered; the request may have been acted upon.",
    };
    Error::new(ErrorKind::ProviderUnavailable, message)
}

/// The error for a refusal that says a scope is missing (RFC 6750, 3.1): the user has to sign in again,
/// which the provider's words do not tell an application of ours how to do.
pub(super) fn of_scopes(status: StatusCode, headers: &HeaderMap) -> Option<Error> {
    if status != StatusCode::FORBIDDEN {
        return None;
    }
    let challenges = headers.get_all(header::WWW_AUTHENTICATE).iter();
    let challenge = challenges
        .filter_map(|value| value.to_str().ok())
        .find(|challenge| challenge.contains("insufficient_scope"))?;
    let message = match parameter(challenge, "scope") {
        Some(scope) => format!(
            "The grant lacks a scope this call needs; the provider names: {scope}. Sign the user in again with it; the grant keeps its id."
        ),
        None => "The grant lacks a scope this call needs. Sign the user in again with it; the grant keeps its id.".to_owned(),
    };
    Some(Error::new(ErrorKind::InsufficientScopes, message))
}

/// A quoted parameter of a challenge.
fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let start = format!(" {name}=\"");
    let (_, value) = challenge.split_once(&start)?;
    value.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_provider_that_is_down_is_told_from_a_fault_of_ours() {
        for (kind, expected) in [
            (CallErrorKind::Timeout, ErrorKind::ProviderUnavailable),
            (CallErrorKind::Connect, ErrorKind::ProviderUnavailable),
            (CallErrorKind::Tls, ErrorKind::ProviderUnavailable),
            (CallErrorKind::Protocol, ErrorKind::ProviderUnavailable),
            (CallErrorKind::AddressRefused, ErrorKind::Internal),
        ] {
            let failure = CallError::new(kind, "a.example").with_detail("10.0.0.1");
            let error = of(&failure);
            assert_eq!(error.kind(), expected, "{kind:?}");
            assert!(!error.message().contains("10.0.0.1"));
        }
    }

    #[test]
    fn a_missing_scope_is_named_and_any_other_403_passes() {
        let mut headers = HeaderMap::new();
        assert!(of_scopes(StatusCode::FORBIDDEN, &headers).is_none());
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(
                "Bearer realm=\"x\", error=\"insufficient_scope\", scope=\"mail.send\"",
            ),
        );
        let error = of_scopes(StatusCode::FORBIDDEN, &headers).unwrap();
        assert_eq!(error.kind(), ErrorKind::InsufficientScopes);
        assert!(error.message().contains("mail.send"));
        assert!(of_scopes(StatusCode::UNAUTHORIZED, &headers).is_none());
    }
}
