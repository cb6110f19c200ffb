//! The slots of credentials' secrets.

use crate::arg::args;
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::credential::{CredentialSecret, SlotState};
use keyway_core::ids::{ApplicationId, CredentialId};
use keyway_core::time::UnixMillis;

macro_rules! columns {
    () => {
        "id, application_id, credential_id, sealed, state, not_before, expires_at, created_at"
    };
}

statements! { "credential_secrets";
    INSERT = concat!("INSERT INTO credential_secrets (", columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    CURRENT = concat!("SELECT ", columns!(), " FROM credential_secrets
        WHERE application_id = $1 AND credential_id = $2 AND state = 'active'
        AND not_before <= $3 AND (expires_at IS NULL OR expires_at > $3)
        ORDER BY created_at DESC, id DESC LIMIT 1");
    RETIRE = "UPDATE credential_secrets SET state = 'retired'
        WHERE application_id = $1 AND credential_id = $2 AND state = 'active'";
}

fn secret(row: &mut Row) -> Result<CredentialSecret, StoreError> {
    Ok(CredentialSecret {
        id: row.own_id("id")?,
        application_id: row.parsed("application_id")?,
        credential_id: row.parsed("credential_id")?,
        sealed: row.sealed("sealed")?,
        state: row.word("state", SlotState::parse)?,
        not_before: row.time("not_before")?,
        expires_at: row.opt_time("expires_at")?,
        created_at: row.time("created_at")?,
    })
}

/// Slots of secrets.
impl Session<'_> {
    /// Stores a new slot.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn insert_credential_secret(
        &mut self,
        new: &CredentialSecret,
    ) -> Result<(), StoreError> {
        let values = args![
            new.id,
            new.application_id,
            new.credential_id,
            new.sealed,
            new.state,
            new.not_before,
            new.expires_at,
            new.created_at,
        ];
        self.insert(&INSERT, values).await
    }

    /// The slot to use at `now`: the newest active one whose time has come and not passed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn current_credential_secret(
        &mut self,
        application_id: ApplicationId,
        credential_id: CredentialId,
        now: UnixMillis,
    ) -> Result<Option<CredentialSecret>, StoreError> {
        self.one(&CURRENT, args![application_id, credential_id, now], secret)
            .await
    }

    /// Retires every active slot of a credential, and says how many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn retire_credential_secrets(
        &mut self,
        application_id: ApplicationId,
        credential_id: CredentialId,
    ) -> Result<u64, StoreError> {
        self.execute(&RETIRE, args![application_id, credential_id])
            .await
    }
}
