//! `tokeninfo`, `revoke`, and the published keys.

use crate::engine::Engine;
use crate::error::{Error, ErrorKind, OAuthError};
use keyway_core::bearer::{BearerKind, looks_like};
use keyway_core::ids::{ApplicationId, FamilyId, GrantId};
use keyway_vault::jwt::verify_own;
use serde_json::{Map, Value, json};

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// This server.
    pub iss: String,
    /// The origin it was given to.
    pub aud: String,
    /// The grant's id.
    pub sub: String,
    /// The grant's address.
    pub email: String,
    /// When it was given, Unix seconds.
    pub iat: i64,
    /// When it ends, Unix seconds.
    pub exp: i64,
    /// Whose it is; for CORS, not for the answer.
    pub application_id: ApplicationId,
}

impl Engine {
    /// What an id_token or an access token says.
    ///
    /// # Errors
    /// `invalid_request` unless exactly one is given; `invalid_token` if it is not live.
    pub async fn token_info(
        &self,
        id_token: Option<&str>,
        access_token: Option<&str>,
    ) -> Result<TokenInfo, OAuthError> {
        let present = |text: Option<&str>| text.filter(|t| !t.is_empty()).map(str::to_owned);
        match (present(id_token), present(access_token)) {
            (Some(token), None) => self.id_token_info(&token).await,
            (None, Some(token)) => self.access_token_info(&token).await,
            _ => Err(OAuthError::invalid_request(
                "Give exactly one of id_token and access_token",
            )),
        }
    }

    /// The same, asked by whoever shows `bearer`, if anything.
    ///
    /// # Errors
    /// As [`Engine::token_info`]; `invalid_token` as well if `bearer` is another application's API key.
    pub async fn token_info_for(
        &self,
        bearer: Option<&str>,
        id_token: Option<&str>,
        access_token: Option<&str>,
    ) -> Result<TokenInfo, OAuthError> {
        let info = self.token_info(id_token, access_token).await?;
        self.refuse_stranger(bearer, info.application_id).await?;
        Ok(info)
    }

    /// A token itself is proof enough here; but a key of another application says that this is none of
    /// its holder's business. What is no good key says nothing.
    async fn refuse_stranger(
        &self,
        bearer: Option<&str>,
        application_id: ApplicationId,
    ) -> Result<(), OAuthError> {
        let Some(bearer) = bearer else { return Ok(()) };
        match self.caller(bearer).await {
            Ok(caller) if caller.application_id != application_id => {
                Err(OAuthError::invalid_token())
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn access_token_info(&self, text: &str) -> Result<TokenInfo, OAuthError> {
        let found = self.find_access_token(text).await?;
        let token = found.filter(|token| self.now() < token.expires_at);
        let token = token.ok_or_else(OAuthError::invalid_token)?;
        let (application_id, grant_id) = (token.application_id, token.grant_id);
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.grant(application_id, grant_id).await }));
        let grant = job.await?.ok_or_else(OAuthError::invalid_token)?;
        Ok(TokenInfo {
            iss: self.settings().issuer.clone(),
            aud: token.audience,
            sub: grant.id.to_string(),
            email: grant.email,
            iat: token.created_at.as_secs(),
            exp: token.expires_at.as_secs(),
            application_id,
        })
    }

    async fn id_token_info(&self, text: &str) -> Result<TokenInfo, OAuthError> {
        let keys = self.public_keys().await?;
        let claims = verify_own(&keys, text, &self.settings().issuer, self.now())
            .map_err(|_| OAuthError::invalid_token())?;
        let sub = text_claim(&claims, "sub");
        let grant_id: GrantId = sub.parse().map_err(|_| OAuthError::invalid_token())?;
        let application_id: ApplicationId = text_claim(&claims, "azp")
            .parse()
            .map_err(|_| OAuthError::invalid_token())?;
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.grant(application_id, grant_id).await }));
        job.await?.ok_or_else(OAuthError::invalid_token)?;
        Ok(TokenInfo {
            iss: text_claim(&claims, "iss"),
            aud: text_claim(&claims, "aud"),
            sub,
            email: text_claim(&claims, "email"),
            iat: claims
                .get("iat")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            exp: claims
                .get("exp")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            application_id,
        })
    }

    /// Ends an access or refresh token and all others of its exchange. The grant and the provider's
    /// tokens stay.
    ///
    /// # Errors
    /// `invalid_request` without a token, `invalid_token` if it is not live.
    pub async fn revoke(&self, token: Option<&str>) -> Result<(), OAuthError> {
        self.revoke_for(None, token).await
    }

    /// The same, asked for by whoever shows `bearer`, if anything.
    ///
    /// # Errors
    /// As [`Engine::revoke`]; `invalid_token` as well if `bearer` is another application's API key.
    pub async fn revoke_for(
        &self,
        bearer: Option<&str>,
        token: Option<&str>,
    ) -> Result<(), OAuthError> {
        let token = token
            .filter(|t| !t.is_empty())
            .ok_or_else(|| OAuthError::invalid_request("Missing required parameter: token"))?;
        let (application_id, family_id) = self.family_of(token).await?;
        self.refuse_stranger(bearer, application_id).await?;
        Ok(self
            .end_family(application_id, family_id, "revoked")
            .await?)
    }

    async fn family_of(&self, text: &str) -> Result<(ApplicationId, FamilyId), OAuthError> {
        if looks_like(BearerKind::RefreshToken, text) {
            let found = self.find_refresh_token(text).await?;
            let token = found.ok_or_else(OAuthError::invalid_token)?;
            return Ok((token.application_id, token.family_id));
        }
        let found = self.find_access_token(text).await?;
        let token = found.filter(|token| self.now() < token.expires_at);
        token
            .map(|t| (t.application_id, t.family_id))
            .ok_or_else(OAuthError::invalid_token)
    }

    /// The keys id_tokens are signed with (RFC 7517, 5).
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn jwks(&self) -> Result<Value, Error> {
        Ok(json!({"keys": *self.public_keys().await?}))
    }
}

fn text_claim(claims: &Map<String, Value>, name: &str) -> String {
    claims
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
