-- Journal, audit log, Idempotency-Keys. Times are microseconds since 1970 in UTC, everywhere.

-- Secrets that nobody configured.
CREATE TABLE generated_secrets (
    name       TEXT PRIMARY KEY,
    value      BLOB NOT NULL,
    created_at INTEGER NOT NULL
);

-- The running gateways. What belongs to one that is no longer alive is an orphan.
CREATE TABLE instances (
    id          BLOB PRIMARY KEY,
    started_at  INTEGER NOT NULL,
    alive_until INTEGER NOT NULL
);

-- What is under way, and what has ended and is not yet sealed. A row is inserted open, closed once by an update that
-- touches no index, and moved to audit_entries by the sealer.
CREATE TABLE journal (
    id        BLOB PRIMARY KEY,
    instance  BLOB NOT NULL,
    opened_at INTEGER NOT NULL,
    entry     TEXT NOT NULL,
    closed_at INTEGER,
    outcome   TEXT,
    CONSTRAINT journal_closed_with_outcome CHECK ((closed_at IS NULL) = (outcome IS NULL))
);

-- Closed entries in the order of the chain. Only ever inserted, and deleted when old.
CREATE TABLE audit_entries (
    seq        INTEGER PRIMARY KEY,
    sealed_at  INTEGER NOT NULL,
    id         BLOB NOT NULL,
    opened_at  INTEGER NOT NULL,
    closed_at  INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    principal  TEXT NOT NULL,
    project    TEXT NOT NULL,
    method     TEXT NOT NULL,
    resource   TEXT NOT NULL,
    status     INTEGER NOT NULL,
    entry      TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    digest     BLOB NOT NULL
);
CREATE INDEX audit_entries_request ON audit_entries (request_id);
CREATE INDEX audit_entries_principal ON audit_entries (principal, seq);
CREATE INDEX audit_entries_project ON audit_entries (project, seq);
CREATE INDEX audit_entries_method ON audit_entries (method, seq);
CREATE INDEX audit_entries_resource ON audit_entries (resource, seq);
CREATE INDEX audit_entries_time ON audit_entries (opened_at);

-- One row for each batch of the chain: the digest of its last entry, signed.
CREATE TABLE audit_seals (
    first_seq  INTEGER PRIMARY KEY,
    last_seq   INTEGER NOT NULL UNIQUE,
    sealed_at  INTEGER NOT NULL,
    previous   BLOB NOT NULL,
    root       BLOB NOT NULL,
    public_key BLOB NOT NULL,
    signature  BLOB NOT NULL
);

-- Idempotency-Keys in use. state: 0 running, 1 answered, 2 nobody knows.
CREATE TABLE idempotency_keys (
    scope       BLOB PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    intent      BLOB NOT NULL,
    instance    BLOB NOT NULL,
    state       INTEGER NOT NULL,
    reissuable  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    answer      BLOB
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);
