//! OAuth messages towards providers: building requests and reading answers (RFC 6749, OpenID Connect
//! Core). Pure: sending them is the transport's work.

use crate::catalogue::{BodyFormat, ClientAuth, ProviderEntry};
use crate::identity::{Claims, told_claims};
use crate::scope::Scopes;
use crate::time::UnixMillis;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::byte_serialize;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

/// An access token without a stated life is taken to live this long, in seconds. RFC 6749, 5.1 only
/// recommends `expires_in`; the providers of the catalogue all give about an hour.
pub const DEFAULT_LIFETIME_SECS: i64 = 3600;
/// No access token is trusted for longer, whatever the provider says, in seconds.
pub const LIFETIME_MAX_SECS: i64 = 90 * 24 * 3600;

/// The `grant_type` of assertions (RFC 7523, 2.1).
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A provider application as a client of the provider.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// Its Microsoft tenant.
    pub tenant: Option<String>,
}

impl Client {
    /// The same provider application in another tenant.
    #[must_use]
    pub fn in_tenant(self, tenant: &str) -> Self {
        Self {
            tenant: Some(tenant.to_owned()),
            ..self
        }
    }

    /// The tenant it is tied to, if it is tied to one.
    #[must_use]
    pub fn own_tenant(&self) -> Option<&str> {
        let tenant = self.tenant.as_deref();
        tenant.filter(|name| !matches!(*name, "common" | "organizations" | "consumers"))
    }
}

/// What an authorization request says.
#[derive(Clone, Debug)]
pub struct AuthorizeRequest<'a> {
    /// The provider application's id.
    pub client_id: &'a str,
    /// Its tenant.
    pub tenant: Option<&'a str>,
    /// Keyway's own callback.
    pub redirect_uri: &'a str,
    /// Scopes, identity included.
    pub scope: &'a Scopes,
    /// The sign-in's handle.
    pub state: &'a str,
    /// Repeated in the id_token.
    pub nonce: &'a str,
    /// S256 challenge of our verifier.
    pub code_challenge: &'a str,
    /// Prefills the provider's page.
    pub login_hint: Option<&'a str>,
    /// Ask for this request's scopes alone, not for formerly granted ones too.
    pub exclude_granted_scopes: bool,
    /// Have the provider ask for the user's consent, whatever was consented to before.
    pub force_consent: bool,
}

/// The provider's endpoint is not a URL: an override in the configuration is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider endpoint {0:?} is not an absolute URL")]
pub struct EndpointError(pub String);

fn parse_endpoint(text: &str) -> Result<Url, EndpointError> {
    Url::parse(text).map_err(|_| EndpointError(text.to_owned()))
}

/// The URL the browser is sent to (RFC 6749, 4.1.1; RFC 7636, 4.3; OpenID Connect Core, 3.1.2.1).
///
/// # Errors
/// If the entry's endpoint is no URL.
pub fn authorize_url(
    entry: &ProviderEntry,
    request: &AuthorizeRequest<'_>,
) -> Result<Url, EndpointError> {
    let endpoint = entry.endpoint(&entry.authorization_endpoint, request.tenant);
    let mut url = parse_endpoint(&endpoint)?;
    let mut query = url.query_pairs_mut();
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", request.client_id)
        .append_pair("redirect_uri", request.redirect_uri)
        .append_pair("state", request.state);
    if entry.issuer.is_some() {
        query.append_pair("nonce", request.nonce);
    }
    if entry.pkce {
        query
            .append_pair("code_challenge", request.code_challenge)
            .append_pair("code_challenge_method", "S256");
    }
    if !request.scope.is_empty() {
        let separator = entry.scope_separator.to_string();
        query.append_pair(&entry.scope_param, &request.scope.joined(&separator));
    }
    if let Some(hint) = request.login_hint {
        query.append_pair("login_hint", hint);
    }
    let consent = entry.consent_param.as_ref();
    let consent = consent.filter(|_| request.force_consent);
    let habits = entry.authorize_params.iter();
    // A parameter given twice may count as neither (RFC 6749, 3.1).
    let habits = habits.filter(|(name, _)| consent.is_none_or(|(forced, _)| name != forced));
    for (name, value) in habits.chain(consent) {
        query.append_pair(name, value);
    }
    let incremental = entry.incremental_param.as_ref();
    if let Some((name, value)) = incremental.filter(|_| !request.exclude_granted_scopes) {
        query.append_pair(name, value);
    }
    drop(query);
    Ok(url)
}

/// What is exchanged at the token endpoint.
#[derive(Clone, Copy, Debug)]
pub enum TokenGrant<'a> {
    /// A provider's code (RFC 6749, 4.1.3).
    AuthorizationCode {
        /// The code.
        code: &'a SecretString,
        /// Repeats the authorization request's.
        redirect_uri: &'a str,
        /// Our PKCE verifier, where the sign-in had one.
        code_verifier: Option<&'a str>,
    },
    /// A refresh token (RFC 6749, 6).
    RefreshToken {
        /// The token.
        refresh_token: &'a SecretString,
        /// For providers that ask for it.
        redirect_uri: &'a str,
    },
    /// A service account's assertion, which proves itself (RFC 7523, 2.1).
    Assertion {
        /// The signed token.
        assertion: &'a SecretString,
    },
    /// The application's own access (RFC 6749, 4.4).
    ClientCredentials {
        /// The scope.
        scope: &'a str,
    },
}

/// A request to a token, revocation or introspection endpoint, ready to send. Its `Debug` shows no values.
pub struct TokenRequest {
    /// Where to.
    pub url: Url,
    /// The members of the body.
    pub form: Vec<(&'static str, SecretString)>,
    /// How the body is written.
    pub format: BodyFormat,
    /// Headers that the provider wants to see.
    pub extra_headers: Vec<(String, String)>,
    /// The `Authorization` header, where the client proves itself so.
    pub authorization: Option<SecretString>,
}

impl std::fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.form.iter().map(|(name, _)| *name).collect();
        f.debug_struct("TokenRequest")
            .field("host", &self.url.host_str())
            .field("form", &names)
            .finish_non_exhaustive()
    }
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn grant_form(entry: &ProviderEntry, grant: TokenGrant<'_>) -> Vec<(&'static str, SecretString)> {
    match grant {
        TokenGrant::AuthorizationCode {
            code,
            redirect_uri,
            code_verifier,
        } => {
            let mut form = vec![
                ("grant_type", secret("authorization_code")),
                ("code", code.clone()),
                ("redirect_uri", secret(redirect_uri)),
            ];
            let verifier = code_verifier.filter(|_| entry.pkce);
            form.extend(verifier.map(|verifier| ("code_verifier", secret(verifier))));
            form
        }
        TokenGrant::RefreshToken {
            refresh_token,
            redirect_uri,
        } => {
            let mut form = vec![
                ("grant_type", secret("refresh_token")),
                ("refresh_token", refresh_token.clone()),
            ];
            if entry.refresh_needs_redirect_uri {
                form.push(("redirect_uri", secret(redirect_uri)));
            }
            form
        }
        TokenGrant::Assertion { assertion } => {
            vec![
                ("grant_type", secret(JWT_BEARER)),
                ("assertion", assertion.clone()),
            ]
        }
        TokenGrant::ClientCredentials { scope } => {
            vec![
                ("grant_type", secret("client_credentials")),
                ("scope", secret(scope)),
            ]
        }
    }
}

/// `Basic` with both halves form-encoded first, as RFC 6749, 2.3.1 asks.
fn basic(client: &Client) -> SecretString {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!(
        "{}:{}",
        encode(&client.client_id),
        encode(client.client_secret.expose_secret())
    );
    SecretString::from(format!("Basic {}", STANDARD.encode(pair)))
}

fn prove(entry: &ProviderEntry, client: &Client, request: &mut TokenRequest) {
    match entry.client_auth {
        ClientAuth::Basic => request.authorization = Some(basic(client)),
        ClientAuth::Post => {
            request.form.push(("client_id", secret(&client.client_id)));
            request
                .form
                .push(("client_secret", client.client_secret.clone()));
        }
    }
}

/// A token request of `client`.
///
/// # Errors
/// If the entry's endpoint is no URL.
pub fn token_request(
    entry: &ProviderEntry,
    client: &Client,
    grant: TokenGrant<'_>,
) -> Result<TokenRequest, EndpointError> {
    let form = grant_form(entry, grant);
    let mut request = unproved(entry, client, &entry.token_endpoint, form)?;
    if !matches!(grant, TokenGrant::Assertion { .. }) {
        prove(entry, client, &mut request);
    }
    Ok(request)
}

/// A request to `endpoint` in which nobody says who asks.
fn unproved(
    entry: &ProviderEntry,
    client: &Client,
    endpoint: &str,
    form: Vec<(&'static str, SecretString)>,
) -> Result<TokenRequest, EndpointError> {
    let endpoint = entry.endpoint(endpoint, client.tenant.as_deref());
    Ok(TokenRequest {
        url: parse_endpoint(&endpoint)?,
        form,
        format: entry.token_request,
        extra_headers: entry.extra_headers.clone(),
        authorization: None,
    })
}

/// A revocation request (RFC 7009, 2.1), or `None` where the provider has no such endpoint.
///
/// # Errors
/// If the entry's endpoint is no URL.
pub fn revocation_request(
    entry: &ProviderEntry,
    client: &Client,
    token: &SecretString,
) -> Result<Option<TokenRequest>, EndpointError> {
    let Some(endpoint) = &entry.revocation_endpoint else {
        return Ok(None);
    };
    let form = vec![("token", token.clone())];
    let mut request = unproved(entry, client, endpoint, form)?;
    prove(entry, client, &mut request);
    Ok(Some(request))
}

/// A request for what `endpoint` knows of a token (RFC 7662, 2.1).
///
/// # Errors
/// If the endpoint is no URL.
pub fn introspection_request(
    entry: &ProviderEntry,
    client: &Client,
    endpoint: &str,
    token: &SecretString,
) -> Result<TokenRequest, EndpointError> {
    let hint = secret("access_token");
    let form = vec![("token", token.clone()), ("token_type_hint", hint)];
    let mut request = unproved(entry, client, endpoint, form)?;
    prove(entry, client, &mut request);
    Ok(request)
}

/// Tokens a provider gave.
#[derive(Clone, Debug)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: SecretString,
    /// The refresh token; at a refresh, absent means the old one stays.
    pub refresh_token: Option<SecretString>,
    /// The id_token, unchecked.
    pub id_token: Option<SecretString>,
    /// Scopes, if the provider said which.
    pub scope: Option<Scopes>,
    /// Life of the access token in seconds, made plausible; none where it lasts until it is refused.
    pub expires_in_secs: Option<i64>,
    /// What the answer tells beside, of all that the entry's claims lead to.
    pub told: Claims,
}

impl TokenResponse {
    /// When the access token ends, if it does by itself.
    #[must_use]
    pub fn expires_at(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.expires_in_secs.map(|secs| now.plus_secs(secs))
    }
}

/// A provider's refusal, in its own words (RFC 6749, 5.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderError {
    /// `error`, such as `invalid_grant`.
    pub error: String,
    /// `error_description`, shortened and without control characters.
    pub description: Option<String>,
    /// `error_subtype` (Google) or `suberror` (Microsoft).
    pub subtype: Option<String>,
    /// Microsoft's numbers.
    pub codes: Vec<i64>,
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, in seconds, where the provider asks for patience.
    pub retry_after_secs: Option<i64>,
}

/// What a token endpoint answered.
#[derive(Clone, Debug)]
pub enum TokenAnswer {
    /// Tokens.
    Tokens(Box<TokenResponse>),
    /// A refusal in OAuth's form.
    Refused(ProviderError),
    /// Neither: a fault of the provider's, or of something in between.
    Unintelligible {
        /// The HTTP status.
        status: u16,
        /// What was wrong with it.
        why: &'static str,
    },
}

#[derive(Deserialize)]
struct RawTokens {
    access_token: Option<String>,
    refresh_token: Option<String>,
    id_token: Option<String>,
    scope: Option<Value>,
    expires_in: Option<Value>,
}

#[derive(Deserialize)]
struct RawError {
    error: Option<Value>,
    error_description: Option<String>,
    reason: Option<String>,
    error_subtype: Option<String>,
    suberror: Option<String>,
    #[serde(default)]
    error_codes: Vec<i64>,
}

/// Reads a token endpoint's answer in the form of RFC 6749. Unknown members are ignored (5.1).
#[must_use]
pub fn read_token_answer(status: u16, body: &[u8]) -> TokenAnswer {
    if (200..300).contains(&status) {
        return read_tokens(status, body);
    }
    match read_refusal(status, body) {
        Some(error) => TokenAnswer::Refused(error),
        None => TokenAnswer::Unintelligible {
            status,
            why: "an error without an OAuth error body",
        },
    }
}

/// Reads an answer of the token endpoint of `entry`: tokens where that provider puts them, and lives as it
/// tells them.
#[must_use]
pub fn read_answer_of(entry: &ProviderEntry, status: u16, body: &[u8]) -> TokenAnswer {
    if !entry.has_own_answers() {
        return read_token_answer(status, body);
    }
    let Ok(Value::Object(whole)) = serde_json::from_slice::<Value>(body) else {
        return read_token_answer(status, body);
    };
    let name = entry.token_member.as_deref();
    let member = name.and_then(|name| whole.get(name));
    // A refresh is answered without the member by some, with the tokens at the top.
    let member = member.filter(|member| member.get("access_token").is_some());
    let answer = match member.and_then(|member| serde_json::to_vec(member).ok()) {
        Some(inner) => read_token_answer(status, &Zeroizing::new(inner)),
        None => read_token_answer(status, body),
    };
    let TokenAnswer::Tokens(mut tokens) = answer else {
        return answer;
    };
    tokens.told = told_claims(entry, &whole);
    let says_when = member.map_or_else(|| whole.get("expires_in"), |m| m.get("expires_in"));
    if !entry.refresh_tokens && says_when.is_none_or(Value::is_null) {
        tokens.expires_in_secs = None;
    }
    TokenAnswer::Tokens(tokens)
}

fn read_refusal(status: u16, body: &[u8]) -> Option<ProviderError> {
    let raw = serde_json::from_slice::<RawError>(body).ok()?;
    read_error(status, raw)
}

fn read_tokens(status: u16, body: &[u8]) -> TokenAnswer {
    let Ok(raw) = serde_json::from_slice::<RawTokens>(body) else {
        return TokenAnswer::Unintelligible {
            status,
            why: "an answer that is not a JSON object",
        };
    };
    let Some(access_token) = raw.access_token.filter(|t| !t.is_empty()) else {
        // Some providers refuse with status 200.
        let refused = read_refusal(status, body).map(TokenAnswer::Refused);
        return refused.unwrap_or(TokenAnswer::Unintelligible {
            status,
            why: "an answer without access_token",
        });
    };
    let present = |token: Option<String>| token.filter(|t| !t.is_empty()).map(SecretString::from);
    TokenAnswer::Tokens(Box::new(TokenResponse {
        access_token: SecretString::from(access_token),
        refresh_token: present(raw.refresh_token),
        id_token: present(raw.id_token),
        scope: raw.scope.as_ref().and_then(read_scope),
        expires_in_secs: Some(read_lifetime(raw.expires_in.as_ref())),
        told: Claims::new(),
    }))
}

/// A string by RFC 6749; some providers send an array.
fn read_scope(value: &Value) -> Option<Scopes> {
    match value {
        Value::String(text) => Some(Scopes::parse_lenient(text)),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            Some(Scopes::parse_lenient(&items.join(" ")))
        }
        _ => None,
    }
}

/// Seconds, as a number or a quoted number. Absent and absurd values become plausible ones: of a token that
/// is over when it is given, nothing else can be meant than that the provider does not say.
fn read_lifetime(value: Option<&Value>) -> i64 {
    let seconds = value.and_then(|v| {
        v.as_i64()
            .or_else(|| v.as_str().and_then(|text| text.trim().parse().ok()))
            .or_else(|| v.as_u64().map(|_| i64::MAX))
    });
    seconds
        .filter(|s| *s > 0)
        .map_or(DEFAULT_LIFETIME_SECS, |s| s.min(LIFETIME_MAX_SECS))
}

fn read_error(status: u16, raw: RawError) -> Option<ProviderError> {
    let error = match raw.error? {
        Value::String(text) if !text.is_empty() => clean(&text, 100),
        // Some APIs answer {"error": {"status": …}}: not OAuth.
        _ => return None,
    };
    Some(ProviderError {
        error,
        description: raw
            .error_description
            .or(raw.reason)
            .map(|text| clean(&text, 500)),
        subtype: raw
            .error_subtype
            .or(raw.suberror)
            .map(|text| clean(&text, 100)),
        codes: raw.error_codes.into_iter().take(16).collect(),
        status,
        retry_after_secs: None,
    })
}

/// Whether a character shows itself and nothing else: no control character, and none that breaks a line or
/// turns the direction of what follows, so that it reads as something else (Unicode TR 36, 2.9).
#[must_use]
pub fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A provider's text made safe to show and log: printable, on one line, not long.
#[must_use]
pub fn clean(text: &str, max_chars: usize) -> String {
    let printable = |c: char| if is_printable(c) { c } else { ' ' };
    text.chars()
        .take(max_chars)
        .map(printable)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
#[path = "oauth_tests.rs"]
mod tests;
