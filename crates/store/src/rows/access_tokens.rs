//! Access tokens of Keyway's own.

use crate::arg::args;
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::ids::{AccessTokenId, ApplicationId, FamilyId};
use keyway_core::issued::AccessToken;

macro_rules! columns {
    () => {
        "id, application_id, grant_id, family_id, digest, audience, expires_at, created_at"
    };
}

statements! { "access_tokens";
    INSERT = concat!("INSERT INTO access_tokens (", columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    BY_ID = concat!("SELECT ", columns!(), " FROM access_tokens
        WHERE application_id = $1 AND id = $2");
    DELETE_OF_FAMILY = "DELETE FROM access_tokens WHERE application_id = $1 AND family_id = $2";
}

fn access_token(row: &mut Row) -> Result<AccessToken, StoreError> {
    Ok(AccessToken {
        id: row.own_id("id")?,
        application_id: row.parsed("application_id")?,
        grant_id: row.parsed("grant_id")?,
        family_id: row.parsed("family_id")?,
        digest: row.digest("digest")?,
        audience: row.text("audience")?,
        expires_at: row.time("expires_at")?,
        created_at: row.time("created_at")?,
    })
}

/// Access tokens.
impl Session<'_> {
    /// Stores a new token.
    ///
    /// # Errors
    /// If the id is taken, or the database fails.
    pub async fn insert_access_token(&mut self, new: &AccessToken) -> Result<(), StoreError> {
        let values = args![
            new.id,
            new.application_id,
            new.grant_id,
            new.family_id,
            new.digest,
            new.audience,
            new.expires_at,
            new.created_at,
        ];
        self.insert(&INSERT, values).await
    }

    /// A token, live or not.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn access_token(
        &mut self,
        application_id: ApplicationId,
        id: AccessTokenId,
    ) -> Result<Option<AccessToken>, StoreError> {
        self.one(&BY_ID, args![application_id, id], access_token)
            .await
    }

    /// Removes all tokens of a family, and says how many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_access_tokens_of_family(
        &mut self,
        application_id: ApplicationId,
        family_id: FamilyId,
    ) -> Result<u64, StoreError> {
        self.execute(&DELETE_OF_FAMILY, args![application_id, family_id])
            .await
    }
}
