//! Who signed in: checking an id_token's claims (OpenID Connect Core, 3.1.3.7) and reading an identity
//! from claims or a userinfo answer.

use crate::catalogue::{IdentityRule, ProviderEntry};
use crate::email::looks_like_email;
use crate::oauth::clean;
use crate::sign_in::Identity;
use crate::time::UnixMillis;
use serde_json::{Map, Value};

/// Claims of an id_token, or members of a userinfo answer.
pub type Claims = Map<String, Value>;

/// Difference of clocks forgiven, in seconds.
pub const CLOCK_SKEW_SECS: i64 = 120;

/// What is wrong with an id_token's claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// `iss` is not the provider's.
    #[error("the id_token's issuer is not the provider's")]
    Issuer,
    /// `aud` or `azp` is another client.
    #[error("the id_token was issued to another client")]
    Audience,
    /// `exp` has passed, or is absent.
    #[error("the id_token has expired")]
    Expired,
    /// `nonce` is not this sign-in's.
    #[error("the id_token's nonce is not this sign-in's")]
    Nonce,
}

/// What an id_token must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The client it was asked by.
    pub client_id: &'a str,
    /// The tenant the client is tied to.
    pub tenant: Option<&'a str>,
    /// The sign-in's nonce; none at a refresh (OpenID Connect Core, 12.2).
    pub nonce: Option<&'a str>,
    /// The present.
    pub now: UnixMillis,
}

fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims
        .get(name)
        .and_then(Value::as_str)
        .filter(|t| !t.is_empty())
}

/// Checks issuer, audience, expiry and nonce.
///
/// # Errors
/// The first claim that is wrong.
pub fn check_claims(
    entry: &ProviderEntry,
    claims: &Claims,
    expected: Expected<'_>,
) -> Result<(), ClaimError> {
    if !issuer_matches(entry, claims, expected.tenant) {
        return Err(ClaimError::Issuer);
    }
    if !audience_matches(claims, expected.client_id) {
        return Err(ClaimError::Audience);
    }
    let expires = claims.get("exp").and_then(Value::as_i64).unwrap_or(0);
    if expected.now.as_secs() >= expires.saturating_add(CLOCK_SKEW_SECS) {
        return Err(ClaimError::Expired);
    }
    match expected.nonce {
        Some(nonce) if text(claims, "nonce") != Some(nonce) => Err(ClaimError::Nonce),
        _ => Ok(()),
    }
}

/// Under a tenant template the issuer names the token's own tenant, which a client tied to one tenant
/// must find to be that one.
fn issuer_matches(entry: &ProviderEntry, claims: &Claims, tenant: Option<&str>) -> bool {
    let Some(issuer) = text(claims, "iss") else {
        return false;
    };
    let Some(expected) = &entry.issuer else {
        return false;
    };
    if !expected.contains("{tenant}") {
        return same_issuer(issuer, expected);
    }
    let Some(tid) = text(claims, "tid") else {
        return false;
    };
    let tied_elsewhere = tenant.is_some_and(|t| is_uuid(t) && !t.eq_ignore_ascii_case(tid));
    !tied_elsewhere && same_issuer(issuer, &expected.replace("{tenant}", tid))
}

/// Google's id_tokens have named their issuer with and without the scheme.
fn same_issuer(given: &str, expected: &str) -> bool {
    let bare = expected.strip_prefix("https://").unwrap_or(expected);
    given == expected || (bare == "accounts.google.com" && given == bare)
}

fn is_uuid(text: &str) -> bool {
    text.parse::<crate::ids::RequestId>().is_ok()
}

fn audience_matches(claims: &Claims, client_id: &str) -> bool {
    let among = match claims.get("aud") {
        Some(Value::String(aud)) => aud == client_id,
        Some(Value::Array(list)) => list.iter().any(|aud| aud.as_str() == Some(client_id)),
        _ => false,
    };
    among && text(claims, "azp").is_none_or(|azp| azp == client_id)
}

/// `iss` of the callback's query (RFC 9207): checked whenever the provider sends it and has an issuer.
#[must_use]
pub fn callback_issuer_is_acceptable(entry: &ProviderEntry, iss: Option<&str>) -> bool {
    let (Some(iss), Some(issuer)) = (iss, &entry.issuer) else {
        return true;
    };
    if issuer.contains("{tenant}") {
        issuer_tenant(entry, iss).is_some()
    } else {
        same_issuer(iss, issuer)
    }
}

/// The tenant that an issuer of the entry's form names.
#[must_use]
pub fn issuer_tenant<'a>(entry: &ProviderEntry, iss: &'a str) -> Option<&'a str> {
    let (before, after) = entry.issuer.as_ref()?.split_once("{tenant}")?;
    let tenant = iss.strip_prefix(before)?.strip_suffix(after)?;
    (!tenant.is_empty() && !tenant.contains('/')).then_some(tenant)
}

/// What a path into the token endpoint's answer begins with.
pub(crate) const TOKEN_STEP: &str = "token.";

/// What stands at the end of a path: the member of that very name, else step by step, dot by dot. A path into the
/// token endpoint's answer leads nowhere else: a member that only has such a name may be a user's own words.
fn at<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    if let Some(rest) = path.strip_prefix(TOKEN_STEP) {
        return at(claims.get("token")?.as_object()?, rest);
    }
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    at(claims.get(first)?.as_object()?, rest)
}

/// The text at a path; ids are whole numbers at some providers.
fn told(claims: &Claims, path: &str) -> Option<String> {
    match at(claims, path)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// What the claims of `entry` lead to in a token endpoint's answer, and nothing else of it.
pub(crate) fn told_claims(entry: &ProviderEntry, answer: &Claims) -> Claims {
    let mut kept = Claims::new();
    let paths = entry.claims();
    for path in paths.filter_map(|path| path.strip_prefix(TOKEN_STEP)) {
        if let Some(text) = told(answer, path) {
            kept.insert(path.to_owned(), Value::String(text));
        }
    }
    kept
}

/// The user's primary address in a list of addresses, and whether the provider has verified it.
#[must_use]
pub fn primary_email(list: &Value) -> Option<(String, Option<bool>)> {
    let is_primary = |one: &&Value| one.get("primary") == Some(&Value::Bool(true));
    let primary = list.as_array()?.iter().find(is_primary)?;
    let email = primary.get("email")?.as_str()?;
    Some((email.to_owned(), email_verified(primary.get("verified"))))
}

/// The claims the provider's identity rule names, joined by `|`. A name `a|b` means the first present.
fn identity_key(rule: &IdentityRule, claims: &Claims) -> Option<String> {
    let IdentityRule::Stable(names) = rule else {
        return None;
    };
    let values: Option<Vec<String>> = names
        .iter()
        .map(|name| name.split('|').find_map(|one| told(claims, one)))
        .collect();
    // A part that holds what joins them could be taken for two.
    values
        .filter(|values| values.len() == 1 || !values.iter().any(|value| value.contains('|')))
        .map(|values| values.join("|"))
}

/// The identity in `claims`, or `None` if there is no address in them.
#[must_use]
pub fn read_identity(entry: &ProviderEntry, claims: &Claims) -> Option<Identity> {
    let first = |names: &[String]| {
        let found = names.iter().find_map(|name| told(claims, name));
        found.map(|text| clean(&text, 500))
    };
    let email = entry
        .email_claims
        .iter()
        .filter_map(|name| told(claims, name))
        .find(|text| looks_like_email(text))?;
    let shown = |name: &str| text(claims, name).map(|t| clean(t, 500));
    Some(Identity {
        key: identity_key(&entry.identity, claims),
        provider_user_id: first(&entry.user_id_claims),
        email,
        email_verified: email_verified(claims.get("email_verified")),
        name: first(&entry.name_claims).or_else(|| joined_name(claims)),
        given_name: shown("given_name").or_else(|| shown("first_name")),
        family_name: shown("family_name").or_else(|| shown("last_name")),
        picture: shown("picture"),
    })
}

fn joined_name(claims: &Claims) -> Option<String> {
    let first = text(claims, "given_name").or_else(|| text(claims, "first_name"))?;
    let last = text(claims, "family_name")
        .or_else(|| text(claims, "last_name"))
        .unwrap_or("");
    Some(clean(&format!("{first} {last}"), 500))
}

/// A boolean by the standard; some providers write text.
fn email_verified(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => text.to_lowercase().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
