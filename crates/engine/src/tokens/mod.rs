//! Keyway's own OAuth endpoints: token, tokeninfo, revoke, and the keys of its id_tokens.

mod done;
mod exchange;
mod find;
mod info;
mod issue;
mod refresh;

pub use info::TokenInfo;

use crate::engine::Engine;
use crate::error::OAuthError;
use keyway_core::application::Application;
use keyway_core::ids::{ApplicationId, GrantId};
use keyway_core::provider::Provider;
use secrecy::SecretString;

/// The body of a token request, and what came around it. Absent and empty are the same.
#[derive(Clone, Default)]
pub struct TokenParams {
    /// Which of the three grants.
    pub grant_type: Option<String>,
    /// The application.
    pub client_id: Option<String>,
    /// An API key of the application.
    pub client_secret: Option<String>,
    /// A code from the redirect.
    pub code: Option<String>,
    /// The redirect URI of the sign-in.
    pub redirect_uri: Option<String>,
    /// PKCE verifier.
    pub code_verifier: Option<String>,
    /// A refresh token of Keyway's own.
    pub refresh_token: Option<String>,
    /// A grant, for `client_credentials`.
    pub grant_id: Option<String>,
    /// A JWT of the application's identity provider; refused by name.
    pub idp_claims: Option<String>,
    /// What `Authorization: Bearer` carries.
    pub bearer: Option<String>,
}

impl std::fmt::Debug for TokenParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenParams")
            .field("grant_type", &self.grant_type)
            .finish_non_exhaustive()
    }
}

/// What a token request gives.
pub struct TokenAnswer {
    /// The access token.
    pub access_token: SecretString,
    /// Its life in seconds.
    pub expires_in: i64,
    /// The grant it opens.
    pub grant_id: GrantId,
    /// The grant's scopes, separated by spaces.
    pub scope: String,
    /// The grant's address.
    pub email: String,
    /// Who the user is, signed.
    pub id_token: String,
    /// Only for sign-ins with `access_type=offline`.
    pub refresh_token: Option<SecretString>,
    /// Only for the code exchange.
    pub provider: Option<Provider>,
}

impl std::fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenAnswer")
            .field("expires_in", &self.expires_in)
            .field("grant_id", &self.grant_id)
            .field("scope", &self.scope)
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

/// How a client proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientProof {
    /// With an API key of the application.
    Secret,
    /// Not at all; only public clients may.
    None,
}

pub(crate) fn required<'a>(
    name: &'static str,
    value: &'a Option<String>,
) -> Result<&'a str, OAuthError> {
    value
        .as_deref()
        .filter(|v| !v.is_empty())
        .ok_or_else(|| OAuthError::invalid_request(format!("Missing required parameter: {name}")))
}

fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|v| !v.is_empty())
}

impl Engine {
    /// `POST /v3/connect/token`.
    ///
    /// # Errors
    /// In OAuth's form.
    pub async fn token(&self, params: TokenParams) -> Result<TokenAnswer, OAuthError> {
        if given(&params.idp_claims).is_some() {
            return Err(OAuthError::invalid_request(
                "idp_claims: linking an identity provider's users is not built into this server yet; leave it out",
            ));
        }
        match required("grant_type", &params.grant_type)? {
            "authorization_code" => self.exchange_code(params).await,
            "refresh_token" => self.refresh_access(params).await,
            "client_credentials" => self.client_credentials(params).await,
            _ => Err(OAuthError::new(
                "unsupported_grant_type",
                "grant_type must be authorization_code, refresh_token or client_credentials",
            )),
        }
    }

    /// The application `client_id` names.
    pub(crate) async fn client_application(
        &self,
        params: &TokenParams,
    ) -> Result<Application, OAuthError> {
        let unknown = || OAuthError::invalid_client("Unknown client_id");
        let client_id = required("client_id", &params.client_id)?;
        let id: ApplicationId = client_id.parse().map_err(|_| unknown())?;
        let known = self.known_application(id).await?.ok_or_else(unknown)?;
        if known.application.blocked {
            return Err(OAuthError::invalid_client(
                "Application blocked, contact administrator.",
            ));
        }
        Ok(known.application.clone())
    }

    /// Checks `client_secret`, else the API key in `Authorization`. A wrong one is always refused; none
    /// at all is the endpoint's to judge.
    pub(crate) async fn client_proof(
        &self,
        application_id: ApplicationId,
        params: &TokenParams,
    ) -> Result<ClientProof, OAuthError> {
        let Some(secret) = given(&params.client_secret).or_else(|| given(&params.bearer)) else {
            return Ok(ClientProof::None);
        };
        match self.caller(secret).await {
            Ok(caller) if caller.application_id == application_id => Ok(ClientProof::Secret),
            Err(error) if error.kind() == crate::ErrorKind::Unavailable => Err(error.into()),
            // A foreign key and no key at all look alike: neither tells of another application.
            _ => Err(OAuthError::invalid_client(
                "client_secret must be an API key of the application that client_id names",
            )),
        }
    }
}

pub(crate) fn secret_missing() -> OAuthError {
    OAuthError::invalid_client(
        "Missing required parameter: client_secret. It may be left out only with PKCE on a redirect URI of platform js, ios, android or desktop",
    )
}
