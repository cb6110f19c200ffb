//! Whatever path and query a caller sends, a target that is accepted stays on its host, under its base, and
//! on its path however often it is decoded; and no header that proves the caller crosses.
#![no_main]

use keyway_core::proxy::{ApiBase, Direction, ProxyPath, crosses};
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode;
use url::Url;

const BASE: &str = "https://api.example.com/v2";
/// More than the rules themselves decode.
const DECODINGS: usize = 12;

fn check(base: &ApiBase, rest: &str, query: Option<&str>) {
    let Ok(target) = base.target(rest, query) else {
        return;
    };
    assert!(
        target
            .bytes()
            .all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'\\')
    );
    let whole = format!("https://api.example.com{target}");
    let url = Url::parse(&whole).expect("an accepted target is a URL");
    assert_eq!(url.host_str(), Some("api.example.com"));
    assert!(url.username().is_empty() && url.password().is_none() && url.port().is_none());
    let mut path = target
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .to_owned();
    for _ in 0..DECODINGS {
        let seen = Url::parse("https://api.example.com")
            .unwrap()
            .join(&path.replace(['?', '#'], "_"));
        assert!(seen.expect("a path").path().starts_with("/v2/"), "{target}");
        assert!(
            !path.bytes().any(|byte| byte.is_ascii_control()),
            "{target}"
        );
        path = percent_decode(path.as_bytes())
            .decode_utf8()
            .expect("UTF-8 all the way")
            .into_owned();
    }
}

fuzz_target!(|data: &str| {
    let base = ApiBase::parse(BASE).expect("the base is a URL");
    let (path, query) = match data.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (data, None),
    };
    check(&base, path, query);
    if let Some(read) = ProxyPath::read(path) {
        check(&base, read.rest, query);
    }
    let name = data.to_ascii_lowercase();
    if ["authorization", "cookie", "host"].contains(&name.as_str()) {
        assert!(!crosses(Direction::ToProvider, &name));
    }
});
