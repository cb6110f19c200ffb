//! `refresh_token` and `client_credentials`: new access tokens for a grant that exists.

use super::issue::FamilyFacts;
use super::{ClientProof, TokenAnswer, TokenParams, required, secret_missing};
use crate::engine::Engine;
use crate::error::OAuthError;
use keyway_core::application::Application;
use keyway_core::grant::Grant;
use keyway_core::ids::GrantId;
use keyway_core::issued::{ACCESS_TOKEN_LIFETIME_SECS, RefreshToken};
use secrecy::SecretString;

fn bad_token() -> OAuthError {
    OAuthError::invalid_grant("The refresh token is unknown, expired, used or revoked")
}

impl Engine {
    pub(super) async fn refresh_access(
        &self,
        params: TokenParams,
    ) -> Result<TokenAnswer, OAuthError> {
        required("client_id", &params.client_id)?;
        required("refresh_token", &params.refresh_token)?;
        // A rotated token must not be lost with the client's connection.
        let engine = self.clone();
        self.finishing(async move { engine.use_refresh_token(&params).await })
            .await?
    }

    async fn use_refresh_token(&self, params: &TokenParams) -> Result<TokenAnswer, OAuthError> {
        let application = self.client_application(params).await?;
        let text = required("refresh_token", &params.refresh_token)?.to_owned();
        let token = self.usable_refresh_token(&application, &text).await?;
        match self.client_proof(application.id, params).await? {
            ClientProof::None if !token.public_client => return Err(secret_missing()),
            _ => {}
        }
        self.check_age(&application, &token)?;
        let grant = self.grant_of(&token).await?;
        let facts = FamilyFacts {
            application_id: token.application_id,
            family_id: token.family_id,
            audience: token.audience.clone(),
            public_client: token.public_client,
            rotates: token.rotates,
            began_at: token.family_created_at,
        };
        self.give_again(&facts, token, &grant, SecretString::from(text))
            .await
    }

    /// A token presented again after it was rotated away has leaked: its whole family ends (RFC 9700,
    /// 4.14.2).
    async fn usable_refresh_token(
        &self,
        application: &Application,
        text: &str,
    ) -> Result<RefreshToken, OAuthError> {
        let found = self.find_refresh_token(text).await?;
        let own = found.filter(|token| token.application_id == application.id);
        let token = own.ok_or_else(bad_token)?;
        if token.used_at.is_some() {
            self.end_family(
                token.application_id,
                token.family_id,
                "refresh_token_reused",
            )
            .await?;
            return Err(bad_token());
        }
        Ok(token)
    }

    fn check_age(&self, application: &Application, token: &RefreshToken) -> Result<(), OAuthError> {
        let now = self.now();
        let settings = &application.additional;
        let over = |limit: Option<i64>, since: keyway_core::time::UnixMillis| {
            limit.is_some_and(|secs| now >= since.plus_secs(secs))
        };
        let absolute = over(
            settings.refresh_token_expiration_absolute,
            token.family_created_at,
        );
        let idle = over(settings.refresh_token_expiration_idle, token.last_used_at);
        if absolute || idle {
            Err(bad_token())
        } else {
            Ok(())
        }
    }

    async fn grant_of(&self, token: &RefreshToken) -> Result<Grant, OAuthError> {
        let (application_id, id) = (token.application_id, token.grant_id);
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.grant(application_id, id).await }));
        job.await?.ok_or_else(bad_token)
    }

    async fn give_again(
        &self,
        facts: &FamilyFacts,
        token: RefreshToken,
        grant: &Grant,
        text: SecretString,
    ) -> Result<TokenAnswer, OAuthError> {
        // Before anything is used up: what comes after the commit must not fail.
        let signer = self.signing_key().await?;
        let access = self.new_access_token(facts, grant.id);
        let rotated = token
            .rotates
            .then(|| self.new_refresh_token(facts, grant.id, grant.scope.clone()));
        let (row, next) = (
            access.row.clone(),
            rotated.as_ref().map(|fresh| fresh.row.clone()),
        );
        let (now, rotates) = (self.now(), token.rotates);
        let used = self
            .store()
            .write(move |s| {
                Box::pin(async move {
                    let won = s
                        .use_refresh_token(token.application_id, token.id, now, rotates)
                        .await?;
                    if won {
                        s.insert_access_token(&row).await?;
                        if let Some(next) = &next {
                            s.insert_refresh_token(next).await?;
                        }
                    }
                    Ok::<_, OAuthError>(won)
                })
            })
            .await?;
        if !used {
            return Err(bad_token());
        }
        let id_token = self.id_token(&signer, grant, &facts.audience, None)?;
        Ok(TokenAnswer {
            access_token: access.secret,
            expires_in: ACCESS_TOKEN_LIFETIME_SECS,
            grant_id: grant.id,
            scope: grant.scope.to_string(),
            email: grant.email.clone(),
            id_token,
            refresh_token: Some(rotated.map_or(text, |fresh| fresh.secret)),
            provider: None,
        })
    }

    pub(super) async fn client_credentials(
        &self,
        params: TokenParams,
    ) -> Result<TokenAnswer, OAuthError> {
        let application = self.client_application(&params).await?;
        required("grant_id", &params.grant_id)?;
        if self.client_proof(application.id, &params).await? == ClientProof::None {
            return Err(OAuthError::invalid_client(
                "Missing required parameter: client_secret",
            ));
        }
        let grant = self.named_grant(&application, &params).await?;
        let facts = FamilyFacts {
            application_id: application.id,
            family_id: self.new_family(),
            audience: self.settings().public_url.origin().ascii_serialization(),
            public_client: false,
            rotates: false,
            began_at: self.now(),
        };
        let signer = self.signing_key().await?;
        let access = self.new_access_token(&facts, grant.id);
        let row = access.row.clone();
        self.store()
            .write(move |s| Box::pin(async move { s.insert_access_token(&row).await }))
            .await?;
        let id_token = self.id_token(&signer, &grant, &facts.audience, None)?;
        Ok(TokenAnswer {
            access_token: access.secret,
            expires_in: ACCESS_TOKEN_LIFETIME_SECS,
            grant_id: grant.id,
            scope: grant.scope.to_string(),
            email: grant.email,
            id_token,
            refresh_token: None,
            provider: None,
        })
    }

    async fn named_grant(
        &self,
        application: &Application,
        params: &TokenParams,
    ) -> Result<Grant, OAuthError> {
        let unknown = || OAuthError::invalid_grant("grant_id names no grant of this application");
        let id: GrantId = required("grant_id", &params.grant_id)?
            .parse()
            .map_err(|_| unknown())?;
        let application_id = application.id;
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.grant(application_id, id).await }));
        job.await?.ok_or_else(unknown)
    }
}
