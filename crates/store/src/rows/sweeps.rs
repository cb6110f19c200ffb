//! Removing what has had its time, in bounded steps that may be repeated at will.

use crate::arg::args;
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::{Statement, statements};
use keyway_core::ids::{
    ApiKeyId, ApplicationId, CredentialId, GrantId, RefreshTokenId, SignInId, TokenSetId,
};
use keyway_core::time::UnixMillis;
use std::str::FromStr;

statements! { "sweeps";
    SIGN_INS = "DELETE FROM sign_ins WHERE (application_id, id) IN
        (SELECT application_id, id FROM sign_ins WHERE created_at < $1 ORDER BY created_at LIMIT $2)
        RETURNING application_id, id";
    PENDING_TOKEN_SETS = "DELETE FROM token_sets
        WHERE application_id = $1 AND id = $2 AND state = 'pending'";
    ACCESS_TOKENS = "DELETE FROM access_tokens WHERE (application_id, id) IN
        (SELECT application_id, id FROM access_tokens WHERE expires_at <= $1
        ORDER BY expires_at LIMIT $2)";
    REFRESH_TOKENS = "DELETE FROM refresh_tokens WHERE (application_id, id) IN
        (SELECT application_id, id FROM refresh_tokens WHERE used_at < $1
        ORDER BY used_at LIMIT $2)";
    TOKENS_AFTER = "SELECT id FROM refresh_tokens WHERE application_id = $1 AND id > $2
        ORDER BY id LIMIT $3";
    // No index tells which have ended: each would be one more page written by every sign-in.
    ENDED_TOKENS = "DELETE FROM refresh_tokens WHERE application_id = $1 AND id > $2 AND id <= $3
        AND used_at IS NULL AND (family_created_at <= $4 OR last_used_at <= $5)";
    API_KEYS = "DELETE FROM api_keys WHERE (application_id, id) IN
        (SELECT application_id, id FROM api_keys WHERE revoked_at < $1 OR expires_at < $1 LIMIT $2)
        RETURNING application_id, id";
    NONCES = "DELETE FROM service_account_nonces WHERE (service_account_id, nonce) IN
        (SELECT service_account_id, nonce FROM service_account_nonces WHERE expires_at <= $1
        ORDER BY expires_at LIMIT $2)";
    GRANTS_OF_CREDENTIALS = "SELECT g.application_id, g.id FROM credentials c JOIN grants g
        ON g.application_id = c.application_id AND g.credential_id = c.id
        WHERE c.deleted_at < $1 LIMIT $2";
    GRANTS_OF_CONNECTORS = "SELECT g.application_id, g.id FROM connectors k JOIN grants g
        ON g.application_id = k.application_id AND g.connector_id = k.id
        WHERE k.deleted_at < $1 LIMIT $2";
    TOKEN_SETS = "DELETE FROM token_sets WHERE application_id = $1 AND grant_id = $2";
    // A credential goes when no grant names it and no live credential borrows from it.
    CREDENTIALS = "DELETE FROM credentials WHERE (application_id, id) IN
        (SELECT c.application_id, c.id FROM credentials c WHERE c.deleted_at < $1
        AND NOT EXISTS (SELECT 1 FROM grants g
            WHERE g.application_id = c.application_id AND g.credential_id = c.id)
        AND NOT EXISTS (SELECT 1 FROM credentials b
            WHERE b.application_id = c.application_id AND b.connector_id = c.connector_id
            AND b.borrows_from = c.id AND b.deleted_at IS NULL)
        LIMIT $2) RETURNING application_id, id";
    SECRETS = "DELETE FROM credential_secrets WHERE application_id = $1 AND credential_id = $2";
    CONSENTS = "DELETE FROM tenant_consents WHERE application_id = $1 AND credential_id = $2";
    CONNECTORS = "DELETE FROM connectors WHERE (application_id, id) IN
        (SELECT k.application_id, k.id FROM connectors k WHERE k.deleted_at < $1
        AND NOT EXISTS (SELECT 1 FROM grants g
            WHERE g.application_id = k.application_id AND g.connector_id = k.id)
        AND NOT EXISTS (SELECT 1 FROM credentials c
            WHERE c.application_id = k.application_id AND c.connector_id = k.id)
        LIMIT $2)";
    REDIRECT_URIS = "DELETE FROM redirect_uris WHERE (application_id, id) IN
        (SELECT application_id, id FROM redirect_uris WHERE deleted_at < $1 LIMIT $2)";
}

type Key<T> = (ApplicationId, T);

/// Which refresh tokens have ended by their application's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedBefore {
    /// Those whose family was begun then or before.
    pub first_given: Option<UnixMillis>,
    /// Those last used then or before.
    pub last_used: Option<UnixMillis>,
}

/// What [`Session::sweep_deleted`] has removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweptDeleted {
    /// How many rows, those that hang on them not counted.
    pub rows: u64,
    /// Which grants.
    pub grants: Vec<(ApplicationId, GrantId)>,
}

fn key<T: FromStr>(row: &mut Row) -> Result<Key<T>, StoreError> {
    Ok((row.parsed("application_id")?, row.parsed("id")?))
}

/// Sweeps, over all applications.
impl Session<'_> {
    /// Removes at most `limit` sign-ins made before `before`, with their pending token sets.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep_sign_ins(
        &mut self,
        before: UnixMillis,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let gone = self.many(&SIGN_INS, args![before, limit], key).await?;
        for &(application_id, id) in &gone {
            let id: SignInId = id;
            let id = TokenSetId::from_u128(id.as_uuid().as_u128());
            self.execute(&PENDING_TOKEN_SETS, args![application_id, id])
                .await?;
        }
        Ok(gone.len() as u64)
    }

    /// Removes at most `limit` of Keyway's own refresh tokens that were rotated away before `before`;
    /// until then their reuse is recognised.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep_refresh_tokens(
        &mut self,
        before: UnixMillis,
        limit: i64,
    ) -> Result<u64, StoreError> {
        self.execute(&REFRESH_TOKENS, args![before, limit]).await
    }

    /// Looks at the `limit` refresh tokens of an application that come after one, and removes those that have ended
    /// and were not rotated away. After which to go on; `None` if these were the last.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep_ended_refresh_tokens(
        &mut self,
        application_id: ApplicationId,
        after: RefreshTokenId,
        ended: EndedBefore,
        limit: i64,
    ) -> Result<Option<RefreshTokenId>, StoreError> {
        let values = args![application_id, after, limit];
        let found = self.many(&TOKENS_AFTER, values, |row| row.own_id("id"));
        let found: Vec<RefreshTokenId> = found.await?;
        let Some(last) = found.last().copied() else {
            return Ok(None);
        };
        let values = args![
            application_id,
            after,
            last,
            ended.first_given,
            ended.last_used
        ];
        self.execute(&ENDED_TOKENS, values).await?;
        Ok(Some(last).filter(|_| found.len() as u64 >= limit.unsigned_abs()))
    }

    /// Removes at most `limit` API keys that were revoked or expired before `before`, and says which.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep_api_keys(
        &mut self,
        before: UnixMillis,
        limit: i64,
    ) -> Result<Vec<(ApplicationId, ApiKeyId)>, StoreError> {
        self.many(&API_KEYS, args![before, limit], key).await
    }

    /// Removes at most `limit` access tokens that have ended.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep_access_tokens(
        &mut self,
        now: UnixMillis,
        limit: i64,
    ) -> Result<u64, StoreError> {
        self.execute(&ACCESS_TOKENS, args![now, limit]).await
    }

    /// Removes at most `limit` nonces of signed requests whose timestamps have long stopped counting.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep_nonces(&mut self, now: UnixMillis, limit: i64) -> Result<u64, StoreError> {
        self.execute(&NONCES, args![now, limit]).await
    }

    /// Removes what was deleted before `before`: grants of deleted credentials and connectors, then
    /// those themselves, and redirect URIs; of each kind at most `limit`. Says which grants went, for
    /// the sequence of changes (rule 10).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep_deleted(
        &mut self,
        before: UnixMillis,
        limit: i64,
    ) -> Result<SweptDeleted, StoreError> {
        let mut grants = Vec::new();
        for statement in [&GRANTS_OF_CREDENTIALS, &GRANTS_OF_CONNECTORS] {
            grants.extend(self.sweep_grants(statement, before, limit).await?);
        }
        let mut rows = grants.len() as u64;
        rows += self.sweep_credentials(before, limit).await?;
        rows += self.execute(&CONNECTORS, args![before, limit]).await?;
        rows += self.execute(&REDIRECT_URIS, args![before, limit]).await?;
        Ok(SweptDeleted { rows, grants })
    }

    async fn sweep_grants(
        &mut self,
        statement: &Statement,
        before: UnixMillis,
        limit: i64,
    ) -> Result<Vec<Key<GrantId>>, StoreError> {
        let found: Vec<Key<GrantId>> = self.many(statement, args![before, limit], key).await?;
        let mut gone = Vec::new();
        for (application_id, id) in found {
            if self.delete_grant(application_id, id).await? {
                gone.push((application_id, id));
            }
            self.execute(&TOKEN_SETS, args![application_id, id]).await?;
        }
        Ok(gone)
    }

    async fn sweep_credentials(
        &mut self,
        before: UnixMillis,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let gone: Vec<Key<CredentialId>> =
            self.many(&CREDENTIALS, args![before, limit], key).await?;
        for (application_id, id) in &gone {
            for of_it in [&SECRETS, &CONSENTS] {
                self.execute(of_it, args![application_id, id]).await?;
            }
        }
        Ok(gone.len() as u64)
    }
}
