-- What takes long, and what happened to it. Times are microseconds since 1970 in UTC.

CREATE TABLE operations (
    id            BYTEA PRIMARY KEY,
    project       TEXT COLLATE "C" NOT NULL,
    kind          TEXT COLLATE "C" NOT NULL,
    upstream      TEXT COLLATE "C" NOT NULL,
    upstream_name TEXT COLLATE "C" NOT NULL,
    -- Tells the runs of one name apart; empty where a name has only one.
    run           TEXT COLLATE "C" NOT NULL,
    -- What can be listed to see it together with others; empty where nothing can.
    parent        TEXT COLLATE "C" NOT NULL,
    target        TEXT COLLATE "C" NOT NULL,
    method        TEXT COLLATE "C" NOT NULL,
    principal     TEXT COLLATE "C" NOT NULL,
    state         TEXT COLLATE "C" NOT NULL,
    version       BIGINT NOT NULL,
    progress      INTEGER,
    created_at    BIGINT NOT NULL,
    started_at    BIGINT,
    updated_at    BIGINT NOT NULL,
    ended_at      BIGINT,
    -- Messages in wire format: two google.protobuf.Any and a google.rpc.Status.
    metadata      BYTEA NOT NULL,
    response      BYTEA NOT NULL,
    error         BYTEA NOT NULL,
    -- What the source needs to remember; what is secret in it is encrypted.
    source        BYTEA NOT NULL,
    problem       TEXT NOT NULL,
    -- When to look again: a claim moves it to the end of the lease, so that what is due is one range.
    poll_at       BIGINT NOT NULL,
    spacing       BIGINT NOT NULL,
    failures      INTEGER NOT NULL,
    lease_until   BIGINT NOT NULL DEFAULT 0,
    -- Grows with every claim; a write with an older one changes nothing.
    lease_token   BIGINT NOT NULL DEFAULT 0,
    -- Deleted by a caller: not shown, and kept so that the upstream's name does not come back from here.
    deleted_at    BIGINT,
    CONSTRAINT operations_upstream_name UNIQUE (upstream, upstream_name, run)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX operations_due ON operations (upstream, poll_at) WHERE ended_at IS NULL;
CREATE INDEX operations_due_of_parent ON operations (upstream, parent, poll_at) WHERE ended_at IS NULL;
CREATE INDEX operations_of_project ON operations (project, id) WHERE deleted_at IS NULL;
CREATE INDEX operations_updated ON operations (updated_at);
CREATE INDEX operations_ended ON operations (ended_at) WHERE ended_at IS NOT NULL;

-- Written in the transaction of the change they tell of. An event without dispatched_at has not been turned into
-- deliveries.
CREATE TABLE events (
    id            BYTEA PRIMARY KEY,
    project       TEXT COLLATE "C" NOT NULL,
    kind          TEXT COLLATE "C" NOT NULL,
    occurred_at   BIGINT NOT NULL,
    operation     BYTEA NOT NULL,
    version       BIGINT NOT NULL,
    source        TEXT COLLATE "C" NOT NULL,
    upstream      TEXT COLLATE "C" NOT NULL,
    payload       TEXT NOT NULL,
    dispatched_at BIGINT,
    CONSTRAINT events_once UNIQUE (operation, version, kind)
);
CREATE INDEX events_undispatched ON events (id) WHERE dispatched_at IS NULL;
CREATE INDEX events_of_project ON events (project, id);
CREATE INDEX events_time ON events (occurred_at);
