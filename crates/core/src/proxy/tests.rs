use super::*;
use proptest::prelude::*;

fn base() -> ApiBase {
    ApiBase::parse("https://api.example.com/v2/").unwrap()
}

fn target(rest: &str) -> Result<String, CallRefused> {
    base().target(rest, None)
}

#[test]
fn a_path_is_sent_exactly_as_it_came() {
    for rest in [
        "",
        "me",
        "me/messages",
        "a//b/",
        "drive/items/A%20b%2B.txt",
        "users/a@b.c/x:y",
        "files/100%25",
        "calendar/c_1%23x%40group.calendar.google.com/events",
        "root:/%C3%BC.txt:/content",
        "v1.0/...a/.b/c.",
        "a;b=c/d",
    ] {
        assert_eq!(target(rest), Ok(format!("/v2/{rest}")), "{rest}");
    }
    assert_eq!(
        base().target("m", Some("a=%2F..&b=//x?y\\".trim_end_matches('\\'))),
        Ok("/v2/m?a=%2F..&b=//x?y".to_owned())
    );
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    use CallRefused::{
        Character, DotSegment, EmptyFirstSegment, EncodedSeparator, Encoding, TooDeep,
    };
    for (rest, why) in [
        ("..", DotSegment),
        ("a/../b", DotSegment),
        ("a/.", DotSegment),
        ("./a", DotSegment),
        ("..;/a", DotSegment),
        ("a/..;x=y", DotSegment),
        ("%2e%2e/a", DotSegment),
        (".%2E", DotSegment),
        ("%252e%252e/a", DotSegment),
        ("a/%25252e%25252e", DotSegment),
        ("%2e%2e%3b/a", DotSegment),
        (".%2e%20", DotSegment),
        ("a/%20../b", DotSegment),
        ("..%2520/a", DotSegment),
        (".%20;x/a", DotSegment),
        ("a%2fb", EncodedSeparator),
        ("a%2F..%2Fb", EncodedSeparator),
        ("a%252fb", EncodedSeparator),
        ("a%5cb", EncodedSeparator),
        ("a%255Cb", EncodedSeparator),
        ("a%00", EncodedSeparator),
        ("a%0d%0aHost:%20evil", EncodedSeparator),
        ("a%250a", EncodedSeparator),
        ("a%7f", EncodedSeparator),
        ("%c0%ae%c0%ae/a", TooDeep),
        ("%c0%af", TooDeep),
        ("%2525252525252541", TooDeep),
        ("/evil.example/x", EmptyFirstSegment),
        ("//evil.example", EmptyFirstSegment),
        ("\\\\evil.example", Character),
        ("a\\..\\b", Character),
        ("a b", Character),
        ("a\r\nb", Character),
        ("a\0", Character),
        ("ü", Character),
        ("a#b", Character),
        ("a?b", Character),
        ("%", Encoding),
        ("%zz", Encoding),
        ("a%2", Encoding),
    ] {
        assert_eq!(target(rest), Err(why), "{rest}");
    }
}

#[test]
fn a_token_in_the_query_is_refused_however_it_is_written() {
    for query in [
        "access_token=x",
        "a=b&ACCESS_TOKEN=x",
        "%61ccess_token=x",
        "a=b;access_token=x",
        "oauth_token=x",
        "access_token",
    ] {
        let refused = base().target("m", Some(query));
        assert_eq!(refused, Err(CallRefused::TokenInQuery), "{query}");
    }
    for query in ["q=access_token", "my_access_token=x", "pageToken=x", ""] {
        assert!(base().target("m", Some(query)).is_ok(), "{query}");
    }
    assert_eq!(
        base().target("m", Some("a\\b")),
        Err(CallRefused::Character)
    );
}

#[test]
fn only_proxied_paths_are_read_as_such() {
    let read = |path| ProxyPath::read(path).map(|path| (path.grant, path.rest));
    assert_eq!(read("/v3/grants/g/proxy/a/b"), Some(("g", "a/b")));
    assert_eq!(read("/v3/grants/g/proxy/"), Some(("g", "")));
    assert_eq!(read("/v3/grants/g/proxy"), Some(("g", "")));
    assert_eq!(read("/v3/grants/g/proxy//a"), Some(("g", "/a")));
    for path in [
        "/v3/grants/g/proxyx",
        "/v3/grants/g",
        "/v3/grants/g/token",
        "/v3/grants//a/proxy/b",
        "/x/v3/grants/g/proxy/a",
    ] {
        assert!(
            read(path).is_none_or(|(grant, _)| grant.is_empty()),
            "{path}"
        );
    }
}

#[test]
fn a_base_has_no_user_no_query_and_a_known_scheme() {
    let local = ApiBase::parse("http://127.0.0.1:9000/api").unwrap();
    assert_eq!(
        (local.is_tls, local.authority.as_str()),
        (false, "127.0.0.1:9000")
    );
    assert_eq!(local.target("me", None), Ok("/api/me".into()));
    for bad in [
        "ftp://a",
        "https://u@a",
        "https://u:p@a",
        "https://a?x",
        "https://a#x",
        "a",
        "",
    ] {
        assert_eq!(ApiBase::parse(bad), None, "{bad}");
    }
}

/// What a URL library makes of the call: the strictest reader on the way.
fn resolved(target: &str) -> Url {
    Url::parse("https://api.example.com")
        .unwrap()
        .join(target)
        .unwrap()
}

proptest! {
    #[test]
    fn no_path_and_query_leave_the_base(rest in "[ -~]{0,40}", query in proptest::option::of("[ -~]{0,20}")) {
        if let Ok(target) = base().target(&rest, query.as_deref()) {
            let url = resolved(&target);
            prop_assert_eq!(url.host_str(), Some("api.example.com"));
            prop_assert_eq!(url.scheme(), "https");
            prop_assert!(url.path().starts_with("/v2/"));
            prop_assert!(url.username().is_empty());
        }
    }

    #[test]
    fn no_mixture_of_dots_slashes_and_encodings_climbs(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                ".", "..", "/", "\\", "%2e", "%2E", "%2f", "%5c", "%25", "2e", "2f", "a", ";", "%", "%00", "@", ":",
            ]),
            0..12,
        )
    ) {
        let rest = parts.concat();
        if let Ok(target) = base().target(&rest, None) {
            let mut text = target;
            for _ in 0..8 {
                let url = resolved(&text);
                prop_assert!(url.path().starts_with("/v2/"), "{} became {}", rest, url);
                prop_assert!(!text.contains('\\'));
                text = percent_decode(text.as_bytes()).decode_utf8_lossy().into_owned();
                // From here on a '?' or '#' would only cut the path short.
                text = text.replace(['?', '#'], "_");
            }
        }
    }
}
