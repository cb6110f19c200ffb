//! Used sign-ins. Each step can be taken once; of two takers one wins (rule 9).

use crate::arg::args;
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::ids::{ApplicationId, FamilyId, SignInId, TokenSetId};
use keyway_core::sealed::{Digest, Sealed};
use keyway_core::sign_in::{SignIn, SignInStatus};
use keyway_core::time::UnixMillis;

macro_rules! columns {
    () => {
        "id, application_id, credential_id, status, code_digest, outcome, family_id, \
         code_expires_at, created_at"
    };
}

statements! { "sign_ins";
    INSERT = concat!("INSERT INTO sign_ins (", columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    COMPLETE = "UPDATE sign_ins SET status = 'completed', code_digest = $3, outcome = $4,
        code_expires_at = $5
        WHERE application_id = $1 AND id = $2 AND status = 'consumed'";
    FAIL = "UPDATE sign_ins SET status = 'failed'
        WHERE application_id = $1 AND id = $2 AND status = 'consumed'";
    BY_ID = concat!("SELECT ", columns!(), " FROM sign_ins WHERE application_id = $1 AND id = $2");
    DELETE_PENDING = "DELETE FROM token_sets
        WHERE application_id = $1 AND id = $2 AND state = 'pending'";
    CONSUME_CODE = "UPDATE sign_ins SET status = 'exchanged', family_id = $3, outcome = NULL
        WHERE application_id = $1 AND id = $2 AND status = 'completed'";
    BURN_CODE = "UPDATE sign_ins SET status = 'failed', outcome = NULL
        WHERE application_id = $1 AND id = $2 AND status = 'completed'";
}

fn sign_in(row: &mut Row) -> Result<SignIn, StoreError> {
    Ok(SignIn {
        id: row.own_id("id")?,
        application_id: row.parsed("application_id")?,
        credential_id: row.opt_parsed("credential_id")?,
        status: row.word("status", SignInStatus::parse)?,
        code_digest: row.opt_digest("code_digest")?,
        outcome: row.opt_sealed("outcome")?,
        family_id: row.opt_parsed("family_id")?,
        code_expires_at: row.opt_time("code_expires_at")?,
        created_at: row.time("created_at")?,
    })
}

/// Sign-ins.
impl Session<'_> {
    /// Uses up a sign-in.
    ///
    /// # Errors
    /// [`crate::Constraint::SignIn`] if it was used before; or if the database fails.
    pub async fn insert_sign_in(&mut self, new: &SignIn) -> Result<(), StoreError> {
        let values = args![
            new.id,
            new.application_id,
            new.credential_id,
            new.status,
            new.code_digest,
            new.outcome,
            new.family_id,
            new.code_expires_at,
            new.created_at,
        ];
        self.insert(&INSERT, values).await
    }

    /// From consumed to completed: the provider has answered, and a code waits.
    ///
    /// # Errors
    /// If the code is taken, or the database fails.
    pub async fn complete_sign_in(
        &mut self,
        application_id: ApplicationId,
        id: SignInId,
        code: &Digest,
        outcome: &Sealed,
        code_expires_at: UnixMillis,
    ) -> Result<bool, StoreError> {
        let values = args![application_id, id, code, outcome, code_expires_at];
        self.wrote(&COMPLETE, values).await
    }

    /// From consumed to failed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn fail_sign_in(
        &mut self,
        application_id: ApplicationId,
        id: SignInId,
    ) -> Result<bool, StoreError> {
        self.wrote(&FAIL, args![application_id, id]).await
    }

    /// A used sign-in, whatever became of it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sign_in(
        &mut self,
        application_id: ApplicationId,
        id: SignInId,
    ) -> Result<Option<SignIn>, StoreError> {
        self.one(&BY_ID, args![application_id, id], sign_in).await
    }

    /// From completed to exchanged, for the tokens of `family_id`. Only the first to call wins.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn consume_code(
        &mut self,
        application_id: ApplicationId,
        id: SignInId,
        family_id: FamilyId,
    ) -> Result<bool, StoreError> {
        self.wrote(&CONSUME_CODE, args![application_id, id, family_id])
            .await
    }

    /// From completed to failed: the code was presented wrongly and works no more. Its pending token
    /// set goes with it: nothing can make it a grant's.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn burn_code(
        &mut self,
        application_id: ApplicationId,
        id: SignInId,
    ) -> Result<bool, StoreError> {
        let burnt = self.wrote(&BURN_CODE, args![application_id, id]).await?;
        if burnt {
            let pending = TokenSetId::from_u128(id.as_uuid().as_u128());
            self.execute(&DELETE_PENDING, args![application_id, pending])
                .await?;
        }
        Ok(burnt)
    }
}
