//! The refresh engine's rows.

use crate::arg::args;
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::ids::{ApplicationId, CredentialId, GrantId};
use keyway_core::provider::Provider;
use keyway_core::time::UnixMillis;
use keyway_core::token_set::{RefreshState, Unheard};

statements! { "refresh_states";
    INSERT = "INSERT INTO refresh_states
        (application_id, grant_id, lease_owner, lease_until, due_at, failures, last_error, unheard, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1) ON CONFLICT (application_id, grant_id) DO NOTHING";
    UPDATE = "UPDATE refresh_states SET lease_owner = $4, lease_until = $5, due_at = $6, failures = $7,
        last_error = $8, unheard = $9, version = version + 1
        WHERE application_id = $1 AND grant_id = $2 AND version = $3";
    BY_GRANT = "SELECT lease_owner, lease_until, due_at, failures, last_error, unheard, version
        FROM refresh_states WHERE application_id = $1 AND grant_id = $2";
    DUE = "SELECT r.application_id AS application_id, r.grant_id AS grant_id,
            t.credential_id AS credential_id, t.provider AS provider
        FROM refresh_states r JOIN token_sets t
            ON t.application_id = r.application_id AND t.grant_id = r.grant_id AND t.state = 'current'
        WHERE r.due_at <= $1 AND (r.lease_until IS NULL OR r.lease_until < $1)
        ORDER BY r.due_at LIMIT $2";
}

/// A grant whose refresh is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueRefresh {
    /// Its application.
    pub application_id: ApplicationId,
    /// The grant.
    pub grant_id: GrantId,
    /// The credential its tokens were issued to.
    pub credential_id: CredentialId,
    /// Their provider.
    pub provider: Provider,
}

fn due_refresh(row: &mut Row) -> Result<DueRefresh, StoreError> {
    Ok(DueRefresh {
        application_id: row.parsed("application_id")?,
        grant_id: row.parsed("grant_id")?,
        credential_id: row.parsed("credential_id")?,
        provider: row.parsed("provider")?,
    })
}

fn refresh_state(row: &mut Row) -> Result<RefreshState, StoreError> {
    Ok(RefreshState {
        lease_owner: row.opt_text("lease_owner")?,
        lease_until: row.opt_time("lease_until")?,
        due_at: row.opt_time("due_at")?,
        failures: row.int("failures")?,
        last_error: row.opt_text("last_error")?,
        unheard: row.opt_word("unheard", Unheard::parse)?,
        version: row.int("version")?,
    })
}

/// Refresh states.
impl Session<'_> {
    /// Writes a grant's refresh state, if it still has `expected_version`; `None` expects that there
    /// is none yet. The version stored is one more than expected, the first 1.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn upsert_refresh_state(
        &mut self,
        application_id: ApplicationId,
        grant_id: GrantId,
        new: &RefreshState,
        expected_version: Option<i64>,
    ) -> Result<bool, StoreError> {
        let unheard = new.unheard.map(Unheard::as_str);
        let Some(expected_version) = expected_version else {
            let values = args![
                application_id,
                grant_id,
                new.lease_owner,
                new.lease_until,
                new.due_at,
                new.failures,
                new.last_error,
                unheard,
            ];
            return self.wrote(&INSERT, values).await;
        };
        let values = args![
            application_id,
            grant_id,
            expected_version,
            new.lease_owner,
            new.lease_until,
            new.due_at,
            new.failures,
            new.last_error,
            unheard,
        ];
        self.wrote(&UPDATE, values).await
    }

    /// A grant's refresh state.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn refresh_state(
        &mut self,
        application_id: ApplicationId,
        grant_id: GrantId,
    ) -> Result<Option<RefreshState>, StoreError> {
        self.one(&BY_GRANT, args![application_id, grant_id], refresh_state)
            .await
    }

    /// Grants of all applications whose refresh is due at `now` and not under way, longest due first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn due_refreshes(
        &mut self,
        now: UnixMillis,
        limit: i64,
    ) -> Result<Vec<DueRefresh>, StoreError> {
        self.many(&DUE, args![now, limit], due_refresh).await
    }
}
