//! The cookie that binds a sign-in to the browser that began it (rule 14; RFC 6265).

use axum::response::Response;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use keyway_engine::sign_in::{Cookie, cookie_prefix};

/// `Lax`, since the provider's redirect is a navigation from another site.
const ATTRIBUTES: &str = "HttpOnly; SameSite=Lax";
/// Sign-ins one browser may have under way. Each leaves a cookie until it ends, and a header of many is
/// refused by servers in front of this one.
const SIGN_INS_MAX: usize = 5;

/// How long such a moment is, in seconds.
const MOMENT_SECS: i64 = 15;

fn line(name: &str, value: &str, max_age_secs: i64, is_https: bool) -> String {
    // A name that binds a cookie to its host asks for the whole host as its path, and for no domain.
    let place = match is_https {
        true => "Path=/; Secure",
        false => "Path=/v3/connect",
    };
    format!("{name}={value}; Max-Age={max_age_secs}; {place}; {ATTRIBUTES}")
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

/// Lets the cookie of a sign-in that ended stay for a moment: the same form may come once more, by a double
/// click, and has to be known again.
pub(crate) fn keep_cookie_a_moment(
    response: &mut Response,
    headers: &HeaderMap,
    name: &str,
    is_https: bool,
) {
    let sent = cookies(headers).into_iter().find(|(sent, _)| sent == name);
    if let Some((name, value)) = sent {
        append(response, &line(&name, &value, MOMENT_SECS, is_https));
    }
}

/// Takes away the cookie of a sign-in that ended.
pub(crate) fn clear_cookie(response: &mut Response, name: &str, is_https: bool) {
    append(response, &line(name, "", 0, is_https));
}

/// The cookies a request carries, name and value, in order. One that is no text is left out alone: any
/// program on the same site may set such, and ours stand beside it in one line.
pub(crate) fn cookies(headers: &HeaderMap) -> Vec<(String, String)> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The cookies to take away so that one more sign-in may begin: the oldest beyond the bound.
pub(crate) fn surplus_cookies(headers: &HeaderMap, is_https: bool) -> Vec<String> {
    let prefix = cookie_prefix(is_https);
    let mut names: Vec<String> = cookies(headers)
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with(prefix))
        .collect();
    // The names begin with the time they were made at.
    names.sort_unstable_by(|a, b| b.cmp(a));
    names.split_off(names.len().min(SIGN_INS_MAX - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_for_sign_ins_only_and_out_of_scripts_reach() {
        assert_eq!(
            line("kw_1", "v", 600, true),
            "kw_1=v; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            line("kw_1", "", 0, false),
            "kw_1=; Max-Age=0; Path=/v3/connect; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn abandoned_sign_ins_do_not_pile_up_in_the_browser() {
        let mut headers = HeaderMap::new();
        let prefix = cookie_prefix(false);
        let names: Vec<String> = (1..=7).map(|n| format!("{prefix}{n:08x}_x")).collect();
        let line: Vec<String> = names.iter().map(|name| format!("{name}=v")).collect();
        headers.append(
            COOKIE,
            HeaderValue::from_str(&format!("a=1; {}", line.join("; "))).unwrap(),
        );
        assert_eq!(
            surplus_cookies(&headers, false),
            [&names[2][..], &names[1], &names[0]]
        );
        assert!(surplus_cookies(&headers, true).is_empty());
        assert!(surplus_cookies(&HeaderMap::new(), false).is_empty());
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

    #[test]
    fn another_programs_odd_cookie_hides_none_of_ours() {
        let mut headers = HeaderMap::new();
        let line = HeaderValue::from_bytes(b"name=Jos\xe9; kw=1; city=K\xc3\xb6ln").unwrap();
        headers.append(COOKIE, line);
        let names: Vec<_> = cookies(&headers)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["kw", "city"]);
    }
}
