//! Handing a provider's access token to the application, where both sides have agreed to that.

use crate::caller::{Caller, Principal};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use keyway_core::credential::Owner;
use keyway_core::grant::GrantLocator;
use keyway_core::ids::{ApplicationId, CredentialId};
use keyway_core::scope::Scopes;
use keyway_core::time::UnixMillis;
use secrecy::SecretString;

/// A provider's access token on its way out.
pub struct ProviderToken {
    /// The token.
    pub access_token: SecretString,
    /// When it ends; none if it lasts until the provider refuses it.
    pub expires_at: Option<UnixMillis>,
    /// What it is for.
    pub scope: Scopes,
    /// The credential it was issued to.
    pub credential_id: CredentialId,
}

impl std::fmt::Debug for ProviderToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderToken")
            .field("expires_at", &self.expires_at)
            .field("credential_id", &self.credential_id)
            .finish_non_exhaustive()
    }
}

fn denied(message: &'static str) -> Error {
    Error::new(ErrorKind::AccessDenied, message)
}

impl Engine {
    /// A fresh provider token of a grant. That the operator allows it is for the caller to know.
    ///
    /// # Errors
    /// `AccessDenied` if the application's settings do not allow it, or the grant's credential is lent by
    /// the operator: its tokens would speak for the operator's own provider application. Likewise if the token
    /// is an application's own, by a tenant's consent: it opens more accounts than the grant's.
    pub async fn provider_token(
        &self,
        caller: &Caller,
        locator: GrantLocator,
    ) -> Result<ProviderToken, Error> {
        let (application, _) = self.application(caller.application_id).await?;
        if !application.additional.allow_provider_tokens {
            return Err(denied(
                "This application's settings do not allow reading provider tokens; see additional_settings.allow_provider_tokens.",
            ));
        }
        let known = self.shared_grant(&Principal::Key(*caller), locator).await?;
        let grant = &known.grant;
        if !grant.provider.is_oauth() {
            let what = format!("{} accounts have no provider token", grant.provider);
            return Err(Error::new(ErrorKind::InvalidRequest, what));
        }
        self.refuse_lent(grant.application_id, grant.credential_id)
            .await?;
        let token = self.fresh_token(grant).await?;
        // The grant may have moved since it was remembered: what counts is whose this very token is.
        self.refuse_lent(grant.application_id, Some(token.credential_id))
            .await?;
        if token.named_user.is_some() {
            return Err(denied(
                "This grant's token is its application's own and opens the accounts of a whole tenant; it is not handed out. Make the call through /v3/grants/{grant_id}/proxy/.",
            ));
        }
        tracing::info!(
            application_id = %caller.application_id,
            key_id = %caller.key_id,
            grant_id = %known.grant.id,
            "a provider token was handed out"
        );
        Ok(ProviderToken {
            access_token: token.access_token.clone(),
            expires_at: token.expires_at,
            scope: token.scope.clone(),
            credential_id: token.credential_id,
        })
    }

    async fn refuse_lent(
        &self,
        application_id: ApplicationId,
        credential_id: Option<CredentialId>,
    ) -> Result<(), Error> {
        let Some(id) = credential_id else {
            return Ok(());
        };
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.credential(application_id, id).await }));
        match job.await? {
            Some(credential) if credential.owner == Owner::Application => Ok(()),
            Some(_) => Err(denied(
                "This grant's credential is lent by the operator of this server; its tokens are not handed out.",
            )),
            // Deleted a moment ago: whose it was can no longer be told.
            None => Err(denied(
                "This grant's credential was deleted; its tokens are not handed out.",
            )),
        }
    }
}
