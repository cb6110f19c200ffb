//! Calls to providers: token endpoint, identity, revocation. Always through the credential a grant or
//! sign-in belongs to (rule 1).

use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::provider_keys::SignatureError;
use crate::proxy::extra_headers;
use crate::refresh::Lasting;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use keyway_core::catalogue::{BodyFormat, ProviderEntry, UserinfoMethod};
use keyway_core::credential::Credential;
use keyway_core::identity::{Claims, Expected, check_claims, primary_email, read_identity};
use keyway_core::oauth::{
    Client, ProviderError, TokenAnswer, TokenGrant, TokenRequest, TokenResponse,
    introspection_request, read_answer_of, token_request,
};
use keyway_core::sign_in::Identity;
use keyway_outbound::{CallError, CallErrorKind, Request, Response, Whose};
use keyway_vault::jwt::decode_unverified;
use secrecy::{ExposeSecret as _, SecretString};
use std::time::Duration;
use url::Url;

/// How long a token endpoint may take: slow providers exist, and hanging up on one that has already
/// rotated a refresh token loses the grant.
pub(crate) const TOKEN_CALL_DEADLINE: Duration = Duration::from_secs(60);
/// How long userinfo may take.
const IDENTITY_CALL_DEADLINE: Duration = Duration::from_secs(20);
/// Largest answer of a token or userinfo endpoint, in bytes.
const ANSWER_MAX_BYTES: usize = 256 * 1024;

/// Why a provider gave no tokens or no identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderFailure {
    /// It refused, in OAuth's words.
    #[error("the provider refused: {}", .0.error)]
    Refused(ProviderError),
    /// It cannot be reached, or does not answer in time.
    #[error("the provider cannot be reached: {0}")]
    Unreachable(#[source] CallError),
    /// It is overloaded or broken, and says so without an OAuth error.
    #[error("the provider answers status {status}")]
    Overloaded {
        /// The HTTP status: 429 or 5xx.
        status: u16,
        /// Its `Retry-After`, in seconds.
        retry_after_secs: Option<i64>,
    },
    /// What it answers makes no sense.
    #[error("the provider's answer makes no sense: {0}")]
    Nonsense(String),
    /// The fault is ours.
    #[error(transparent)]
    Ours(Error),
}

impl From<SignatureError> for ProviderFailure {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::Unreachable(cause) => Self::Unreachable(cause),
            SignatureError::Status(status) if status == 429 || status >= 500 => Self::Overloaded {
                status,
                retry_after_secs: None,
            },
            other => Self::Nonsense(other.to_string()),
        }
    }
}

impl ProviderFailure {
    /// Whether the same call may succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(cause) => {
                cause.whose == Whose::Provider && cause.kind != CallErrorKind::TooLarge
            }
            Self::Overloaded { .. } => true,
            Self::Refused(_) | Self::Nonsense(_) | Self::Ours(_) => false,
        }
    }

    /// Which kind it is, in a word for the log.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::Overloaded { .. } => "overloaded",
            Self::Nonsense(_) => "nonsense",
            Self::Ours(_) => "ours",
        }
    }

    /// One line for the operator; faults of our own are logged where they are answered. A refusal's
    /// description stays out of it: it is the provider's free text.
    pub(crate) fn log(&self, credential: &Credential, during: &'static str) {
        if matches!(self, Self::Ours(_)) {
            return;
        }
        let (fault, credential_id, provider) = (self.kind(), credential.id, credential.provider);
        let status = match self {
            Self::Refused(error) => Some(error.status),
            Self::Overloaded { status, .. } => Some(*status),
            _ => None,
        };
        tracing::warn!(
            %credential_id, %provider, fault, during, status, cause = %self,
            "a provider did not do what was asked"
        );
    }
}

impl Engine {
    /// Exchanges a code or a refresh token through `client`.
    pub(crate) async fn provider_tokens(
        &self,
        entry: &ProviderEntry,
        client: &Client,
        grant: TokenGrant<'_>,
    ) -> Result<TokenResponse, ProviderFailure> {
        let request = token_request(entry, client, grant)
            .map_err(|error| ProviderFailure::Ours(Error::internal(error)))?;
        let answer = self.send_form(request, TOKEN_CALL_DEADLINE).await?;
        let retry_after_secs = answer.retry_after_secs(self.now().as_secs());
        match read_answer_of(entry, answer.status.as_u16(), &answer.body) {
            TokenAnswer::Tokens(tokens) => Ok(*tokens),
            TokenAnswer::Refused(error) => Err(ProviderFailure::Refused(ProviderError {
                retry_after_secs,
                ..error
            })),
            TokenAnswer::Unintelligible { status, .. } if status == 429 || status >= 500 => {
                Err(ProviderFailure::Overloaded {
                    status,
                    retry_after_secs,
                })
            }
            TokenAnswer::Unintelligible { status, why } => {
                Err(ProviderFailure::Nonsense(format!("status {status}, {why}")))
            }
        }
    }

    pub(crate) async fn send_form(
        &self,
        request: TokenRequest,
        deadline: Duration,
    ) -> Result<Response, ProviderFailure> {
        let call = written(&request)
            .with_deadline(deadline)
            .with_max_response_bytes(ANSWER_MAX_BYTES);
        let mut call = with_headers(call, &request.extra_headers);
        if let Some(authorization) = &request.authorization {
            call = call
                .with_authorization(authorization.expose_secret())
                .map_err(|error| ProviderFailure::Ours(Error::internal(error)))?;
        }
        self.inner
            .parts
            .transport
            .send(call)
            .await
            .map_err(ProviderFailure::Unreachable)
    }

    /// Who the tokens belong to: from the id_token where there is one, else from userinfo.
    pub(crate) async fn provider_identity(
        &self,
        entry: &ProviderEntry,
        client: &Client,
        tokens: &TokenResponse,
        nonce: Option<&str>,
    ) -> Result<Identity, ProviderFailure> {
        let id_token = tokens.id_token.as_ref();
        let mut claims = match id_token.filter(|_| entry.issuer.is_some()) {
            Some(token) => self.id_token_claims(entry, client, token, nonce).await?,
            None if nonce.is_some() && entry.expects_id_token() => {
                let why =
                    "no id_token came with the code, so the sign-in's nonce cannot be checked";
                return Err(ProviderFailure::Nonsense(why.to_owned()));
            }
            None => Claims::new(),
        };
        // The token endpoint's own word, which no other answer may stand in for.
        claims.insert("token".to_owned(), tokens.told.clone().into());
        if read_identity(entry, &claims).is_none_or(|identity| identity.key.is_none()) {
            let more = self.userinfo(entry, client, &tokens.access_token).await?;
            same_subject(&claims, &more)?;
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
            self.add_address(entry, &tokens.access_token, &mut claims)
                .await?;
        }
        read_identity(entry, &claims).ok_or_else(|| {
            ProviderFailure::Nonsense(
                "neither id_token nor userinfo holds an e-mail address; the provider application needs the identity scopes"
                    .to_owned(),
            )
        })
    }

    /// The user's primary address, where the provider lists addresses. A list that may not be seen adds none.
    async fn add_address(
        &self,
        entry: &ProviderEntry,
        access_token: &SecretString,
        claims: &mut Claims,
    ) -> Result<(), ProviderFailure> {
        let Some(endpoint) = &entry.email_endpoint else {
            return Ok(());
        };
        let call = as_bearer(reading(parse(endpoint)?), access_token)?;
        let answer = self.read(with_headers(call, &entry.extra_headers)).await?;
        let list = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let Some((email, verified)) = primary_email(&list) {
            claims.insert("email".to_owned(), email.into());
            claims.insert("email_verified".to_owned(), verified.into());
        }
        Ok(())
    }

    async fn id_token_claims(
        &self,
        entry: &ProviderEntry,
        client: &Client,
        token: &SecretString,
        nonce: Option<&str>,
    ) -> Result<Claims, ProviderFailure> {
        let nonsense = |error: &dyn std::fmt::Display| ProviderFailure::Nonsense(error.to_string());
        let token = token.expose_secret();
        let claims = match &entry.jwks_uri {
            Some(uri) => {
                let uri = entry.endpoint(uri, client.tenant.as_deref());
                self.verified_claims(&uri, token).await?
            }
            // It came straight from the token endpoint over TLS (OpenID Connect Core, 3.1.3.7, 6).
            None => decode_unverified(token).map_err(|e| nonsense(&e))?,
        };
        let expected = Expected {
            client_id: &client.client_id,
            tenant: client.tenant.as_deref(),
            nonce,
            now: self.now(),
        };
        check_claims(entry, &claims, expected).map_err(|e| nonsense(&e))?;
        Ok(claims)
    }

    async fn userinfo(
        &self,
        entry: &ProviderEntry,
        client: &Client,
        access_token: &SecretString,
    ) -> Result<Claims, ProviderFailure> {
        let answer = self.userinfo_answer(entry, client, access_token).await?;
        let Some(answer) = answer else {
            return Ok(Claims::new());
        };
        if !answer.status.is_success() {
            let why = format!("userinfo answered status {}", answer.status.as_u16());
            return Err(ProviderFailure::Nonsense(why));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_| ProviderFailure::Nonsense("userinfo is not a JSON object".into()))
    }

    /// What the provider answers when it is asked whose the token is. `None` if it cannot be asked.
    async fn userinfo_answer(
        &self,
        entry: &ProviderEntry,
        client: &Client,
        access_token: &SecretString,
    ) -> Result<Option<Response>, ProviderFailure> {
        let Some(endpoint) = &entry.userinfo_endpoint else {
            return Ok(None);
        };
        if entry.userinfo_method == UserinfoMethod::Introspect {
            let request = introspection_request(entry, client, endpoint, access_token);
            let request = request.map_err(|e| ProviderFailure::Ours(Error::internal(e)))?;
            let answer = self.send_form(request, IDENTITY_CALL_DEADLINE).await?;
            return self.heard(answer).map(Some);
        }
        let url = parse(&entry.endpoint(endpoint, client.tenant.as_deref()))?;
        let mut call = as_bearer(reading(url), access_token)?;
        if entry.userinfo_method == UserinfoMethod::Post {
            call.method = Method::POST;
        }
        if let Some(body) = &entry.userinfo_body {
            call = call.with_header(CONTENT_TYPE, JSON);
            call.body = Bytes::from(body.clone());
        }
        let call = with_headers(call, &entry.extra_headers);
        self.read(call).await.map(Some)
    }

    /// An access token that nothing renews, if the provider still honours it; where that cannot be asked, it is
    /// taken to.
    pub(crate) async fn still_honoured(
        &self,
        entry: &ProviderEntry,
        client: &Client,
        lasting: &Lasting,
    ) -> Result<TokenResponse, ProviderFailure> {
        let Lasting {
            access_token,
            expires_at,
        } = lasting;
        if expires_at.is_some_and(|end| end <= self.now()) {
            return Err(honoured_no_longer("invalid_grant", 400));
        }
        let answer = self.userinfo_answer(entry, client, access_token).await?;
        let status = match &answer {
            None => 200,
            // RFC 7662, 2.2: a token that is good no more is told with status 200.
            Some(answer) if says_inactive(entry, &answer.body) => {
                return Err(honoured_no_longer("invalid_grant", 401));
            }
            Some(answer) => answer.status.as_u16(),
        };
        match status {
            200..300 => Ok(TokenResponse {
                access_token: access_token.clone(),
                refresh_token: None,
                id_token: None,
                scope: None,
                expires_in_secs: None,
                told: Claims::new(),
            }),
            // RFC 7662, 2.3: an introspection endpoint refuses the client so, and not the token.
            401 if entry.userinfo_method == UserinfoMethod::Introspect => {
                Err(honoured_no_longer("invalid_client", status))
            }
            401 => Err(honoured_no_longer("invalid_grant", status)),
            _ => {
                let why = format!("userinfo answered status {status}");
                Err(ProviderFailure::Nonsense(why))
            }
        }
    }

    /// Reads something of the provider's with an access token. An overload is no answer.
    pub(crate) async fn get_as(
        &self,
        url: Url,
        access_token: &SecretString,
    ) -> Result<Response, ProviderFailure> {
        self.read(as_bearer(reading(url), access_token)?).await
    }

    /// Reads something that the provider tells everybody.
    pub(crate) async fn get_openly(&self, url: Url) -> Result<Response, ProviderFailure> {
        self.read(reading(url)).await
    }

    async fn read(&self, call: Request) -> Result<Response, ProviderFailure> {
        let answer = self.inner.parts.transport.send(call).await;
        self.heard(answer.map_err(ProviderFailure::Unreachable)?)
    }

    fn heard(&self, answer: Response) -> Result<Response, ProviderFailure> {
        match answer.status.as_u16() {
            status if status == 429 || status >= 500 => Err(ProviderFailure::Overloaded {
                status,
                retry_after_secs: answer.retry_after_secs(self.now().as_secs()),
            }),
            _ => Ok(answer),
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn parse(endpoint: &str) -> Result<Url, ProviderFailure> {
    Url::parse(endpoint).map_err(|error| ProviderFailure::Ours(Error::internal(error)))
}

/// A token request as its provider reads it.
fn written(request: &TokenRequest) -> Request {
    let members = request.form.iter();
    let members = members.map(|(name, value)| (*name, value.expose_secret()));
    let url = request.url.clone();
    match request.format {
        BodyFormat::Form => Request::post_form(url, members),
        BodyFormat::Json => {
            let object: serde_json::Map<_, _> = members
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            let mut call = Request::new(Method::POST, url).with_header(CONTENT_TYPE, JSON);
            call.body = serde_json::Value::Object(object).to_string().into();
            call
        }
    }
}

fn with_headers(call: Request, pairs: &[(String, String)]) -> Request {
    let headers = extra_headers(pairs).into_iter();
    headers.fold(call, |call, (name, value)| call.with_header(name, value))
}

fn as_bearer(call: Request, access_token: &SecretString) -> Result<Request, ProviderFailure> {
    let authorization = format!("Bearer {}", access_token.expose_secret());
    call.with_authorization(&authorization)
        .map_err(|_| ProviderFailure::Nonsense("an access token no header can hold".into()))
}

fn reading(url: Url) -> Request {
    Request::get(url)
        .with_deadline(IDENTITY_CALL_DEADLINE)
        .with_max_response_bytes(ANSWER_MAX_BYTES)
}

fn honoured_no_longer(error: &str, status: u16) -> ProviderFailure {
    let words = match error {
        "invalid_client" => "the introspection endpoint does not accept the client",
        _ => "the provider no longer honours the access token",
    };
    ProviderFailure::Refused(ProviderError {
        error: error.to_owned(),
        description: Some(words.to_owned()),
        status,
        ..ProviderError::default()
    })
}

fn says_inactive(entry: &ProviderEntry, body: &[u8]) -> bool {
    let claims: Claims = serde_json::from_slice(body).unwrap_or_default();
    entry.userinfo_method == UserinfoMethod::Introspect
        && claims.get("active") == Some(&serde_json::Value::Bool(false))
}

/// A userinfo answer about somebody else must not be used (OpenID Connect Core, 5.3.2).
fn same_subject(id_token: &Claims, userinfo: &Claims) -> Result<(), ProviderFailure> {
    match (id_token.get("sub"), userinfo.get("sub")) {
        (Some(one), Some(other)) if one != other => Err(ProviderFailure::Nonsense(
            "userinfo names another subject than the id_token".into(),
        )),
        _ => Ok(()),
    }
}

/// What `failure` means to an application that brought a token of its own.
pub(crate) fn custom_error(failure: ProviderFailure) -> Error {
    match failure {
        ProviderFailure::Refused(error) => refused_custom(error),
        ProviderFailure::Unreachable(cause) => {
            let what = match cause.kind {
                CallErrorKind::TooLarge => "answer is too large",
                _ => "server does not answer; try again later",
            };
            let message = format!("The provider's {what} ({}).", cause.host);
            Error::new(ErrorKind::ProviderUnavailable, message)
                .retry_after(RETRY_AFTER_SECS)
                .caused_by(cause)
        }
        ProviderFailure::Overloaded {
            status,
            retry_after_secs,
        } => {
            let secs = retry_after(retry_after_secs);
            let message =
                format!("The provider cannot serve this now (status {status}); try again later.");
            Error::new(ErrorKind::ProviderUnavailable, message).retry_after(secs)
        }
        ProviderFailure::Nonsense(why) => Error::new(
            ErrorKind::ProviderUnavailable,
            format!("The provider's answer could not be used: {why}."),
        ),
        ProviderFailure::Ours(error) => error,
    }
}

/// Told to wait so long where an overloaded provider does not say.
const RETRY_AFTER_SECS: u32 = 5;

fn refused_custom(error: ProviderError) -> Error {
    let retry_after = retry_after(error.retry_after_secs);
    let (kind, words) = match error.error.as_str() {
        "unauthorized_client" => (
            ErrorKind::InvalidAuthentication,
            "The provider says this refresh token was issued to another provider application (client) than the credential's. Name the credential_id of the application that minted it.",
        ),
        "invalid_client" | "deleted_client" | "disabled_client" => (
            ErrorKind::InvalidAuthentication,
            "The provider refused the credential's own client id or secret, not the user's token. Mend the credential (see its health) and try again.",
        ),
        "temporarily_unavailable" | "server_error" => (
            ErrorKind::ProviderUnavailable,
            "The provider cannot serve this now; try again later.",
        ),
        _ if error.status == 429 || error.status >= 500 => (
            ErrorKind::ProviderUnavailable,
            "The provider cannot serve this now; try again later.",
        ),
        "invalid_grant" => (
            ErrorKind::InvalidAuthentication,
            "Invalid or revoked refresh token, or one that was issued to another provider application (client) than the credential's.",
        ),
        _ => (
            ErrorKind::InvalidAuthentication,
            "The provider refused the refresh token.",
        ),
    };
    let refused = Error::new(kind, words).with_provider_error(error);
    match kind {
        ErrorKind::ProviderUnavailable => refused.retry_after(retry_after),
        _ => refused,
    }
}

fn retry_after(said_secs: Option<i64>) -> u32 {
    said_secs
        .and_then(|secs| u32::try_from(secs).ok())
        .unwrap_or(RETRY_AFTER_SECS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_on_the_way_to_a_providers_keys_is_not_told_to_tenants() {
        let cause = CallError::new(CallErrorKind::AddressRefused, "keys.example")
            .with_detail("10.1.2.3 is no public address");
        let failure = ProviderFailure::from(SignatureError::Unreachable(cause.clone()));
        let told = custom_error(failure);
        assert!(told.message().contains("keys.example"), "{told}");
        assert!(!told.message().contains("10.1.2.3"), "{told}");
        // The words that sign-ins pass on say no more.
        let words = SignatureError::Unreachable(cause).to_string();
        assert!(
            words.contains("keys.example") && !words.contains("10.1.2.3"),
            "{words}"
        );
    }

    #[test]
    fn keys_that_are_not_given_out_just_now_are_asked_for_again() {
        let of = |status| ProviderFailure::from(SignatureError::Status(status));
        assert!(of(503).is_transient() && of(429).is_transient());
        assert!(!of(404).is_transient());
        let refused = CallError::new(CallErrorKind::AddressRefused, "keys.example");
        assert!(!ProviderFailure::Unreachable(refused).is_transient());
    }
}
