-- The first schema. One text for both databases: a line that begins with "-- sqlite:" or
-- "-- postgres:" counts on that database only. Ids are UUIDs as text, times are milliseconds since the
-- epoch, JSON is text, flags are 0 or 1. Secrets are sealed bytes or keyed digests, always.

CREATE TABLE applications (
    id TEXT NOT NULL PRIMARY KEY,
    organization_id TEXT NOT NULL,
    name TEXT NOT NULL,
    region TEXT NOT NULL,
    environment TEXT NOT NULL,
    profile TEXT NOT NULL,
    additional TEXT NOT NULL,
    blocked BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX applications_created ON applications (created_at, id);

CREATE TABLE api_keys (
    application_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    digest BYTEA NOT NULL,
    hint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    PRIMARY KEY (application_id, id)
);
-- Looked up by what a caller presents, before its application is known.
CREATE UNIQUE INDEX api_keys_digest ON api_keys (digest);

CREATE TABLE redirect_uris (
    application_id TEXT NOT NULL,
    id TEXT NOT NULL,
    url TEXT NOT NULL,
    platform TEXT NOT NULL,
    settings TEXT NOT NULL,
    origin TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (application_id, id)
);
CREATE UNIQUE INDEX redirect_uris_url ON redirect_uris (application_id, url)
    WHERE deleted_at IS NULL;
-- A preflight names an origin and nothing else.
CREATE INDEX redirect_uris_origin ON redirect_uris (origin)
    WHERE deleted_at IS NULL AND origin IS NOT NULL;
CREATE INDEX redirect_uris_deleted ON redirect_uris (deleted_at) WHERE deleted_at IS NOT NULL;

-- `idp_settings.origins` of applications, one row each, for the same question.
CREATE TABLE application_origins (
    application_id TEXT NOT NULL,
    origin TEXT NOT NULL,
    PRIMARY KEY (application_id, origin)
);
CREATE INDEX application_origins_origin ON application_origins (origin);

CREATE TABLE connectors (
    application_id TEXT NOT NULL,
    id TEXT NOT NULL,
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,
    scope TEXT NOT NULL,
    active_credential_id TEXT,
    primary_credential_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    version BIGINT NOT NULL,
    PRIMARY KEY (application_id, id)
);
CREATE UNIQUE INDEX connectors_provider ON connectors (application_id, provider)
    WHERE deleted_at IS NULL;
CREATE INDEX connectors_deleted ON connectors (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE credentials (
    application_id TEXT NOT NULL,
    id TEXT NOT NULL,
    connector_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    credential_type TEXT NOT NULL,
    state TEXT NOT NULL,
    owner TEXT NOT NULL,
    client_id TEXT,
    provider_project TEXT,
    tenant TEXT,
    borrows_from TEXT,
    labels TEXT NOT NULL,
    data_digest BYTEA NOT NULL,
    health_status TEXT NOT NULL,
    health_error TEXT,
    health_message TEXT,
    health_since BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    version BIGINT NOT NULL,
    PRIMARY KEY (application_id, id)
);
CREATE UNIQUE INDEX credentials_name ON credentials (application_id, connector_id, name)
    WHERE deleted_at IS NULL;
CREATE INDEX credentials_data_digest ON credentials (application_id, connector_id, data_digest);
CREATE INDEX credentials_created ON credentials (application_id, connector_id, created_at, id);
CREATE INDEX credentials_deleted ON credentials (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE credential_secrets (
    application_id TEXT NOT NULL,
    id TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    state TEXT NOT NULL,
    not_before BIGINT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (application_id, id)
);
CREATE INDEX credential_secrets_credential
    ON credential_secrets (application_id, credential_id, created_at);

CREATE TABLE grants (
    application_id TEXT NOT NULL,
    id TEXT NOT NULL,
    provider TEXT NOT NULL,
    connector_id TEXT NOT NULL,
    credential_id TEXT,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    identity TEXT,
    provider_user_id TEXT,
    name TEXT,
    scope TEXT NOT NULL,
    status TEXT NOT NULL,
    blocked BIGINT NOT NULL,
    settings TEXT NOT NULL,
    state TEXT,
    ip TEXT,
    user_agent TEXT,
    workspace_id TEXT,
    external_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (application_id, id)
);
CREATE UNIQUE INDEX grants_email ON grants (application_id, email_key, provider);
CREATE UNIQUE INDEX grants_identity ON grants (application_id, provider, identity)
    WHERE identity IS NOT NULL;
CREATE UNIQUE INDEX grants_external_id ON grants (application_id, external_id)
    WHERE external_id IS NOT NULL;
CREATE INDEX grants_connector ON grants (application_id, connector_id, created_at, id);
CREATE INDEX grants_credential ON grants (application_id, credential_id, created_at, id);
CREATE INDEX grants_created ON grants (application_id, created_at, id);
CREATE INDEX grants_updated ON grants (application_id, updated_at, id);

CREATE TABLE token_sets (
    application_id TEXT NOT NULL,
    id TEXT NOT NULL,
    grant_id TEXT,
    credential_id TEXT NOT NULL,
    sign_in_id TEXT,
    provider TEXT NOT NULL,
    state TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    has_refresh_token BIGINT NOT NULL,
    scope TEXT NOT NULL,
    access_expires_at BIGINT,
    consent_key TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (application_id, id)
);
CREATE UNIQUE INDEX token_sets_current ON token_sets (application_id, grant_id)
    WHERE state = 'current';
CREATE INDEX token_sets_grant ON token_sets (application_id, grant_id)
    WHERE grant_id IS NOT NULL;
-- A consent at the provider knows nothing of our applications (rule 13).
CREATE INDEX token_sets_consent ON token_sets (consent_key) WHERE consent_key IS NOT NULL;
CREATE INDEX token_sets_revoking ON token_sets (updated_at) WHERE state = 'revoking';

CREATE TABLE refresh_states (
    application_id TEXT NOT NULL,
    grant_id TEXT NOT NULL,
    lease_owner TEXT,
    lease_until BIGINT,
    due_at BIGINT,
    failures BIGINT NOT NULL,
    last_error TEXT,
    version BIGINT NOT NULL,
    PRIMARY KEY (application_id, grant_id)
);

CREATE INDEX refresh_states_due ON refresh_states (due_at) WHERE due_at IS NOT NULL;

-- Codes and tokens name their row, so that no index holds random keys: each would dirty a page of its
-- own for every sign-in.
CREATE TABLE sign_ins (
    application_id TEXT NOT NULL,
    id TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    status TEXT NOT NULL,
    code_digest BYTEA,
    outcome BYTEA,
    family_id TEXT,
    code_expires_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (application_id, id)
);
CREATE INDEX sign_ins_created ON sign_ins (created_at);

CREATE TABLE access_tokens (
    application_id TEXT NOT NULL,
    id TEXT NOT NULL,
    grant_id TEXT NOT NULL,
    family_id TEXT NOT NULL,
    digest BYTEA NOT NULL,
    audience TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (application_id, id)
);
CREATE INDEX access_tokens_grant ON access_tokens (application_id, grant_id);
CREATE INDEX access_tokens_family ON access_tokens (application_id, family_id);
CREATE INDEX access_tokens_expires ON access_tokens (expires_at);

CREATE TABLE refresh_tokens (
    application_id TEXT NOT NULL,
    id TEXT NOT NULL,
    grant_id TEXT NOT NULL,
    family_id TEXT NOT NULL,
    digest BYTEA NOT NULL,
    audience TEXT NOT NULL,
    scope TEXT NOT NULL,
    public_client BIGINT NOT NULL,
    rotates BIGINT NOT NULL,
    used_at BIGINT,
    last_used_at BIGINT NOT NULL,
    family_created_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (application_id, id)
);
CREATE INDEX refresh_tokens_grant ON refresh_tokens (application_id, grant_id);
CREATE INDEX refresh_tokens_family ON refresh_tokens (application_id, family_id);
CREATE INDEX refresh_tokens_used ON refresh_tokens (used_at) WHERE used_at IS NOT NULL;

-- Keys that sign id_tokens; the server's own, not a tenant's.
CREATE TABLE signing_keys (
    kid TEXT NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL,
    public_jwk TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- The vault's keys, wrapped by the master key.
CREATE TABLE vault_keys (
    purpose TEXT NOT NULL,
    term BIGINT NOT NULL,
    wrapped BYTEA NOT NULL,
    state TEXT NOT NULL,
    master_fingerprint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (purpose, term)
);

-- The append-only sequence of changes. Rows are never changed.
CREATE TABLE changes (
-- sqlite:    seq INTEGER PRIMARY KEY AUTOINCREMENT,
-- postgres:  seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    application_id TEXT NOT NULL,
    entity TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    action TEXT NOT NULL,
    actor TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX changes_at ON changes (at, seq);
CREATE INDEX changes_application ON changes (application_id, seq);
