//! Whatever headers a caller or a provider sends, what crosses proves nobody but the grant, frames nothing,
//! and speaks for nobody's origin.
#![no_main]

use http::header::{AUTHORIZATION, CONNECTION, TE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};
use keyway_core::ids::RequestId;
use keyway_core::proxy::{Direction, crosses};
use keyway_web::proxy::{answer_headers, call_headers};
use libfuzzer_sys::fuzz_target;

const TOKEN: &str = "ya29.the-grants-own";

/// Lines of `name: value`, as a parser of HTTP would hand them out: those that are none are left out.
fn headers(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// What a message's own `Connection` header names.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter();
    let words = values.filter_map(|value| value.to_str().ok());
    let names = words.flat_map(|value| value.split(','));
    names.filter_map(|name| name.trim().parse().ok()).collect()
}

fn check(before: &HeaderMap, after: &HeaderMap, direction: Direction, ours: &[&str]) {
    for name in after.keys().filter(|name| !ours.contains(&name.as_str())) {
        assert!(crosses(direction, name.as_str()), "{name} crossed");
        assert!(
            !named(before).contains(name),
            "{name} belonged to the connection"
        );
    }
    for name in [CONNECTION, TE, UPGRADE] {
        assert!(after.get_all(&name).iter().count() <= 1, "{name} twice");
    }
    if let Some(protocol) = after.get(UPGRADE) {
        assert!(protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
        assert_eq!(after[CONNECTION], "upgrade");
    }
    assert!(after.get(TE).is_none_or(|te| te == "trailers"));
}

fuzz_target!(|data: &[u8]| {
    let before = headers(data);
    let mut sent = before.clone();
    call_headers(&mut sent, TOKEN, &[]).expect("the token is a header's value");
    assert_eq!(sent.get_all(AUTHORIZATION).iter().count(), 1);
    assert_eq!(sent[AUTHORIZATION], format!("Bearer {TOKEN}"));
    check(
        &before,
        &sent,
        Direction::ToProvider,
        &["authorization", "connection", "te", "upgrade"],
    );

    let mut answered = before.clone();
    answer_headers(&mut answered, RequestId::from_u128(7), 3);
    let ours = [
        "x-request-id",
        "x-keyway-upstream-ms",
        "x-keyway-answer",
        "x-content-type-options",
        "content-security-policy",
        "connection",
        "upgrade",
        "vary",
    ];
    check(&before, &answered, Direction::ToCaller, &ours);
    for (name, value) in [
        ("x-keyway-answer", "provider"),
        ("content-security-policy", "sandbox"),
    ] {
        assert_eq!(answered.get_all(name).iter().collect::<Vec<_>>(), [value]);
    }
});
