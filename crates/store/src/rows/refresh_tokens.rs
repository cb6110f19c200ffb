//! Refresh tokens of Keyway's own.

use crate::arg::{args, json};
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::ids::{ApplicationId, FamilyId, RefreshTokenId};
use keyway_core::issued::RefreshToken;
use keyway_core::time::UnixMillis;

macro_rules! columns {
    () => {
        "id, application_id, grant_id, family_id, digest, audience, scope, public_client, rotates, \
         used_at, last_used_at, family_created_at, created_at"
    };
}

statements! { "refresh_tokens";
    INSERT = concat!("INSERT INTO refresh_tokens (", columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)");
    BY_ID = concat!("SELECT ", columns!(), " FROM refresh_tokens
        WHERE application_id = $1 AND id = $2");
    USE = "UPDATE refresh_tokens SET last_used_at = $3
        WHERE application_id = $1 AND id = $2 AND used_at IS NULL";
    USE_UP = "UPDATE refresh_tokens SET last_used_at = $3, used_at = $3
        WHERE application_id = $1 AND id = $2 AND used_at IS NULL";
    LOCK_FAMILY = "UPDATE refresh_tokens SET last_used_at = last_used_at
        WHERE application_id = $1 AND family_id = $2";
    DELETE_OF_FAMILY = "DELETE FROM refresh_tokens WHERE application_id = $1 AND family_id = $2";
}

fn refresh_token(row: &mut Row) -> Result<RefreshToken, StoreError> {
    Ok(RefreshToken {
        id: row.own_id("id")?,
        application_id: row.parsed("application_id")?,
        grant_id: row.parsed("grant_id")?,
        family_id: row.parsed("family_id")?,
        digest: row.digest("digest")?,
        audience: row.text("audience")?,
        scope: row.json("scope")?,
        public_client: row.flag("public_client")?,
        rotates: row.flag("rotates")?,
        used_at: row.opt_time("used_at")?,
        last_used_at: row.time("last_used_at")?,
        family_created_at: row.time("family_created_at")?,
        created_at: row.time("created_at")?,
    })
}

/// Refresh tokens.
impl Session<'_> {
    /// Stores a new token.
    ///
    /// # Errors
    /// If the id is taken, or the database fails.
    pub async fn insert_refresh_token(&mut self, new: &RefreshToken) -> Result<(), StoreError> {
        let scope = json(&new.scope)?;
        let values = args![
            new.id,
            new.application_id,
            new.grant_id,
            new.family_id,
            new.digest,
            new.audience,
            scope,
            new.public_client,
            new.rotates,
            new.used_at,
            new.last_used_at,
            new.family_created_at,
            new.created_at,
        ];
        self.insert(&INSERT, values).await
    }

    /// A token, live or not.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn refresh_token(
        &mut self,
        application_id: ApplicationId,
        id: RefreshTokenId,
    ) -> Result<Option<RefreshToken>, StoreError> {
        self.one(&BY_ID, args![application_id, id], refresh_token)
            .await
    }

    /// Notes a use; a rotating one is used up by it. `false` if it was used up before: of two uses at
    /// the same moment one wins (rule 9).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn use_refresh_token(
        &mut self,
        application_id: ApplicationId,
        id: RefreshTokenId,
        at: UnixMillis,
        rotated: bool,
    ) -> Result<bool, StoreError> {
        let statement = if rotated { &USE_UP } else { &USE };
        self.wrote(statement, args![application_id, id, at]).await
    }

    /// Waits until nobody else is using a token of the family, and keeps others from it until this
    /// transaction ends: a rotation under way is then either seen whole or has lost. Before removing a
    /// family.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn lock_token_family(
        &mut self,
        application_id: ApplicationId,
        family_id: FamilyId,
    ) -> Result<u64, StoreError> {
        self.execute(&LOCK_FAMILY, args![application_id, family_id])
            .await
    }

    /// Removes all tokens of a family, and says how many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_refresh_tokens_of_family(
        &mut self,
        application_id: ApplicationId,
        family_id: FamilyId,
    ) -> Result<u64, StoreError> {
        self.execute(&DELETE_OF_FAMILY, args![application_id, family_id])
            .await
    }
}
