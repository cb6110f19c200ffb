-- Tenants whose administrator is known to have consented, so that the sequence of changes tells of each once. The
-- consent is to the provider application that the credential's client was then.
CREATE TABLE tenant_consents (
    application_id TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    noted_at BIGINT NOT NULL,
    PRIMARY KEY (application_id, credential_id, client_id, tenant)
);
