//! Tenants whose administrator has consented to a credential's application.

use crate::arg::args;
use crate::error::StoreError;
use crate::session::Session;
use crate::statement::statements;
use keyway_core::credential::TenantConsent;

statements! { "tenant_consents";
    INSERT = "INSERT INTO tenant_consents (application_id, credential_id, client_id, tenant, noted_at)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
}

/// Consents of tenants. They go with their credential.
impl Session<'_> {
    /// Notes a tenant's consent. `false` if it is known already; nothing is written then.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn note_tenant_consent(&mut self, new: &TenantConsent) -> Result<bool, StoreError> {
        let values = args![
            new.application_id,
            new.credential_id,
            new.client_id,
            new.tenant,
            new.noted_at,
        ];
        self.wrote(&INSERT, values).await
    }
}
