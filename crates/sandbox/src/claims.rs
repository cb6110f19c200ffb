//! What id_tokens and userinfo say about a user (OpenID Connect Core, sections 2 and 5).

use crate::SandboxError;
use crate::config::{Dialect, UserConfig};
use crate::fault_answer::Lies;
use crate::faults::Lie;
use crate::provider::Provider;
use crate::signer::Signature;
use crate::store::Authorization;
use crate::tenants;
use serde_json::{Map, Value, json};

/// How long an id_token is good for, in seconds.
const ID_TOKEN_LIFETIME_S: i64 = 3600;

/// Scopes under which the address is told, in any provider's spelling.
const EMAIL_SCOPES: [&str; 3] = [
    "email",
    "https://www.googleapis.com/auth/userinfo.email",
    "https://mail.google.com/",
];
const PROFILE_SCOPES: [&str; 2] = [
    "profile",
    "https://www.googleapis.com/auth/userinfo.profile",
];

/// Scopes any of which lets a token ask for userinfo.
pub(crate) fn may_read_userinfo(scopes: &[String]) -> bool {
    has_any(scopes, &["openid"])
        || has_any(scopes, &EMAIL_SCOPES)
        || has_any(scopes, &PROFILE_SCOPES)
}

fn has_any(scopes: &[String], wanted: &[&str]) -> bool {
    scopes.iter().any(|scope| wanted.contains(&scope.as_str()))
}

/// The claims about `user` that `client_id` may see under `scopes`.
pub(crate) fn about(
    provider: &Provider,
    user: &UserConfig,
    client_id: &str,
    scopes: &[String],
    lies: &Lies,
) -> Map<String, Value> {
    let other = UserConfig::new("somebody.else@example.net");
    let user = if lies.has(Lie::OtherUser) {
        &other
    } else {
        user
    };
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), json!(provider.subject(user, client_id)));
    if has_any(scopes, &EMAIL_SCOPES) && !lies.has(Lie::MissingEmail) {
        claims.insert("email".to_owned(), json!(user.email));
        claims.insert("email_verified".to_owned(), json!(user.email_verified));
    }
    if has_any(scopes, &PROFILE_SCOPES) {
        claims.insert("name".to_owned(), json!(user.name));
        claims.insert("preferred_username".to_owned(), json!(user.email));
    }
    if provider.config.dialect != Dialect::Google {
        claims.insert("oid".to_owned(), json!(user.oid));
        claims.insert(
            "tid".to_owned(),
            json!(tenants::of_address(provider, &user.email)),
        );
    }
    claims
}

/// An id_token for the client of `authorization`, or `None` for a token that is nobody's.
pub(crate) fn id_token(
    provider: &Provider,
    authorization: &Authorization,
    scopes: &[String],
    nonce: Option<&str>,
    lies: &Lies,
) -> Result<Option<String>, SandboxError> {
    let Some(user) = &authorization.user else {
        return Ok(None);
    };
    let mut claims = about(provider, user, &authorization.client_id, scopes, lies);
    put_envelope(provider, authorization, lies, &mut claims);
    if lies.has(Lie::WrongNonce) {
        claims.insert("nonce".to_owned(), json!("the-nonce-of-another-sign-in"));
    } else if let Some(nonce) = nonce {
        claims.insert("nonce".to_owned(), json!(nonce));
    }
    provider
        .signer
        .jwt(&Value::Object(claims), signature_under(lies))
        .map(Some)
}

fn put_envelope(
    provider: &Provider,
    authorization: &Authorization,
    lies: &Lies,
    claims: &mut Map<String, Value>,
) {
    let shift_s = if lies.has(Lie::ExpiredIdToken) {
        -2 * ID_TOKEN_LIFETIME_S
    } else {
        0
    };
    let issued_at = provider.now().plus_secs(shift_s).as_secs();
    let issuer = match lies.has(Lie::WrongIssuer) {
        true => "https://issuer.invalid".to_owned(),
        false => provider.issuer(),
    };
    let audience = match lies.has(Lie::WrongAudience) {
        true => "some-other-client",
        false => authorization.client_id.as_str(),
    };
    claims.insert("iss".to_owned(), json!(issuer));
    claims.insert("aud".to_owned(), json!(audience));
    claims.insert("azp".to_owned(), json!(audience));
    claims.insert("iat".to_owned(), json!(issued_at));
    claims.insert("exp".to_owned(), json!(issued_at + ID_TOKEN_LIFETIME_S));
    claims.insert(
        "auth_time".to_owned(),
        json!(authorization.signed_in_at.as_secs()),
    );
}

fn signature_under(lies: &Lies) -> Signature {
    if lies.has(Lie::UnsignedIdToken) {
        Signature::None
    } else if lies.has(Lie::BadSignature) {
        Signature::Bad
    } else {
        Signature::Good
    }
}
