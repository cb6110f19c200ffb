-- API keys over HTTP, managed by service accounts.

-- When a key last changed; the rows of before have not since they were made.
ALTER TABLE api_keys ADD COLUMN updated_at BIGINT;

-- The operator's own, not a tenant's. Of its key only the public half is kept.
CREATE TABLE service_accounts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    public_key BYTEA NOT NULL,
    permissions TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

-- Which applications each may act on.
CREATE TABLE service_account_applications (
    application_id TEXT NOT NULL,
    service_account_id TEXT NOT NULL,
    PRIMARY KEY (application_id, service_account_id)
);
CREATE INDEX service_account_applications_account
    ON service_account_applications (service_account_id);

-- Nonces of signed requests, kept longer than their timestamps count: each works once.
CREATE TABLE service_account_nonces (
    service_account_id TEXT NOT NULL,
    nonce TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (service_account_id, nonce)
);
CREATE INDEX service_account_nonces_expires ON service_account_nonces (expires_at);
