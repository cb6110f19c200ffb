//! The cookie that binds a sign-in to the browser that began it (rule 14; RFC 6265).

use axum::response::Response;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use keyway_engine::sign_in::Cookie;

/// The only path that needs it. `Lax`, since the provider's redirect is a navigation from another site.
const ATTRIBUTES: &str = "Path=/v3/connect/callback; HttpOnly; SameSite=Lax";

fn line(name: &str, value: &str, max_age_secs: i64, is_https: bool) -> String {
    let secure = if is_https { "; Secure" } else { "" };
    format!("{name}={value}; Max-Age={max_age_secs}; {ATTRIBUTES}{secure}")
}

fn append(response: &mut Response, line: &str) {
    if let Ok(mut value) = HeaderValue::from_str(line) {
        value.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// Gives the browser the cookie of a sign-in that begins.
pub(crate) fn set_cookie(response: &mut Response, cookie: &Cookie, is_https: bool) {
    let line = line(&cookie.name, &cookie.value, cookie.max_age_secs, is_https);
    append(response, &line);
}

/// Takes away the cookie of a sign-in that ended.
pub(crate) fn clear_cookie(response: &mut Response, name: &str, is_https: bool) {
    append(response, &line(name, "", 0, is_https));
}

/// All cookies a request carries, name and value, in order.
pub(crate) fn cookies(headers: &HeaderMap) -> Vec<(String, String)> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_for_the_callback_only_and_out_of_scripts_reach() {
        assert_eq!(
            line("kw_1", "v", 600, true),
            "kw_1=v; Max-Age=600; Path=/v3/connect/callback; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            line("kw_1", "", 0, false),
            "kw_1=; Max-Age=0; Path=/v3/connect/callback; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn cookies_are_read_from_every_line() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; b=x=y; junk"));
        headers.append(COOKIE, HeaderValue::from_static("c=3"));
        let read = cookies(&headers);
        let pairs: Vec<_> = read.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b", "x=y"), ("c", "3")]);
    }
}
