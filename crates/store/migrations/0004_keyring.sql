-- Since when a key of the vault is in its state; NULL means since it was made.
ALTER TABLE vault_keys ADD COLUMN state_since BIGINT;

-- Work of the whole server that one process does at a time.
CREATE TABLE server_leases (
    name TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    lease_until BIGINT NOT NULL
);

-- What the server as a whole has to remember, such as an import under way.
CREATE TABLE server_notes (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    noted_at BIGINT NOT NULL
);
