//! Google-like service accounts: a signed assertion instead of a sign-in (RFC 7523, section 2.1).

use crate::SandboxError;
use crate::digest;
use crate::grants;
use crate::oauth_error::OAuthError;
use crate::params::{Params, scope_words};
use crate::provider::Provider;
use crate::store::Authorization;
use crate::token::Issued;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The audience that Google's libraries sign for, whatever the token endpoint's address.
const GOOGLE_TOKEN_ENDPOINT: &str = "https://oauth2.googleapis.com/token";
/// The longest an assertion may be good for, in seconds, with Google's tolerance of five minutes.
const LONGEST_ASSERTION_S: i64 = 65 * 60;

/// A service account as the provider knows it.
pub(crate) struct ServiceAccount {
    key: DecodingKey,
    /// The scopes delegated to it; none means all.
    delegated: Vec<String>,
}

impl std::fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAccount")
            .field("delegated", &self.delegated)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Assertion {
    iss: String,
    #[serde(default)]
    scope: String,
    aud: String,
    iat: i64,
    exp: i64,
    sub: Option<String>,
}

/// Makes a service account with a key of its own, replacing one of the same name. Returns its key
/// file, in Google's form.
pub(crate) fn create(
    provider: &Provider,
    client_email: &str,
    delegated: &[&str],
) -> Result<String, SandboxError> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| SandboxError::Key)?;
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| SandboxError::Key)?;
    let account = ServiceAccount {
        key: DecodingKey::from_rsa_der(pair.public_key().as_ref()),
        delegated: delegated.iter().map(|scope| (*scope).to_owned()).collect(),
    };
    provider
        .store()
        .service_accounts
        .insert(client_email.to_owned(), account);
    let file = json!({
        "type": "service_account",
        "project_id": "keyway-sandbox",
        "private_key_id": digest::uuid(client_email),
        "private_key": pem(pkcs8.as_ref()),
        "client_email": client_email,
        "client_id": digest::decimal(client_email),
        "token_uri": format!("{}/token", provider.origin()),
    });
    Ok(file.to_string())
}

/// Changes what is delegated to a service account.
pub(crate) fn delegate(provider: &Provider, client_email: &str, scopes: &[&str]) {
    let mut store = provider.store();
    if let Some(account) = store.service_accounts.get_mut(client_email) {
        account.delegated = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    }
}

fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines = encoded.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let body = lines.collect::<Vec<_>>().join("\n");
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

/// The grant `urn:ietf:params:oauth:grant-type:jwt-bearer`.
pub(crate) fn jwt_bearer(provider: &Provider, form: &Params) -> Result<Issued, OAuthError> {
    let token = form.require("assertion")?;
    let mut store = provider.store();
    let claimed: Assertion = jsonwebtoken::dangerous::insecure_decode_claims(token)
        .map_err(|_| OAuthError::invalid_grant(50_027, "Invalid JWT: malformed"))?;
    let account = store.service_accounts.get(&claimed.iss);
    let account = account
        .ok_or_else(|| OAuthError::invalid_grant(50_027, "Invalid grant: account not found"))?;
    let assertion = verified(token, &account.key)?;
    check_claims(provider, &assertion)?;
    let scopes = delegated_scopes(account, &assertion.scope)?;
    let email = assertion.sub.as_deref().unwrap_or(&assertion.iss);
    if !email.contains('@') {
        return Err(OAuthError::invalid_grant(
            50_034,
            "Invalid email or User ID",
        ));
    }
    let authorization = Authorization {
        sign_in: store.next_sign_in(),
        client_id: assertion.iss.clone(),
        user: Some(store.user(email)),
        tenant: None,
        scopes: scopes.clone(),
        signed_in_at: provider.now(),
    };
    Ok(grants::issue(
        provider,
        &mut store,
        Arc::new(authorization),
        scopes,
    ))
}

fn verified(token: &str, key: &DecodingKey) -> Result<Assertion, OAuthError> {
    let mut rules = Validation::new(Algorithm::RS256);
    // Times and audience are judged by the provider's own clock and names.
    (rules.validate_exp, rules.validate_aud) = (false, false);
    let decoded = jsonwebtoken::decode::<Assertion>(token, key, &rules);
    decoded
        .map(|data| data.claims)
        .map_err(|_| OAuthError::invalid_grant(700_027, "Invalid JWT Signature."))
}

fn check_claims(provider: &Provider, assertion: &Assertion) -> Result<(), OAuthError> {
    let own = format!("{}/token", provider.origin());
    if assertion.aud != own && assertion.aud != GOOGLE_TOKEN_ENDPOINT {
        return Err(OAuthError::invalid_grant(
            50_027,
            "Invalid JWT: wrong audience",
        ));
    }
    let now = provider.now().as_secs();
    let is_long = assertion.exp - assertion.iat > LONGEST_ASSERTION_S;
    if is_long || assertion.exp <= now || assertion.iat > now + 300 {
        let text = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a \
                    reasonable timeframe.";
        return Err(OAuthError::invalid_grant(50_027, text));
    }
    Ok(())
}

fn delegated_scopes(account: &ServiceAccount, asked: &str) -> Result<Vec<String>, OAuthError> {
    let asked = scope_words(asked);
    if asked.is_empty() {
        return Err(OAuthError::invalid_scope("the assertion names no scope"));
    }
    let is_delegated = |scope: &String| account.delegated.contains(scope);
    if !account.delegated.is_empty() && !asked.iter().all(is_delegated) {
        let text = "Client is unauthorized to retrieve access tokens using this method, or client \
                    not authorized for any of the scopes requested.";
        return Err(OAuthError::unauthorized_client(65_001, text));
    }
    Ok(asked)
}

/// The body of `POST /sandbox/service-accounts`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewServiceAccount {
    pub(crate) client_email: String,
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
}

impl NewServiceAccount {
    /// Makes it, and returns its key file.
    pub(crate) fn create(&self, provider: &Provider) -> Result<Value, SandboxError> {
        let delegated: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        let file = create(provider, &self.client_email, &delegated)?;
        serde_json::from_str(&file).map_err(|_| SandboxError::Key)
    }
}
