//! What applications, browsers and proxies in front write, as the parsers of the core read it: redirect URIs,
//! origins, scopes, addresses, locators, codes and tokens, PKCE, networks, client settings. The first byte
//! says which.
#![no_main]

use keyway_core::application::Platform;
use keyway_core::bearer::{BearerKind, looks_like, parse_named};
use keyway_core::credential::CredentialType;
use keyway_core::detect::{address_in_query, mail_host};
use keyway_core::email::{EMAIL_MAX_BYTES, email_key, looks_like_email};
use keyway_core::grant::GrantLocator;
use keyway_core::pkce::{ChallengeMethod, ClientChallenge, s256_challenge};
use keyway_core::provider::Provider;
use keyway_core::redirect_uri::{
    audience_of, check_redirect_uri, idp_origins, parse_origin, with_query,
};
use keyway_core::scope::Scopes;
use keyway_engine::credential_data::{ClientMembers, check, check_settings, public_settings};
use keyway_vault::hash::sha256;
use keyway_web::Cidr;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use url::Url;

const PLATFORMS: [Platform; 5] = [
    Platform::Web,
    Platform::Desktop,
    Platform::Js,
    Platform::Ios,
    Platform::Android,
];

/// A URI that may be registered is a place a browser can be sent to with a code, and only that place.
fn redirect_uris(text: &str) {
    let settings = json!({
        "origin": "https://a.example", "bundle_id": "b", "package_name": "p",
        "sha1_certificate_fingerprint": "f",
    });
    let settings = settings.as_object().expect("an object");
    for platform in PLATFORMS {
        if check_redirect_uri(text, platform, settings, false).is_err() {
            continue;
        }
        let registered = Url::parse(text).expect("a registered URI is one");
        let sent = with_query(text, &[("code", "c\r\n&=#"), ("state", text)]);
        assert!(sent.starts_with(text) && !sent.contains(['\r', '\n', ' ']));
        let url = Url::parse(&sent).expect("still a URI");
        assert_eq!(url.host(), registered.host());
        assert_eq!(
            (url.scheme(), url.port()),
            (registered.scheme(), registered.port())
        );
        assert_eq!((url.path(), url.fragment()), (registered.path(), None));
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs[0], ("code".to_owned(), "c\r\n&=#".to_owned()));
        assert_eq!(pairs[1], ("state".to_owned(), text.to_owned()));
        assert!(!audience_of(text).is_empty());
        assert!(!["javascript", "data"].contains(&registered.scheme()));
        if !matches!(platform, Platform::Ios | Platform::Android) {
            let host = registered.host_str().unwrap_or_default();
            let here = ["localhost", "[::1]"].contains(&host) || host.starts_with("127.");
            assert!(registered.scheme() == "https" || here, "{text}");
        }
    }
}

/// An origin is in the form browsers send, and reads back as itself.
fn origins(text: &str) {
    let profile = json!({"idp_settings": {"origins": text}});
    let mut all = idp_origins(profile.as_object().expect("an object"));
    all.extend(parse_origin(text));
    for origin in all {
        assert_eq!(parse_origin(&origin).as_deref(), Some(&*origin));
        assert!(origin.starts_with("https://") || origin.starts_with("http://"));
        assert!(origin.bytes().all(|byte| byte.is_ascii_graphic()) && !origin.ends_with('/'));
    }
}

fn scopes(text: &str) {
    let lenient = Scopes::parse_lenient(text);
    let Ok(strict) = Scopes::parse(text) else {
        return;
    };
    let written = strict.to_string();
    assert_eq!(Scopes::parse(&written).ok().as_ref(), Some(&strict));
    assert!(!written.contains(char::is_control));
    assert!(strict.iter().all(|scope| lenient.contains(scope)));
}

fn addresses(text: &str) {
    let key = email_key(text);
    assert_eq!(email_key(&key), key, "the same address has one key");
    if looks_like_email(text) {
        assert!(text.len() <= EMAIL_MAX_BYTES && !text.contains(char::is_whitespace));
    }
    let _ = (mail_host(text), address_in_query(text));
    if let Some(GrantLocator::Id(id)) = GrantLocator::parse(text) {
        assert_eq!(
            GrantLocator::parse(&id.to_string()),
            Some(GrantLocator::Id(id))
        );
    }
}

fn bearers(text: &str) {
    let kinds = [
        BearerKind::ApiKey,
        BearerKind::Code,
        BearerKind::AccessToken,
        BearerKind::RefreshToken,
        BearerKind::State,
    ];
    let is_of: Vec<_> = kinds
        .iter()
        .filter(|kind| looks_like(**kind, text))
        .collect();
    assert!(is_of.len() <= 1, "of two kinds at once");
    for kind in kinds {
        assert!(parse_named(kind, text).is_none() || is_of == [&kind]);
    }
}

fn pkce(text: &str) {
    let (challenge, verifier) = text.split_once('\n').unwrap_or((text, text));
    for method in [ChallengeMethod::Plain, ChallengeMethod::S256] {
        let own = ClientChallenge {
            challenge: challenge.to_owned(),
            method,
        };
        let _ = own.accepts(verifier, sha256);
    }
    let made = ClientChallenge {
        challenge: s256_challenge(verifier, sha256),
        method: ChallengeMethod::S256,
    };
    assert!(made.accepts(verifier, sha256));
    assert!(!made.accepts(&format!("{verifier}x"), sha256));
    let _ = ChallengeMethod::parse(Some(text));
}

fn networks(text: &str) {
    let (network, address) = text.split_once(' ').unwrap_or((text, "10.0.0.1"));
    if let (Ok(network), Ok(address)) = (network.parse::<Cidr>(), address.parse()) {
        let _ = network.contains(address);
    }
}

/// Nothing of `credential_data` or settings that could be a secret is shown; a tenant stays a path segment.
fn settings(text: &str) {
    let Ok(Value::Object(map)) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let tenant = |members: &ClientMembers| {
        let tenant = members.tenant.as_deref().unwrap_or("common");
        let url = Url::parse(&format!("https://login.example/{tenant}/token")).expect("a URL");
        assert_eq!((url.host_str(), url.query()), (Some("login.example"), None));
        assert_eq!(url.path(), format!("/{tenant}/token"));
    };
    for provider in Provider::ALL {
        for kind in [
            CredentialType::Connector,
            CredentialType::ServiceAccount,
            CredentialType::AdminConsent,
        ] {
            check(provider, kind, &map).iter().for_each(tenant);
        }
        check_settings(provider, &map).iter().for_each(tenant);
    }
    let shown: Map<String, Value> = public_settings(&map);
    for name in ["client_secret", "private_key", "password", "refresh_token"] {
        assert!(!shown.contains_key(name));
    }
}

fuzz_target!(|data: (u8, &str)| {
    let (which, text) = data;
    match which % 8 {
        0 => redirect_uris(text),
        1 => origins(text),
        2 => scopes(text),
        3 => addresses(text),
        4 => bearers(text),
        5 => pkce(text),
        6 => networks(text),
        _ => settings(text),
    }
});
