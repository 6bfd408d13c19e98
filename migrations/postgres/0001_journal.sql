-- Journal, audit log, Idempotency-Keys. Times are microseconds since 1970 in UTC, everywhere.

-- Secrets that nobody configured.
CREATE TABLE generated_secrets (
    name       TEXT PRIMARY KEY,
    value      BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- The running gateways. What belongs to one that is no longer alive is an orphan.
CREATE TABLE instances (
    id          BYTEA PRIMARY KEY,
    started_at  BIGINT NOT NULL,
    alive_until BIGINT NOT NULL
);

-- What is under way, and what has ended and is not yet sealed. A row is inserted open, closed once by an update that
-- touches no index, and moved to audit_entries by the sealer.
CREATE TABLE journal (
    id        BYTEA PRIMARY KEY,
    instance  BYTEA NOT NULL,
    opened_at BIGINT NOT NULL,
    entry     TEXT NOT NULL,
    closed_at BIGINT,
    outcome   TEXT,
    CONSTRAINT journal_closed_with_outcome CHECK ((closed_at IS NULL) = (outcome IS NULL))
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);

-- Closed entries in the order of the chain. Only ever inserted, and dropped by the month.
CREATE TABLE audit_entries (
    seq        BIGINT NOT NULL,
    sealed_at  BIGINT NOT NULL,
    id         BYTEA NOT NULL,
    opened_at  BIGINT NOT NULL,
    closed_at  BIGINT NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL,
    principal  TEXT COLLATE "C" NOT NULL,
    project    TEXT COLLATE "C" NOT NULL,
    method     TEXT COLLATE "C" NOT NULL,
    resource   TEXT COLLATE "C" NOT NULL,
    status     INTEGER NOT NULL,
    entry      TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    digest     BYTEA NOT NULL,
    PRIMARY KEY (seq, sealed_at)
) PARTITION BY RANGE (sealed_at);
CREATE INDEX audit_entries_request ON audit_entries (request_id);
CREATE INDEX audit_entries_principal ON audit_entries (principal, seq);
CREATE INDEX audit_entries_project ON audit_entries (project, seq);
CREATE INDEX audit_entries_method ON audit_entries (method, seq);
CREATE INDEX audit_entries_resource ON audit_entries (resource, seq);
CREATE INDEX audit_entries_time ON audit_entries (opened_at);

-- One row for each batch of the chain: the digest of its last entry, signed.
CREATE TABLE audit_seals (
    first_seq  BIGINT PRIMARY KEY,
    last_seq   BIGINT NOT NULL UNIQUE,
    sealed_at  BIGINT NOT NULL,
    previous   BYTEA NOT NULL,
    root       BYTEA NOT NULL,
    public_key BYTEA NOT NULL,
    signature  BYTEA NOT NULL
);

-- Idempotency-Keys in use. state: 0 running, 1 answered, 2 nobody knows.
CREATE TABLE idempotency_keys (
    scope       BYTEA PRIMARY KEY,
    fingerprint BYTEA NOT NULL,
    intent      BYTEA NOT NULL,
    instance    BYTEA NOT NULL,
    state       SMALLINT NOT NULL,
    reissuable  BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    answer      BYTEA
) WITH (fillfactor = 80);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);
