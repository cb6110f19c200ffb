//! Sending a browser elsewhere.

use crate::envelope::Answer;
use crate::errors::Failure;
use axum::response::IntoResponse as _;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use percent_encoding::{CONTROLS, utf8_percent_encode};

/// 302 to `location`. Header values are ASCII: other characters of a registered URI are percent-encoded.
pub(crate) fn redirect(location: &str) -> Answer {
    let ascii = utf8_percent_encode(location, CONTROLS).to_string();
    let mut value = HeaderValue::from_str(&ascii)
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
