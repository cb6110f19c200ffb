//! Making access tokens, refresh tokens and id_tokens.

use crate::engine::{ChangeOf, Engine};
use crate::error::{Error, OAuthError};
use keyway_core::bearer::{BearerKind, new_named};
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::grant::Grant;
use keyway_core::ids::{AccessTokenId, ApplicationId, FamilyId, RefreshTokenId};
use keyway_core::issued::{ACCESS_TOKEN_LIFETIME_SECS, AccessToken, RefreshToken};
use keyway_core::sealed::DigestKind;
use keyway_core::sign_in::Identity;
use keyway_core::time::UnixMillis;
use keyway_vault::jwt::SigningKey;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

/// What the tokens of one exchange share.
#[derive(Clone)]
pub(crate) struct FamilyFacts {
    pub(crate) application_id: ApplicationId,
    pub(crate) family_id: FamilyId,
    pub(crate) audience: String,
    pub(crate) public_client: bool,
    pub(crate) rotates: bool,
    pub(crate) began_at: UnixMillis,
}

/// A new value and its row, whose grant is filled in when it is known.
pub(crate) struct Fresh<T> {
    pub(crate) secret: SecretString,
    pub(crate) row: T,
}

impl Engine {
    pub(crate) fn new_family(&self) -> FamilyId {
        FamilyId::generate(self.now(), self.entropy())
    }

    pub(crate) fn new_access_token(
        &self,
        facts: &FamilyFacts,
        grant_id: keyway_core::ids::GrantId,
    ) -> Fresh<AccessToken> {
        let now = self.now();
        let id = AccessTokenId::generate(now, self.entropy());
        let (kind, application_id) = (BearerKind::AccessToken, facts.application_id);
        let secret = new_named(kind, application_id, id.as_uuid(), self.entropy());
        let digest = self
            .vault()
            .digest(DigestKind::AccessToken, secret.expose_secret().as_bytes());
        let row = AccessToken {
            id,
            application_id: facts.application_id,
            grant_id,
            family_id: facts.family_id,
            digest,
            audience: facts.audience.clone(),
            expires_at: now.plus_secs(ACCESS_TOKEN_LIFETIME_SECS),
            created_at: now,
        };
        Fresh { secret, row }
    }

    pub(crate) fn new_refresh_token(
        &self,
        facts: &FamilyFacts,
        grant: keyway_core::ids::GrantId,
        scope: keyway_core::scope::Scopes,
    ) -> Fresh<RefreshToken> {
        let now = self.now();
        let id = RefreshTokenId::generate(now, self.entropy());
        let (kind, application_id) = (BearerKind::RefreshToken, facts.application_id);
        let secret = new_named(kind, application_id, id.as_uuid(), self.entropy());
        let digest = self
            .vault()
            .digest(DigestKind::RefreshToken, secret.expose_secret().as_bytes());
        let row = RefreshToken {
            id,
            application_id: facts.application_id,
            grant_id: grant,
            family_id: facts.family_id,
            digest,
            audience: facts.audience.clone(),
            scope,
            public_client: facts.public_client,
            rotates: facts.rotates,
            used_at: None,
            last_used_at: now,
            family_created_at: facts.began_at,
            created_at: now,
        };
        Fresh { secret, row }
    }

    /// Who the user is, for the application: signed by this server (OpenID Connect Core, 2).
    pub(crate) fn id_token(
        &self,
        signer: &SigningKey,
        grant: &Grant,
        audience: &str,
        identity: Option<&Identity>,
    ) -> Result<String, OAuthError> {
        let claims = self.own_claims(grant, audience, identity);
        signer
            .sign(&claims)
            .map_err(|error| Error::internal(error).into())
    }

    fn own_claims(
        &self,
        grant: &Grant,
        audience: &str,
        identity: Option<&Identity>,
    ) -> Map<String, Value> {
        let now = self.now().as_secs();
        let mut claims = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                claims.insert(name.to_owned(), value);
            }
        };
        put("iss", Some(json!(self.settings().issuer)));
        put("aud", Some(json!(audience)));
        // The client it was issued to (OpenID Connect Core, 2): `aud` is an origin, as upstream's is.
        put("azp", Some(json!(grant.application_id)));
        put("sub", Some(json!(grant.id)));
        put("iat", Some(json!(now)));
        put("exp", Some(json!(now + ACCESS_TOKEN_LIFETIME_SECS)));
        put("email", Some(json!(grant.email)));
        put("provider", Some(json!(grant.provider.as_str())));
        put("name", grant.name.as_ref().map(|v| json!(v)));
        if let Some(identity) = identity {
            put("email_verified", identity.email_verified.map(|v| json!(v)));
            put("given_name", identity.given_name.as_ref().map(|v| json!(v)));
            put(
                "family_name",
                identity.family_name.as_ref().map(|v| json!(v)),
            );
            put("picture", identity.picture.as_ref().map(|v| json!(v)));
        }
        claims
    }

    /// Ends every token of a family: a replayed code, a reused refresh token, a revocation.
    pub(crate) async fn end_family(
        &self,
        application_id: ApplicationId,
        family_id: FamilyId,
        why: &'static str,
    ) -> Result<(), Error> {
        let now = self.now();
        self.commit(move |s| {
            Box::pin(async move {
                // A rotation under way is waited for, so that what it gives ends as well.
                s.lock_token_family(application_id, family_id).await?;
                s.delete_access_tokens_of_family(application_id, family_id)
                    .await?;
                s.delete_refresh_tokens_of_family(application_id, family_id)
                    .await?;
                Ok(((), vec![family_change(application_id, family_id, why, now)]))
            })
        })
        .await
    }
}

fn family_change(
    application_id: ApplicationId,
    family_id: FamilyId,
    why: &'static str,
    at: UnixMillis,
) -> NewChange {
    let change = ChangeOf {
        application_id,
        entity: Entity::TokenFamily,
        id: &family_id,
        action: Action::Revoked,
        actor: "engine",
    };
    change.with(at, json!({"why": why}))
}
