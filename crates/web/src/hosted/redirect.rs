//! Sending a browser elsewhere.

use crate::envelope::Answer;
use crate::errors::Failure;
use axum::response::IntoResponse as _;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use percent_encoding::{CONTROLS, utf8_percent_encode};

/// An address as headers and pages take it: characters of a registered URI that are not ASCII are
/// percent-encoded.
pub(crate) fn ascii(location: &str) -> String {
    utf8_percent_encode(location, CONTROLS).to_string()
}

/// 302 to `location`.
pub(crate) fn redirect(location: &str) -> Answer {
    let mut value = HeaderValue::from_str(&ascii(location))
        .map_err(|_| Failure::internal("a redirect's location is no header value"))?;
    value.set_sensitive(true);
    Ok((StatusCode::FOUND, [(LOCATION, value)]).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_keep_their_bytes_and_cannot_break_the_header() {
        let response = redirect("https://a.b/cb?x=%20y&state=ü\r\nSet-Cookie: z").unwrap();
        assert_eq!(response.status(), 302);
        assert_eq!(
            response.headers()[LOCATION],
            "https://a.b/cb?x=%20y&state=%C3%BC%0D%0ASet-Cookie: z"
        );
    }
}
