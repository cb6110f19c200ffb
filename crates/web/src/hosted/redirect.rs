//! Sending a browser elsewhere.

use crate::envelope::Answer;
use crate::errors::Failure;
use axum::response::IntoResponse as _;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use url::Host;

/// An address as headers and pages take it: of a registered URI whose characters are not all ASCII, the host as the
/// name system has it (RFC 5891), anything else percent-encoded.
pub(crate) fn ascii(location: &str) -> String {
    let encoded = |text| utf8_percent_encode(text, CONTROLS).to_string();
    match host_in_words(location) {
        Some((before, host, after)) => encoded(before) + &host + &encoded(after),
        None => encoded(location),
    }
}

/// A web address with a host that is not ASCII: what is before the host, the host in ASCII, what comes after. In an
/// app's own scheme it is no name of a host.
fn host_in_words(location: &str) -> Option<(&str, String, &str)> {
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| has_prefix(location, scheme))?;
    let (before, rest) = location.split_at_checked(scheme.len())?;
    let end = rest.find(['/', '?', '#', ':', '\\']).unwrap_or(rest.len());
    let (host, after) = rest.split_at_checked(end)?;
    match Host::parse(host).ok()? {
        Host::Domain(name) if !host.is_ascii() => Some((before, name, after)),
        _ => None,
    }
}

fn has_prefix(text: &str, prefix: &str) -> bool {
    let head = text.get(..prefix.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(prefix))
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
    fn a_host_in_words_goes_as_the_name_system_has_it_and_all_else_as_registered() {
        for (location, sent) in [
            (
                "https://bücher.example/cb?code=x",
                "https://xn--bcher-kva.example/cb?code=x",
            ),
            (
                "HTTPS://Bücher.example:443",
                "HTTPS://xn--bcher-kva.example:443",
            ),
            (
                "https://bücher.example/Bücher?x=ü",
                "https://xn--bcher-kva.example/B%C3%BCcher?x=%C3%BC",
            ),
            (
                "https://A.Example:443/%7Ea/../b?x",
                "https://A.Example:443/%7Ea/../b?x",
            ),
            (
                "https://a.example/bücher.example",
                "https://a.example/b%C3%BCcher.example",
            ),
            ("app://bücher/cb?code=x", "app://b%C3%BCcher/cb?code=x"),
            ("http://[::1]:3000/cb", "http://[::1]:3000/cb"),
        ] {
            assert_eq!(ascii(location), sent);
        }
    }

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
