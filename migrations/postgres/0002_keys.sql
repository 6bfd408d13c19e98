-- API keys. The secret of a key is not here: only what it hashes to.

CREATE TABLE api_keys (
    id           TEXT COLLATE "C" PRIMARY KEY,
    hash         BYTEA NOT NULL,
    principal    TEXT COLLATE "C" NOT NULL,
    role         TEXT NOT NULL,
    -- One pattern to a line.
    resources    TEXT NOT NULL,
    note         TEXT NOT NULL,
    created_by   TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    last_used_at BIGINT
);
-- Lists show the newest first.
CREATE INDEX api_keys_created ON api_keys (created_at, id);
CREATE INDEX api_keys_principal ON api_keys (principal);
