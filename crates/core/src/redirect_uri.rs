//! Redirect URIs: which may be registered, and how a browser is sent back to one.

use crate::application::Platform;
use form_urlencoded::Serializer;
use serde_json::{Map, Value};
use url::{Host, Url};

/// Longest redirect URI, in bytes. It travels in the sign-in's cookie.
pub const REDIRECT_URI_MAX_BYTES: usize = 1024;

/// What is wrong with a redirect URI someone wants to register.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectUriError {
    /// Not an absolute URI.
    #[error("url must be an absolute URI")]
    NotAbsolute,
    /// Too long.
    #[error("url must not be longer than {REDIRECT_URI_MAX_BYTES} bytes")]
    TooLong,
    /// Neither https nor http on this machine.
    #[error(
        "url must use https; plain http is allowed only for localhost, 127.0.0.1 and [::1], and a scheme of your own only on the platforms ios and android"
    )]
    Scheme,
    /// Has a fragment (RFC 6749, 3.1.2).
    #[error("url must not have a fragment")]
    Fragment,
    /// Has a user name or password.
    #[error("url must not carry a user name or password")]
    UserInfo,
    /// Has a query.
    #[error(
        "url must not have a query; switch on additional_settings.allow_query_param_in_redirect_uri to allow it"
    )]
    Query,
    /// A wildcard, a space, or what some parsers take for a slash.
    #[error(
        "url must not contain '*', backslashes, spaces or control characters: it is compared byte for byte"
    )]
    Character,
    /// A setting the platform needs is absent.
    #[error("settings.{0} is required on this platform")]
    SettingMissing(&'static str),
    /// The origin is no origin.
    #[error("settings.origin must be scheme, host and port only, such as https://app.example.com")]
    Origin,
}

/// Schemes no browser must ever be sent to.
const FORBIDDEN_SCHEMES: [&str; 8] = [
    "javascript",
    "data",
    "file",
    "blob",
    "about",
    "vbscript",
    "ftp",
    "ws",
];

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn scheme_is_allowed(url: &Url, platform: Platform) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(url),
        other => {
            matches!(platform, Platform::Ios | Platform::Android)
                && !FORBIDDEN_SCHEMES.contains(&other)
        }
    }
}

/// Checks a URI and its settings before it is registered.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_redirect_uri(
    text: &str,
    platform: Platform,
    settings: &Map<String, Value>,
    allow_query: bool,
) -> Result<(), RedirectUriError> {
    if text.len() > REDIRECT_URI_MAX_BYTES {
        return Err(RedirectUriError::TooLong);
    }
    if text
        .chars()
        .any(|c| matches!(c, '*' | '\\') || c.is_whitespace() || c.is_control())
    {
        return Err(RedirectUriError::Character);
    }
    let url = Url::parse(text).map_err(|_| RedirectUriError::NotAbsolute)?;
    if matches!(url.scheme(), "http" | "https") && !has_plain_authority(text) {
        return Err(RedirectUriError::NotAbsolute);
    }
    if !scheme_is_allowed(&url, platform) {
        return Err(RedirectUriError::Scheme);
    }
    if url.fragment().is_some() {
        return Err(RedirectUriError::Fragment);
    }
    if !url.username().is_empty() || url.password().is_some() || has_user_info(text) {
        return Err(RedirectUriError::UserInfo);
    }
    if url.query().is_some() && !allow_query {
        return Err(RedirectUriError::Query);
    }
    check_settings(platform, settings)
}

/// Whether two slashes and no more stand before the host: browsers read past any number, others do not.
fn has_plain_authority(text: &str) -> bool {
    let after = text
        .split_once(':')
        .and_then(|(_, rest)| rest.strip_prefix("//"));
    after.is_some_and(|after| !after.starts_with('/'))
}

/// Whether the authority names a user, be it an empty one, which parsers leave out.
fn has_user_info(text: &str) -> bool {
    let after = text.split_once("://").map_or("", |(_, after)| after);
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    authority.contains('@')
}

/// Settings each platform needs.
fn check_settings(
    platform: Platform,
    settings: &Map<String, Value>,
) -> Result<(), RedirectUriError> {
    let needed: &[&'static str] = match platform {
        Platform::Web | Platform::Desktop => &[],
        Platform::Js => &["origin"],
        Platform::Ios => &["bundle_id"],
        Platform::Android => &["package_name", "sha1_certificate_fingerprint"],
    };
    for name in needed {
        let given = settings
            .get(*name)
            .and_then(Value::as_str)
            .unwrap_or_default();
        if given.is_empty() {
            return Err(RedirectUriError::SettingMissing(name));
        }
    }
    match platform {
        Platform::Js => origin_setting(settings).map(|_| ()),
        _ => Ok(()),
    }
}

/// The origin browsers may call from, of a `js` redirect URI.
///
/// # Errors
/// If the setting is there and is no origin.
pub fn origin_setting(settings: &Map<String, Value>) -> Result<Option<String>, RedirectUriError> {
    let Some(text) = settings.get("origin").and_then(Value::as_str) else {
        return Ok(None);
    };
    parse_origin(text).map(Some).ok_or(RedirectUriError::Origin)
}

/// An origin in the form browsers send it, or `None` if `text` is not scheme, host and port alone.
#[must_use]
pub fn parse_origin(text: &str) -> Option<String> {
    let url = Url::parse(text.trim_end_matches('/')).ok()?;
    let bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let web = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    (bare && web).then(|| url.origin().ascii_serialization())
}

/// The origins an application lists in `idp_settings.origins` of its profile: one text, separated by
/// commas. What is no origin is left out.
#[must_use]
pub fn idp_origins(profile: &Map<String, Value>) -> Vec<String> {
    let text = profile
        .get("idp_settings")
        .and_then(|settings| settings.get("origins"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    text.split(',')
        .filter_map(|origin| parse_origin(origin.trim()))
        .collect()
}

/// The audience of tokens given to a redirect URI: its origin, or its scheme where it has none.
#[must_use]
pub fn audience_of(redirect_uri: &str) -> String {
    let Ok(url) = Url::parse(redirect_uri) else {
        return redirect_uri.to_owned();
    };
    match url.origin() {
        url::Origin::Opaque(_) => format!("{}:", url.scheme()),
        tuple => tuple.ascii_serialization(),
    }
}

/// The registered URI with `params` added to its query; everything else stays byte for byte.
#[must_use]
pub fn with_query(redirect_uri: &str, params: &[(&str, &str)]) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in params {
        query.append_pair(name, value);
    }
    let separator = if redirect_uri.contains('?') { '&' } else { '?' };
    format!("{redirect_uri}{separator}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(url: &str, platform: Platform) -> Result<(), RedirectUriError> {
        let settings = json!({"origin": "https://a.b", "bundle_id": "x", "package_name": "x",
                              "sha1_certificate_fingerprint": "x"});
        check_redirect_uri(url, platform, settings.as_object().unwrap(), false)
    }

    #[test]
    fn https_anywhere_http_only_here_and_own_schemes_only_on_phones() {
        for good in [
            "https://a.b/cb",
            "http://localhost:3000/cb",
            "http://127.0.0.1/cb",
            "http://[::1]:1/cb",
        ] {
            assert_eq!(check(good, Platform::Web), Ok(()), "{good}");
        }
        for bad in [
            "http://a.b/cb",
            "myapp://cb",
            "javascript:alert(1)",
            "http://localhost.evil/",
        ] {
            assert_eq!(
                check(bad, Platform::Web),
                Err(RedirectUriError::Scheme),
                "{bad}"
            );
        }
        assert_eq!(check("myapp://cb", Platform::Ios), Ok(()));
        assert_eq!(
            check("javascript:x", Platform::Android),
            Err(RedirectUriError::Scheme)
        );
    }

    #[test]
    fn whatever_could_be_read_two_ways_is_refused() {
        for (bad, error) in [
            ("/cb", RedirectUriError::NotAbsolute),
            ("https://a.b/cb#x", RedirectUriError::Fragment),
            ("https://u:p@a.b/cb", RedirectUriError::UserInfo),
            ("https://@a.b/cb", RedirectUriError::UserInfo),
            ("https:a.b/cb", RedirectUriError::NotAbsolute),
            ("https:///a.b/cb", RedirectUriError::NotAbsolute),
            ("https://a.b\\@evil.example/cb", RedirectUriError::Character),
            ("https://a.b/cb?x=1", RedirectUriError::Query),
            ("https://*.b/cb", RedirectUriError::Character),
            ("https://a.b/c b", RedirectUriError::Character),
            ("https://a.b/c\n", RedirectUriError::Character),
        ] {
            assert_eq!(check(bad, Platform::Web), Err(error), "{bad}");
        }
        // Found by fuzzing: nothing could be added to its query.
        let nobody = check("e://@", Platform::Ios);
        assert_eq!(nobody, Err(RedirectUriError::UserInfo));
        let long = format!("https://a.b/{}", "x".repeat(REDIRECT_URI_MAX_BYTES));
        assert_eq!(check(&long, Platform::Web), Err(RedirectUriError::TooLong));
    }

    #[test]
    fn platforms_ask_for_their_settings() {
        let none = Map::new();
        for (platform, name) in [
            (Platform::Js, "origin"),
            (Platform::Ios, "bundle_id"),
            (Platform::Android, "package_name"),
        ] {
            assert_eq!(
                check_redirect_uri("https://a.b/", platform, &none, false),
                Err(RedirectUriError::SettingMissing(name))
            );
        }
        let path = json!({"origin": "https://a.b/path"});
        assert_eq!(
            origin_setting(path.as_object().unwrap()),
            Err(RedirectUriError::Origin)
        );
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        assert_eq!(
            parse_origin("https://A.b:443/").as_deref(),
            Some("https://a.b")
        );
        assert_eq!(
            parse_origin("http://localhost:3000").as_deref(),
            Some("http://localhost:3000")
        );
        assert_eq!(parse_origin("http://a.b"), None);
        assert_eq!(audience_of("https://a.b/cb?x"), "https://a.b");
        assert_eq!(audience_of("myapp://cb"), "myapp:");
    }

    #[test]
    fn origins_of_an_identity_provider_are_read_from_their_list() {
        let profile = serde_json::json!({"idp_settings": {"origins": "https://a.b, http://localhost:3000,x"}});
        let origins = idp_origins(profile.as_object().unwrap());
        assert_eq!(origins, ["https://a.b", "http://localhost:3000"]);
    }

    #[test]
    fn parameters_are_added_to_the_query_and_nothing_else_is_touched() {
        assert_eq!(
            with_query("https://a.b/cb", &[("code", "x y")]),
            "https://a.b/cb?code=x+y"
        );
        assert_eq!(
            with_query("https://a.b/cb?q=%41", &[("a", "&")]),
            "https://a.b/cb?q=%41&a=%26"
        );
        assert_eq!(
            with_query("myapp://cb", &[("code", "x")]),
            "myapp://cb?code=x"
        );
    }
}
