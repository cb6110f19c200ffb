//! What a provider, or somebody who stands in its place, answers: tokens, refusals, id_tokens, keys, claims,
//! `iss` and `Retry-After`. The first byte says which.
#![no_main]

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use keyway_core::catalogue::Catalogue;
use keyway_core::identity::{
    Claims, Expected, callback_issuer_is_acceptable, check_claims, read_identity,
};
use keyway_core::oauth::{
    LIFETIME_MAX_SECS, TokenAnswer, TokenResponse, clean, is_printable, read_answer_of,
    read_token_answer,
};
use keyway_core::provider::Provider;
use keyway_core::refusal::blame;
use keyway_core::time::UnixMillis;
use keyway_outbound::Response;
use keyway_vault::jwt::{ProviderKeys, decode_unverified, verify_own, verify_provider};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const CLIENT: &str = "client";
/// Read once: the shipped entries are text.
static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::default);

fn is_clean(text: &str) -> bool {
    text.chars().all(is_printable)
}

fn token_answers(data: &[u8]) {
    let (status, body) = match data {
        [one, two, body @ ..] => (u16::from_be_bytes([*one, *two]) % 600, body),
        _ => return,
    };
    judge(status, read_token_answer(status, body));
    for entry in CATALOGUE.entries() {
        judge(status, read_answer_of(entry, status, body));
    }
}

fn judge(status: u16, answer: TokenAnswer) {
    match answer {
        TokenAnswer::Tokens(tokens) => {
            assert!((200..300).contains(&status));
            let life = tokens.expires_in_secs;
            assert!(life.is_none_or(|secs| (1..=LIFETIME_MAX_SECS).contains(&secs)));
            let end = TokenResponse::expires_at(&tokens, NOW);
            assert!(end.is_none_or(|end| end.0 > NOW.0));
        }
        TokenAnswer::Refused(error) => {
            assert!(error.codes.len() <= 16);
            assert!(is_clean(&error.error) && error.error.chars().count() <= 100);
            assert!(error.description.as_deref().is_none_or(is_clean));
            assert!(error.subtype.as_deref().is_none_or(is_clean));
            for provider in Provider::ALL {
                let _ = blame(provider, &error);
            }
        }
        TokenAnswer::Unintelligible { .. } => {}
    }
}

/// A set of keys, a line break, a token. Nobody without the private half of one can have a token accepted:
/// here nobody has.
fn signed_tokens(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n');
    let (keys, token) = data.split_at(at.unwrap_or(data.len()));
    let token = String::from_utf8_lossy(token.get(1..).unwrap_or_default());
    if let Ok(keys) = ProviderKeys::parse(keys) {
        let _ = verify_provider(&token, &keys);
    }
    assert!(verify_own(&[], &token, "https://kw.example", NOW).is_err());
    if let Ok(claims) = decode_unverified(&token) {
        check(&claims);
    }
}

/// Claims that pass name this client, this nonce and one person.
fn check(claims: &Claims) {
    for entry in CATALOGUE.entries() {
        let expected = Expected {
            client_id: CLIENT,
            tenant: None,
            nonce: Some("nonce"),
            now: NOW,
        };
        if check_claims(entry, claims, expected).is_ok() {
            assert_eq!(claims["nonce"], "nonce");
            assert!(claims["aud"].to_string().contains(CLIENT));
            assert!(
                claims["exp"]
                    .as_i64()
                    .is_some_and(|exp| exp > NOW.as_secs() - 200)
            );
        }
        let Some(identity) = read_identity(entry, claims) else {
            continue;
        };
        assert!(identity.email.contains('@') && is_one_line(&identity.email));
        assert!(identity.key.as_deref() != Some(""));
        for shown in [
            identity.name,
            identity.given_name,
            identity.family_name,
            identity.picture,
        ] {
            assert!(shown.as_deref().is_none_or(is_clean));
        }
    }
}

fn is_one_line(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() || c.is_whitespace())
}

fn issuers(text: &str) {
    for entry in CATALOGUE.entries() {
        let Some(issuer) = &entry.issuer else {
            continue;
        };
        if !callback_issuer_is_acceptable(entry, Some(text)) {
            continue;
        }
        // What is accepted is the issuer, but for a tenant in the place it has.
        let (before, after) = issuer.split_once("{tenant}").unwrap_or((issuer, ""));
        let bare = before.strip_prefix("https://").unwrap_or(before);
        assert!(text.starts_with(before) || text == bare, "{text}");
        assert!(text.ends_with(after));
        let slashes = |text: &str| text.matches('/').count();
        assert!(slashes(text) <= slashes(issuer), "{text}");
    }
}

fn retry_after(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let answer = Response {
        status: StatusCode::TOO_MANY_REQUESTS,
        headers: HeaderMap::from_iter([(RETRY_AFTER, value)]),
        body: bytes::Bytes::new(),
    };
    assert!(
        answer
            .retry_after_secs(NOW.as_secs())
            .is_none_or(|secs| secs >= 0)
    );
}

fuzz_target!(|data: &[u8]| {
    let Some((which, rest)) = data.split_first() else {
        return;
    };
    match which % 6 {
        0 => token_answers(rest),
        1 => signed_tokens(rest),
        2 => {
            if let Ok(claims) = serde_json::from_slice::<Claims>(rest) {
                check(&claims);
            }
        }
        3 => issuers(&String::from_utf8_lossy(rest)),
        4 => retry_after(rest),
        _ => assert!(is_clean(&clean(&String::from_utf8_lossy(rest), 300))),
    }
});
