-- Sign-ins of accounts that a password opens go through no credential. SQLite takes a NOT NULL away only with the
-- table; what is under way is kept.
CREATE TABLE sign_ins_kept AS SELECT * FROM sign_ins;
DROP TABLE sign_ins;
CREATE TABLE sign_ins (
    application_id TEXT NOT NULL,
    id TEXT NOT NULL,
    credential_id TEXT,
    status TEXT NOT NULL,
    code_digest BYTEA,
    outcome BYTEA,
    family_id TEXT,
    code_expires_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (application_id, id)
);
INSERT INTO sign_ins (application_id, id, credential_id, status, code_digest, outcome, family_id, code_expires_at, created_at)
    SELECT application_id, id, credential_id, status, code_digest, outcome, family_id, code_expires_at, created_at
    FROM sign_ins_kept;
DROP TABLE sign_ins_kept;
CREATE INDEX sign_ins_created ON sign_ins (created_at);
