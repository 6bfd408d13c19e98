-- API keys. The secret of a key is not here: only what it hashes to.

CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    hash         BLOB NOT NULL,
    principal    TEXT NOT NULL,
    role         TEXT NOT NULL,
    -- One pattern to a line.
    resources    TEXT NOT NULL,
    note         TEXT NOT NULL,
    created_by   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER
);
-- Lists show the newest first.
CREATE INDEX api_keys_created ON api_keys (created_at, id);
CREATE INDEX api_keys_principal ON api_keys (principal);
