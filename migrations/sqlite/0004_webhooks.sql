-- Webhooks: who wants to know what, and how telling them went. Times are microseconds since 1970 in UTC.

-- state: 0 enabled, 1 disabled, 2 deleted: invisible, and gone when its deliveries are.
CREATE TABLE webhook_endpoints (
    id              TEXT PRIMARY KEY NOT NULL,
    project         TEXT NOT NULL,
    version         INTEGER NOT NULL,
    settings        TEXT NOT NULL,
    state           INTEGER NOT NULL,
    disabled_reason TEXT NOT NULL,
    headers         BLOB NOT NULL,
    secrets         BLOB NOT NULL,
    failing_since   INTEGER,
    last_failure_at INTEGER,
    -- 0 while nobody asked to be left alone.
    paused_until    INTEGER NOT NULL DEFAULT 0,
    -- When the next delivery may begin at the endpoint's rate.
    rate_due_at     INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
);
CREATE INDEX webhook_endpoints_by_project ON webhook_endpoints (project, id);

-- Grows with every change of any endpoint, so that what replicas remember of them can be checked in one read.
CREATE TABLE webhook_generation (value INTEGER NOT NULL);
INSERT INTO webhook_generation (value) VALUES (1);

-- One event for one endpoint. state: 0 pending, 1 succeeded, 2 exhausted, 3 failed, 4 cancelled.
CREATE TABLE webhook_deliveries (
    endpoint_id TEXT NOT NULL,
    event_id    BLOB NOT NULL,
    type        TEXT NOT NULL,
    state       INTEGER NOT NULL,
    -- While leased: when the lease ends.
    due_at      INTEGER NOT NULL,
    leased      INTEGER NOT NULL,
    -- Grows with each lease; who writes with an older one is late.
    fence       INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    -- How far on the ladder of retries.
    step        INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    last_status INTEGER,
    last_error  TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (endpoint_id, event_id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at) WHERE state = 0;

CREATE TABLE webhook_attempts (
    endpoint_id TEXT NOT NULL,
    event_id    BLOB NOT NULL,
    number      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    took_us     INTEGER NOT NULL,
    status      INTEGER,
    error       TEXT NOT NULL,
    detail      TEXT NOT NULL,
    answer      BLOB NOT NULL,
    PRIMARY KEY (endpoint_id, event_id, number)
);

-- Wishes to send the events of a time again. due_at is the end of a lease while somebody works on it.
CREATE TABLE webhook_replays (
    id             TEXT PRIMARY KEY NOT NULL,
    project        TEXT NOT NULL,
    endpoint_id    TEXT NOT NULL,
    start_at       INTEGER NOT NULL,
    end_at         INTEGER NOT NULL,
    skip_succeeded INTEGER NOT NULL,
    cursor_time    INTEGER NOT NULL,
    cursor_id      TEXT NOT NULL,
    queued         INTEGER NOT NULL,
    done           INTEGER NOT NULL,
    fence          INTEGER NOT NULL,
    due_at         INTEGER NOT NULL,
    created_at     INTEGER NOT NULL
);
CREATE INDEX webhook_replays_due ON webhook_replays (due_at) WHERE NOT done;
