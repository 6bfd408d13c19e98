-- What takes long, and what happened to it. Times are microseconds since 1970 in UTC.

CREATE TABLE operations (
    id            BLOB PRIMARY KEY,
    project       TEXT NOT NULL,
    kind          TEXT NOT NULL,
    upstream      TEXT NOT NULL,
    upstream_name TEXT NOT NULL,
    -- Tells the runs of one name apart; empty where a name has only one.
    run           TEXT NOT NULL,
    -- What can be listed to see it together with others; empty where nothing can.
    parent        TEXT NOT NULL,
    target        TEXT NOT NULL,
    method        TEXT NOT NULL,
    principal     TEXT NOT NULL,
    state         TEXT NOT NULL,
    version       INTEGER NOT NULL,
    progress      INTEGER,
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    updated_at    INTEGER NOT NULL,
    ended_at      INTEGER,
    -- Messages in wire format: two google.protobuf.Any and a google.rpc.Status.
    metadata      BLOB NOT NULL,
    response      BLOB NOT NULL,
    error         BLOB NOT NULL,
    -- What the source needs to remember; what is secret in it is encrypted.
    source        BLOB NOT NULL,
    problem       TEXT NOT NULL,
    -- When to look again: a claim moves it to the end of the lease, so that what is due is one range.
    poll_at       INTEGER NOT NULL,
    spacing       INTEGER NOT NULL,
    failures      INTEGER NOT NULL,
    lease_until   INTEGER NOT NULL DEFAULT 0,
    -- Grows with every claim; a write with an older one changes nothing.
    lease_token   INTEGER NOT NULL DEFAULT 0,
    -- Deleted by a caller: not shown, and kept so that the upstream's name does not come back from here.
    deleted_at    INTEGER,
    CONSTRAINT operations_upstream_name UNIQUE (upstream, upstream_name, run)
);
CREATE INDEX operations_due ON operations (upstream, poll_at) WHERE ended_at IS NULL;
CREATE INDEX operations_due_of_parent ON operations (upstream, parent, poll_at) WHERE ended_at IS NULL;
CREATE INDEX operations_of_project ON operations (project, id) WHERE deleted_at IS NULL;
CREATE INDEX operations_updated ON operations (updated_at);
CREATE INDEX operations_ended ON operations (ended_at) WHERE ended_at IS NOT NULL;

-- Written in the transaction of the change they tell of. An event without dispatched_at has not been turned into
-- deliveries.
CREATE TABLE events (
    id            BLOB PRIMARY KEY,
    project       TEXT NOT NULL,
    kind          TEXT NOT NULL,
    occurred_at   INTEGER NOT NULL,
    operation     BLOB NOT NULL,
    version       INTEGER NOT NULL,
    source        TEXT NOT NULL,
    upstream      TEXT NOT NULL,
    payload       TEXT NOT NULL,
    dispatched_at INTEGER,
    CONSTRAINT events_once UNIQUE (operation, version, kind)
);
CREATE INDEX events_undispatched ON events (id) WHERE dispatched_at IS NULL;
CREATE INDEX events_of_project ON events (project, id);
CREATE INDEX events_time ON events (occurred_at);
