-- Passwords of accounts that are opened without a provider application: IMAP and its like. One for each grant.
-- When a grant's next login is due, and who is at it, is in refresh_states, as for provider tokens.
CREATE TABLE account_secrets (
    application_id TEXT NOT NULL,
    id TEXT NOT NULL,
    grant_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (application_id, id)
);
CREATE UNIQUE INDEX account_secrets_grant ON account_secrets (application_id, grant_id);
