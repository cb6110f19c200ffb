//! One failed request, before the outermost layer writes it in its path's shape.

use super::wire;
use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use keyway_core::ids::RequestId;
use keyway_core::oauth::ProviderError;
use keyway_engine::error::{Error, ErrorKind, OAuthError};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// Seconds told in `Retry-After` when nobody knows better.
const RETRY_AFTER_SECS: u32 = 1;
/// The challenge of paths that want a service account's signature. The scheme has no registered name; clients
/// must not take it for one that sends a token.
const SIGNED: &str = "Nylas-Signature";

/// Which of the two shapes of error a path answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `{"request_id", "error": {…}}`.
    Api,
    /// RFC 6749, 5.2, with the clients' additions.
    OAuth,
}

impl Shape {
    /// The shape of a request's path.
    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/v3/connect/token" | "/v3/connect/revoke" | "/v3/connect/tokeninfo" => Self::OAuth,
            _ => Self::Api,
        }
    }
}

/// A failure on its way out. Turned into a response it travels as an extension; the outermost layer knows
/// the request id and writes the body.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Box<Details>);

#[derive(Clone, Debug)]
struct Details {
    status: StatusCode,
    wire_type: &'static str,
    message: String,
    provider_error: Option<Value>,
    retry_after_secs: Option<u32>,
    oauth: Option<(&'static str, i64)>,
    cause: Option<String>,
    is_shed: bool,
    challenge: &'static str,
}

#[derive(Serialize)]
struct ApiBody<'a> {
    request_id: RequestId,
    error: ApiError<'a>,
}

#[derive(Serialize)]
struct ApiError<'a> {
    r#type: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_error: Option<&'a Value>,
}

#[derive(Serialize)]
struct OAuthBody<'a> {
    error: &'static str,
    error_description: &'a str,
    error_uri: String,
    error_code: i64,
    request_id: RequestId,
}

impl Failure {
    /// A failure of `kind`, with a message for the caller.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let (status, _) = wire(kind);
        Self::with_status(status, kind, message)
    }

    /// A failure of `kind` under a status the transport calls for (405, 408, 413, 415).
    pub(crate) fn with_status(status: u16, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            wire_type: wire(kind).1,
            message: message.into(),
            provider_error: None,
            retry_after_secs: (status == 503).then_some(RETRY_AFTER_SECS),
            oauth: None,
            cause: None,
            is_shed: false,
            challenge: "Bearer",
        }))
    }

    /// 503: there is no room for the request. Whoever sends many would otherwise fill the log.
    pub(crate) fn no_room(message: impl Into<String>) -> Self {
        let mut failure = Self::new(ErrorKind::Unavailable, message);
        failure.0.is_shed = true;
        failure
    }

    /// The same, and if it is 401 the proof that is missing is a service account's.
    #[must_use]
    pub(crate) fn for_signed(mut self) -> Self {
        self.0.challenge = SIGNED;
        self
    }

    /// 400: the member `name` of the body is wrong.
    pub(crate) fn field(name: &str, what: impl std::fmt::Display) -> Self {
        Self::invalid(format!("{name}: {what}"))
    }

    /// 400: the request is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    /// 400: a query parameter is wrong.
    pub(crate) fn query(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidQuery, message)
    }

    /// 400: the body is not what it has to be as a whole.
    pub(crate) fn payload(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidPayload, message)
    }

    /// 404.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// 404 for grants.
    pub(crate) fn no_grant() -> Self {
        Self::new(ErrorKind::GrantNotFound, "No Grant found for this Grant ID")
    }

    /// 401: no proof of who is calling.
    pub(crate) fn unauthorized() -> Self {
        Self::new(ErrorKind::Unauthorized, "Bearer token invalid")
    }

    /// 500, with a cause for the log only.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let mut failure = Self::new(
            ErrorKind::Internal,
            "Internal error, contact administrator.",
        );
        failure.0.cause = Some(cause.into());
        failure
    }

    /// OAuth's `invalid_request`, at the OAuth endpoints.
    pub(crate) fn oauth_request(message: impl Into<String>) -> Self {
        let mut failure = Self::invalid(message);
        failure.0.oauth = Some(("invalid_request", 400));
        failure
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    #[cfg(test)]
    pub(crate) fn wire_type(&self) -> &'static str {
        self.0.wire_type
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// The private cause, for the log.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Whether the server is to blame, rather than the caller. The OAuth endpoints say 400 even then.
    pub(crate) fn is_ours(&self) -> bool {
        self.0.status.is_server_error() || self.0.oauth.is_some_and(|(_, code)| code == 500)
    }

    /// Whether an operator should hear of it: a fault of this server or its database, and not of a provider or
    /// a credential.
    pub(crate) fn is_alarming(&self) -> bool {
        let is_fault = matches!(self.0.status.as_u16(), 500 | 503) && !self.0.is_shed;
        is_fault || self.0.oauth.is_some_and(|(_, code)| code == 500)
    }

    /// Whether the request was refused for want of room.
    pub(crate) fn is_shed(&self) -> bool {
        self.0.is_shed
    }

    /// The word this failure goes by in `shape`.
    pub(crate) fn word(&self, shape: Shape) -> &'static str {
        match shape {
            Shape::Api => self.0.wire_type,
            Shape::OAuth => self.oauth().0,
        }
    }

    /// OAuth's `error` and the numeric code. Failures that arise around the OAuth endpoints get both from
    /// their status.
    fn oauth(&self) -> (&'static str, i64) {
        let status = self.0.status.as_u16();
        let error = match status {
            401 => "invalid_client",
            403 | 423 => "unauthorized_client",
            429 | 503 | 504 => "temporarily_unavailable",
            500..=599 => "server_error",
            _ => "invalid_request",
        };
        self.0.oauth.unwrap_or((error, i64::from(status)))
    }

    /// The body, in the shape of its path.
    pub(crate) fn body(&self, shape: Shape, request_id: RequestId, base_url: &str) -> Vec<u8> {
        let written = match shape {
            Shape::Api => serde_json::to_vec(&ApiBody {
                request_id,
                error: ApiError {
                    r#type: self.0.wire_type,
                    message: &self.0.message,
                    provider_error: self.0.provider_error.as_ref(),
                },
            }),
            Shape::OAuth => {
                let (error, error_code) = self.oauth();
                serde_json::to_vec(&OAuthBody {
                    error,
                    error_description: &self.0.message,
                    error_uri: format!("{base_url}/errors#{error}"),
                    error_code,
                    request_id,
                })
            }
        };
        written.unwrap_or_default()
    }
}

/// The chain of causes on one line.
fn causes(error: &dyn std::error::Error) -> Option<String> {
    let mut next = error.source();
    let mut line = String::new();
    while let Some(cause) = next {
        let separator = if line.is_empty() { "" } else { ": " };
        let _infallible = write!(line, "{separator}{cause}");
        next = cause.source();
    }
    (!line.is_empty()).then_some(line)
}

/// A provider's refusal as the wire shows it: an object, never a string.
#[derive(Serialize)]
struct ProviderErrorView<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_subtype: Option<&'a str>,
    #[serde(skip_serializing_if = "<[i64]>::is_empty")]
    error_codes: &'a [i64],
    /// Mail servers have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

fn provider_error_view(error: &ProviderError) -> Option<Value> {
    let view = ProviderErrorView {
        error: &error.error,
        error_description: error.description.as_deref(),
        error_subtype: error.subtype.as_deref(),
        error_codes: &error.codes,
        status: Some(error.status).filter(|status| *status != 0),
    };
    serde_json::to_value(view).ok()
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Self::new(error.kind(), error.message());
        failure.0.provider_error = error.provider_error().and_then(provider_error_view);
        failure.0.retry_after_secs = error.retry_after_secs().or(failure.0.retry_after_secs);
        failure.0.cause = causes(&error);
        failure
    }
}

impl From<OAuthError> for Failure {
    /// Always 400: the only status the clients know at these endpoints.
    fn from(error: OAuthError) -> Self {
        let mut failure = Self::invalid(error.description.clone());
        failure.0.oauth = Some((error.error, error.error_code));
        failure.0.cause = causes(&error);
        failure
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        if let Some(secs) = self.0.retry_after_secs {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(secs));
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 15.5.2: never without a challenge.
            let challenge = HeaderValue::from_static(self.0.challenge);
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(failure: &Failure, shape: Shape) -> Value {
        let id = RequestId::from_u128(7);
        serde_json::from_slice(&failure.body(shape, id, "https://kw.example")).unwrap()
    }

    #[test]
    fn the_api_shape_has_type_message_and_request_id_only() {
        let failure = Failure::invalid("name must be a string");
        assert_eq!(
            body(&failure, Shape::Api),
            json!({"request_id": "00000000-0000-0000-0000-000000000007",
                   "error": {"type": "api.invalid_request_error", "message": "name must be a string"}})
        );
    }

    #[test]
    fn the_oauth_shape_has_its_four_members_and_an_integer_code() {
        let failure = Failure::oauth_request("Missing required parameter: code");
        assert_eq!(
            body(&failure, Shape::OAuth),
            json!({"error": "invalid_request", "error_code": 400,
                   "error_description": "Missing required parameter: code",
                   "error_uri": "https://kw.example/errors#invalid_request",
                   "request_id": "00000000-0000-0000-0000-000000000007"})
        );
    }

    #[test]
    fn failures_around_the_oauth_endpoints_find_their_word_by_status() {
        for (status, word) in [(405, "invalid_request"), (500, "server_error")] {
            let failure = Failure::with_status(status, ErrorKind::InvalidRequest, "x");
            assert_eq!(failure.word(Shape::OAuth), word);
            assert_eq!(body(&failure, Shape::OAuth)["error_code"], status);
        }
    }

    #[test]
    fn a_401_says_how_to_prove_oneself_and_nothing_else_does() {
        let refused = Failure::unauthorized().into_response();
        assert_eq!(refused.headers()[WWW_AUTHENTICATE], "Bearer");
        let unsigned = Failure::unauthorized().for_signed().into_response();
        assert_eq!(unsigned.headers()[WWW_AUTHENTICATE], SIGNED);
        let missing = Failure::no_grant().into_response();
        assert!(!missing.headers().contains_key(WWW_AUTHENTICATE));
    }

    #[test]
    fn only_the_three_oauth_paths_answer_in_the_oauth_shape() {
        assert_eq!(Shape::of("/v3/connect/tokeninfo"), Shape::OAuth);
        assert_eq!(Shape::of("/v3/connect/custom"), Shape::Api);
        assert_eq!(Shape::of("/v3/connect/token/"), Shape::Api);
    }

    #[test]
    fn what_a_provider_said_is_an_object() {
        let said = ProviderError {
            error: "invalid_grant".into(),
            codes: vec![70000],
            status: 400,
            ..ProviderError::default()
        };
        assert_eq!(
            provider_error_view(&said),
            Some(json!({"error": "invalid_grant", "status": 400, "error_codes": [70000]}))
        );
    }
}
