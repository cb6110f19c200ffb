//! Headers on their way through, in both directions.

use super::{ANSWER_HEADER, UPSTREAM_MS_HEADER};
use crate::layers::REQUEST_ID_HEADER;
use bytes::{BufMut as _, BytesMut};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, TE, UPGRADE, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use keyway_core::ids::RequestId;
use keyway_core::proxy::{Direction, crosses};
use keyway_engine::Error;

const SCHEME: &str = "Bearer ";

/// Takes out what does not cross in `direction`, and what the message's own `Connection` names.
fn strip(headers: &mut HeaderMap, direction: Direction) {
    for name in named_by_connection(headers) {
        headers.remove(name);
    }
    let stays = |name: &&HeaderName| !crosses(direction, name.as_str());
    let behind: Vec<HeaderName> = headers.keys().filter(stays).cloned().collect();
    for name in behind {
        headers.remove(name);
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter();
    let names = values
        .filter_map(|value| value.to_str().ok())
        // What nearly every message says, and what names no header.
        .filter(|value| !["keep-alive", "close"].contains(value));
    names
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

/// The protocol a request or an answer wants its connection turned into, if it does: WebSocket alone. Others
/// would be tunnels nobody has thought about, such as HTTP/2, in which a caller could write headers of its own.
fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = headers.get(UPGRADE)?;
    let is_known = wanted.as_bytes().eq_ignore_ascii_case(b"websocket");
    let is_meant = is_known && named_by_connection(headers).contains(&UPGRADE);
    is_meant.then(|| wanted.clone())
}

/// Whether a request wants to go on as a WebSocket (RFC 6455, 4.1).
#[must_use]
pub fn wants_websocket(headers: &HeaderMap) -> bool {
    upgrade(headers).is_some()
}

/// Whether the caller takes trailers. Keyway passes them on, and so says it for itself.
fn takes_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(TE).iter();
    let codings = values.filter_map(|value| value.to_str().ok());
    codings
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

fn keep_upgrade(headers: &mut HeaderMap, protocol: Option<HeaderValue>) {
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}

/// `Bearer` and a token as a header that no library prints or compresses.
fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let mut text = BytesMut::with_capacity(SCHEME.len() + token.len());
    text.put_slice(SCHEME.as_bytes());
    text.put_slice(token.as_bytes());
    let mut value = HeaderValue::from_maybe_shared(text.freeze()).map_err(Error::internal)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A request's headers as the provider gets them: the caller's, less what is not for it, with the
/// grant's token, and with those the provider wants to see and the caller does not send.
///
/// # Errors
/// If the provider's token cannot stand in a header.
pub fn call_headers(
    headers: &mut HeaderMap,
    token: &str,
    extra: &[(HeaderName, HeaderValue)],
) -> Result<(), Error> {
    let (protocol, trailers) = (upgrade(headers), takes_trailers(headers));
    strip(headers, Direction::ToProvider);
    if trailers && protocol.is_none() {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    keep_upgrade(headers, protocol);
    for (name, value) in extra {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    headers.insert(AUTHORIZATION, bearer(token)?);
    Ok(())
}

/// A number as a header; the usual ones are ready-made.
fn written_ms(ms: u64) -> HeaderValue {
    const READY: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];
    let ready = usize::try_from(ms).ok().and_then(|ms| READY.get(ms));
    ready.map_or_else(
        || HeaderValue::from(ms),
        |text| HeaderValue::from_static(text),
    )
}

/// What lets a cache keep an answer to a request that proves who asks (RFC 9111, 3.5).
const SHARED: [&str; 3] = ["public", "s-maxage", "must-revalidate"];

/// Says of an answer that shared caches may keep that it depends on who asks. To the provider its URL may be
/// everybody's; here the path names a grant, and `me` another one for every token.
fn keep_apart(headers: &mut HeaderMap) {
    let values = headers.get_all(CACHE_CONTROL).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let mut words = texts.flat_map(|text| text.split([',', '=']));
    let shares = |word: &str| {
        SHARED
            .iter()
            .any(|one| word.trim().eq_ignore_ascii_case(one))
    };
    if words.any(shares) {
        headers.append(VARY, HeaderValue::from_static("Authorization"));
    }
}

/// An answer's headers as the caller gets them: the provider's, less what would speak for Keyway's
/// origin, with request id, the provider's time, and whose answer it is.
pub fn answer_headers(headers: &mut HeaderMap, request_id: RequestId, upstream_ms: u64) {
    let protocol = upgrade(headers);
    strip(headers, Direction::ToCaller);
    keep_upgrade(headers, protocol);
    keep_apart(headers);
    if let Ok(id) = HeaderValue::from_str(&request_id.to_string()) {
        headers.insert(REQUEST_ID_HEADER, id);
    }
    headers.insert(UPSTREAM_MS_HEADER, written_ms(upstream_ms));
    headers.insert(ANSWER_HEADER, HeaderValue::from_static("provider"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_provider_gets_the_grants_token_and_nothing_of_the_callers_own() {
        let mut sent = headers(&[
            ("host", "keyway"),
            ("authorization", "Bearer kwk_secret"),
            ("authorization", "Basic x"),
            ("cookie", "a=b"),
            ("connection", "keep-alive, X-Private"),
            ("x-private", "1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-keyway-upstream-host", "gmail.googleapis.com"),
            ("te", "gzip"),
            ("trailer", "authorization"),
            ("accept", "*/*"),
        ]);
        call_headers(&mut sent, "ya29.x", &[]).unwrap();
        assert_eq!(names(&sent), ["accept", "authorization"]);
        assert_eq!(sent.get_all(AUTHORIZATION).iter().count(), 1);
        assert_eq!(sent[AUTHORIZATION], "Bearer ya29.x");
        assert!(sent[AUTHORIZATION].is_sensitive());
    }

    #[test]
    fn a_connection_header_that_names_authorization_takes_nothing_of_ours() {
        let mut sent = headers(&[("connection", "authorization, host, content-length")]);
        call_headers(&mut sent, "t", &[]).unwrap();
        assert_eq!(sent[AUTHORIZATION], "Bearer t");
    }

    #[test]
    fn cache_confusion_an_answer_a_shared_cache_may_keep_depends_on_who_asks() {
        for shared in [
            "public, max-age=60",
            "max-age=0, S-MaxAge=60",
            "must-revalidate",
        ] {
            let mut answer = headers(&[("cache-control", shared), ("vary", "Origin")]);
            answer_headers(&mut answer, RequestId::from_u128(1), 0);
            let vary: Vec<_> = answer.get_all(VARY).iter().collect();
            assert_eq!(vary, ["Origin", "Authorization"], "{shared}");
        }
        for own in ["private, max-age=0", "no-store", "max-age=60, x=publicity"] {
            let mut answer = headers(&[("cache-control", own)]);
            answer_headers(&mut answer, RequestId::from_u128(1), 0);
            assert!(!answer.contains_key(VARY), "{own}");
        }
    }

    #[test]
    fn an_upgrade_crosses_only_where_the_connection_header_means_it() {
        let mut sent = headers(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        call_headers(&mut sent, "t", &[]).unwrap();
        assert_eq!(sent[UPGRADE], "websocket");
        assert_eq!(sent[CONNECTION], "upgrade");
        let mut loose = headers(&[("upgrade", "h2c")]);
        call_headers(&mut loose, "t", &[]).unwrap();
        assert!(!loose.contains_key(UPGRADE));
        let mut other = headers(&[("connection", "upgrade"), ("upgrade", "h2c")]);
        assert!(!wants_websocket(&other));
        call_headers(&mut other, "t", &[]).unwrap();
        assert_eq!(names(&other), ["authorization"]);
    }

    #[test]
    fn whoever_takes_trailers_gets_them() {
        let mut sent = headers(&[("te", "deflate, Trailers"), ("connection", "TE")]);
        call_headers(&mut sent, "t", &[]).unwrap();
        assert_eq!(sent[TE], "trailers");
        assert_eq!(sent[CONNECTION], "te");
    }

    #[test]
    fn what_the_provider_wants_to_see_is_added_unless_the_caller_sends_it() {
        let version = HeaderName::from_static("notion-version");
        let extra = [(version.clone(), HeaderValue::from_static("2025-09-03"))];
        let mut plain = headers(&[("accept", "*/*")]);
        call_headers(&mut plain, "t", &extra).unwrap();
        assert_eq!(plain[&version], "2025-09-03");
        let mut own = headers(&[("notion-version", "2022-06-28")]);
        call_headers(&mut own, "t", &extra).unwrap();
        assert_eq!(
            own.get_all(&version).iter().collect::<Vec<_>>(),
            ["2022-06-28"]
        );
    }

    #[test]
    fn a_token_that_would_split_the_header_is_our_fault_and_not_sent() {
        assert!(call_headers(&mut HeaderMap::new(), "a\r\nx: y", &[]).is_err());
    }

    #[test]
    fn an_answer_sets_no_cookie_and_shares_nothing_with_other_origins() {
        let mut answer = headers(&[
            ("content-type", "text/html"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
            ("alt-svc", "h3=\":443\""),
            ("access-control-allow-origin", "*"),
            ("content-security-policy", "default-src *"),
            ("x-keyway-answer", "keyway"),
            ("x-request-id", "theirs"),
            ("retry-after", "7"),
        ]);
        answer_headers(&mut answer, RequestId::from_u128(1), 12);
        assert_eq!(
            names(&answer),
            [
                "content-security-policy",
                "content-type",
                "retry-after",
                "x-content-type-options",
                "x-keyway-answer",
                "x-keyway-upstream-ms",
                "x-request-id"
            ]
        );
        assert_eq!(answer[ANSWER_HEADER], "provider");
        assert_eq!(answer[UPSTREAM_MS_HEADER], "12");
        assert_eq!(answer[CONTENT_SECURITY_POLICY], "sandbox");
    }
}
