//! Token sets.

use crate::arg::{args, json};
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::ids::{ApplicationId, GrantId, TokenSetId};
use keyway_core::time::UnixMillis;
use keyway_core::token_set::{TokenSet, TokenSetState};

macro_rules! columns {
    () => {
        "id, application_id, grant_id, credential_id, sign_in_id, provider, state, sealed, \
         has_refresh_token, scope, access_expires_at, consent_key, created_at, updated_at, version"
    };
}

statements! { "token_sets";
    INSERT = concat!("INSERT INTO token_sets (", columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)");
    BY_ID = concat!("SELECT ", columns!(), " FROM token_sets
        WHERE application_id = $1 AND id = $2");
    CURRENT = concat!("SELECT ", columns!(), " FROM token_sets
        WHERE application_id = $1 AND grant_id = $2 AND state = 'current'");
    UPDATE = "UPDATE token_sets SET grant_id = $4, state = $5, sealed = $6, has_refresh_token = $7,
        scope = $8, access_expires_at = $9, consent_key = $10, updated_at = $11,
        version = version + 1
        WHERE application_id = $1 AND id = $2 AND version = $3";
    DELETE = "DELETE FROM token_sets WHERE application_id = $1 AND id = $2";
    LIVE_CONSENTS = "SELECT count(*) FROM token_sets
        WHERE consent_key = $1 AND id <> $2
        AND (state = 'current' OR (state = 'pending' AND created_at > $3))";
    REVOKING = concat!("SELECT ", columns!(), " FROM token_sets WHERE state = 'revoking'
        ORDER BY updated_at, id LIMIT $1");
}

fn token_set(row: &mut Row) -> Result<TokenSet, StoreError> {
    Ok(TokenSet {
        id: row.own_id("id")?,
        application_id: row.parsed("application_id")?,
        grant_id: row.opt_parsed("grant_id")?,
        credential_id: row.parsed("credential_id")?,
        sign_in_id: row.opt_parsed("sign_in_id")?,
        provider: row.parsed("provider")?,
        state: row.word("state", TokenSetState::parse)?,
        sealed: row.sealed("sealed")?,
        has_refresh_token: row.flag("has_refresh_token")?,
        scope: row.json("scope")?,
        access_expires_at: row.opt_time("access_expires_at")?,
        consent_key: row.opt_text("consent_key")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        version: row.int("version")?,
    })
}

/// Token sets.
impl Session<'_> {
    /// Stores a new token set.
    ///
    /// # Errors
    /// If it is a second current one of its grant, or the database fails.
    pub async fn insert_token_set(&mut self, new: &TokenSet) -> Result<(), StoreError> {
        let scope = json(&new.scope)?;
        let values = args![
            new.id,
            new.application_id,
            new.grant_id,
            new.credential_id,
            new.sign_in_id,
            new.provider,
            new.state,
            new.sealed,
            new.has_refresh_token,
            scope,
            new.access_expires_at,
            new.consent_key,
            new.created_at,
            new.updated_at,
            new.version,
        ];
        self.insert(&INSERT, values).await
    }

    /// The token set of that id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn token_set(
        &mut self,
        application_id: ApplicationId,
        id: TokenSetId,
    ) -> Result<Option<TokenSet>, StoreError> {
        self.one(&BY_ID, args![application_id, id], token_set).await
    }

    /// The token set a grant uses.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn current_token_set(
        &mut self,
        application_id: ApplicationId,
        grant_id: GrantId,
    ) -> Result<Option<TokenSet>, StoreError> {
        self.one(&CURRENT, args![application_id, grant_id], token_set)
            .await
    }

    /// Writes grant, state, tokens, scopes, expiry and consent, if the row still has
    /// `expected_version`. Credential, provider and sign-in never change. To replace a grant's
    /// current one, take that out of the state first.
    ///
    /// # Errors
    /// If it is a second current one of its grant, or the database fails.
    pub async fn update_token_set(
        &mut self,
        new: &TokenSet,
        expected_version: i64,
    ) -> Result<bool, StoreError> {
        let scope = json(&new.scope)?;
        let values = args![
            new.application_id,
            new.id,
            expected_version,
            new.grant_id,
            new.state,
            new.sealed,
            new.has_refresh_token,
            scope,
            new.access_expires_at,
            new.consent_key,
            new.updated_at,
        ];
        self.wrote(&UPDATE, values).await
    }

    /// Removes a token set. `false` if there is none such.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_token_set(
        &mut self,
        application_id: ApplicationId,
        id: TokenSetId,
    ) -> Result<bool, StoreError> {
        self.wrote(&DELETE, args![application_id, id]).await
    }

    /// How many other token sets live by the same consent, over all applications: current ones, and
    /// pending ones made after `pending_since`, whose code can still be exchanged. The provider does not
    /// tell them apart (rule 13).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn live_consents(
        &mut self,
        consent_key: &str,
        except: TokenSetId,
        pending_since: UnixMillis,
    ) -> Result<i64, StoreError> {
        self.number(&LIVE_CONSENTS, args![consent_key, except, pending_since])
            .await
    }

    /// Token sets of which the provider is still to be told, over all applications, those whose turn
    /// (`updated_at`) comes first at the head.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn revoking_token_sets(&mut self, limit: i64) -> Result<Vec<TokenSet>, StoreError> {
        self.many(&REVOKING, args![limit], token_set).await
    }
}
