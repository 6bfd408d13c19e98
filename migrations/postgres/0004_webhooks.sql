-- Webhooks: who wants to know what, and how telling them went. Times are microseconds since 1970 in UTC.

-- state: 0 enabled, 1 disabled, 2 deleted: invisible, and gone when its deliveries are.
CREATE TABLE webhook_endpoints (
    id              TEXT COLLATE "C" PRIMARY KEY,
    project         TEXT COLLATE "C" NOT NULL,
    version         BIGINT NOT NULL,
    settings        TEXT NOT NULL,
    state           SMALLINT NOT NULL,
    disabled_reason TEXT NOT NULL,
    headers         BYTEA NOT NULL,
    secrets         BYTEA NOT NULL,
    failing_since   BIGINT,
    last_failure_at BIGINT,
    -- 0 while nobody asked to be left alone.
    paused_until    BIGINT NOT NULL DEFAULT 0,
    -- When the next delivery may begin at the endpoint's rate.
    rate_due_at     BIGINT NOT NULL DEFAULT 0,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX webhook_endpoints_by_project ON webhook_endpoints (project, id);

-- Grows with every change of any endpoint, so that what replicas remember of them can be checked in one read.
CREATE TABLE webhook_generation (value BIGINT NOT NULL);
INSERT INTO webhook_generation (value) VALUES (1);

-- One event for one endpoint. state: 0 pending, 1 succeeded, 2 exhausted, 3 failed, 4 cancelled.
CREATE TABLE webhook_deliveries (
    endpoint_id TEXT COLLATE "C" NOT NULL,
    event_id    BYTEA NOT NULL,
    type        TEXT COLLATE "C" NOT NULL,
    state       SMALLINT NOT NULL,
    -- While leased: when the lease ends.
    due_at      BIGINT NOT NULL,
    leased      BOOLEAN NOT NULL,
    -- Grows with each lease; who writes with an older one is late.
    fence       BIGINT NOT NULL,
    attempts    INTEGER NOT NULL,
    -- How far on the ladder of retries.
    step        INTEGER NOT NULL,
    created_at  BIGINT NOT NULL,
    ended_at    BIGINT,
    last_status INTEGER,
    last_error  TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (endpoint_id, event_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at) WHERE state = 0;

CREATE TABLE webhook_attempts (
    endpoint_id TEXT COLLATE "C" NOT NULL,
    event_id    BYTEA NOT NULL,
    number      INTEGER NOT NULL,
    started_at  BIGINT NOT NULL,
    took_us     BIGINT NOT NULL,
    status      INTEGER,
    error       TEXT NOT NULL,
    detail      TEXT NOT NULL,
    answer      BYTEA NOT NULL,
    PRIMARY KEY (endpoint_id, event_id, number)
);

-- Wishes to send the events of a time again. due_at is the end of a lease while somebody works on it.
CREATE TABLE webhook_replays (
    id             TEXT COLLATE "C" PRIMARY KEY,
    project        TEXT COLLATE "C" NOT NULL,
    endpoint_id    TEXT COLLATE "C" NOT NULL,
    start_at       BIGINT NOT NULL,
    end_at         BIGINT NOT NULL,
    skip_succeeded BOOLEAN NOT NULL,
    cursor_time    BIGINT NOT NULL,
    cursor_id      TEXT COLLATE "C" NOT NULL,
    queued         BIGINT NOT NULL,
    done           BOOLEAN NOT NULL,
    fence          BIGINT NOT NULL,
    due_at         BIGINT NOT NULL,
    created_at     BIGINT NOT NULL
);
CREATE INDEX webhook_replays_due ON webhook_replays (due_at) WHERE NOT done;
