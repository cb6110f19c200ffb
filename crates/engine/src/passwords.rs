//! Passwords of grants: sealed, and bound to their row.

use crate::engine::Engine;
use crate::error::Error;
use keyway_core::account_secret::{AccountSecret, Passwords};
use keyway_core::ids::{AccountSecretId, ApplicationId, GrantId};
use keyway_core::provider::Provider;
use keyway_core::sealed::SealContext;
use keyway_store::SealedColumn;

const fn context(row: &str) -> SealContext<'_> {
    SealContext {
        purpose: SealedColumn::AccountSecrets.as_str(),
        row,
    }
}

impl Engine {
    /// A new row for the passwords of a grant.
    pub(crate) fn new_account_secret(
        &self,
        application_id: ApplicationId,
        grant_id: GrantId,
        provider: Provider,
        passwords: &Passwords,
    ) -> AccountSecret {
        let now = self.now();
        let id = AccountSecretId::generate(now, self.entropy());
        let sealed = self
            .vault()
            .seal(&context(&id.to_string()), &passwords.to_bytes());
        AccountSecret {
            application_id,
            id,
            grant_id,
            provider,
            sealed,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// What opens a grant's account.
    pub(crate) fn open_passwords(&self, secret: &AccountSecret) -> Result<Passwords, Error> {
        let plain = self.open_sealed(&context(&secret.id.to_string()), &secret.sealed)?;
        Passwords::from_bytes(&plain).ok_or_else(|| Error::internal("unreadable passwords"))
    }
}
