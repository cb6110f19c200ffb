//! What is asked, and what came back. Neither prints what may be secret.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use std::fmt;
use std::time::Duration;
use url::Url;
use url::form_urlencoded::Serializer;

/// How long a call may take, from resolving the name to the last byte, unless it says otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);
/// How large an answer may be, unless the call says otherwise.
pub const DEFAULT_MAX_RESPONSE_BYTES: usize = 1024 * 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// One call.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to. `https`, or `http` where the policy permits it.
    pub url: Url,
    /// The headers beside those the connection needs, which are set by the transport.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How long the whole call may take.
    pub deadline: Duration,
    /// How large the answer's body may be.
    pub max_response_bytes: usize,
    /// Whether only `https` is called, and only on 443 save on hosts the operator answers for.
    pub is_port_guarded: bool,
}

impl Request {
    /// A call without body that accepts JSON.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::from_iter([(ACCEPT, JSON)]),
            body: Bytes::new(),
            deadline: DEFAULT_DEADLINE,
            max_response_bytes: DEFAULT_MAX_RESPONSE_BYTES,
            is_port_guarded: false,
        }
    }

    /// A `GET`.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// A `POST` of `params` as a form, the way token endpoints take them (RFC 6749, appendix B).
    #[must_use]
    pub fn post_form<N: AsRef<str>, V: AsRef<str>>(
        url: Url,
        params: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let form = Serializer::new(String::new()).extend_pairs(params).finish();
        let mut request = Self::new(Method::POST, url).with_header(CONTENT_TYPE, FORM);
        request.body = Bytes::from(form);
        request
    }

    /// The same with a header, in place of any of that name.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same with an `Authorization` header such as `Bearer …`, marked as secret.
    ///
    /// # Errors
    /// When `value` holds characters no header may hold; the request is dropped with it.
    pub fn with_authorization(self, value: &str) -> Result<Self, http::header::InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(value)?;
        value.set_sensitive(true);
        Ok(self.with_header(AUTHORIZATION, value))
    }

    /// The same with another deadline.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The same with another limit on the answer.
    #[must_use]
    pub fn with_max_response_bytes(self, max_response_bytes: usize) -> Self {
        Self {
            max_response_bytes,
            ..self
        }
    }

    /// The same for a host and port that a tenant, or a stranger's server, has named: `https`, and on 443 alone unless
    /// the operator answers for the host.
    #[must_use]
    pub fn with_guarded_port(self) -> Self {
        Self {
            is_port_guarded: true,
            ..self
        }
    }

    /// The host to be called, with the port if the URL names one: all of the URL that messages show.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.host())
            .field("path", &self.url.path())
            .field("header_names", &names)
            .field("body_bytes", &self.body.len())
            .field("deadline", &self.deadline)
            .field("max_response_bytes", &self.max_response_bytes)
            .finish()
    }
}

/// A whole answer, whatever its status.
#[derive(Clone)]
pub struct Response {
    /// The status. Redirects are answers like any other.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as it came: not decompressed.
    pub body: Bytes,
}

impl Response {
    /// What `Retry-After` asks for, in seconds from `now_secs`: a number, or a date (RFC 9110, 10.2.3).
    #[must_use]
    pub fn retry_after_secs(&self, now_secs: i64) -> Option<i64> {
        let text = self.header(&http::header::RETRY_AFTER)?.trim();
        if let Ok(secs) = text.parse::<i64>() {
            return Some(secs.max(0));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        let at = date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
        Some((i64::try_from(at).ok()? - now_secs).max(0))
    }

    /// The value of the header `name`, if it is there and is text; the first of several.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status.as_u16())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> Url {
        Url::parse("https://a.example:8443/token?code=s3cret").unwrap()
    }

    #[test]
    fn a_form_is_encoded_as_token_endpoints_expect() {
        let request = Request::post_form(url(), [("a", "1 2"), ("b", "ü&=")]);
        assert_eq!(request.body, "a=1+2&b=%C3%BC%26%3D");
        assert_eq!(
            request.headers["content-type"],
            "application/x-www-form-urlencoded"
        );
        assert_eq!(request.headers["accept"], "application/json");
        assert_eq!(request.method, Method::POST);
    }

    #[test]
    fn debug_of_a_request_shows_no_query_header_value_or_body() {
        let request = Request::post_form(url(), vec![("refresh_token", "s3cret".to_owned())])
            .with_authorization("Basic s3cret")
            .unwrap();
        let shown = format!("{request:?}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("refresh_token"),
            "{shown}"
        );
        assert!(
            shown.contains("a.example:8443") && shown.contains("authorization"),
            "{shown}"
        );
    }

    #[test]
    fn debug_of_a_response_shows_status_and_length_only() {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, JSON)]);
        let body = Bytes::from_static(b"s3cret");
        let response = Response {
            status: StatusCode::OK,
            headers,
            body,
        };
        assert_eq!(
            format!("{response:?}"),
            "Response { status: 200, body_bytes: 6, .. }"
        );
        assert_eq!(response.header(&CONTENT_TYPE), Some("application/json"));
    }

    #[test]
    fn an_authorization_that_would_split_the_header_is_refused() {
        assert!(
            Request::get(url())
                .with_authorization("Bearer a\r\nX: y")
                .is_err()
        );
    }
}
