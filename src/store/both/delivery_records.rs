//! Deliveries and attempts as callers look at them, in words that both dialects understand.

use std::time::Duration;

use sqlx::Row as _;

use super::{Connection, Handle, Row, begin, reader, webhook_endpoints, webhook_events, writer};
use crate::{
    model::{Attempt, Delivery, DeliveryState, Replay, WebhookEvent},
    store::{
        deliveries::{Backlog, DeliveryQuery},
        time_of,
        webhook_events::{event_id, event_key},
    },
};

/// What is read of a delivery. One that waits is due when its endpoint is no longer left alone, and not before.
const COLUMNS: &str = "endpoint_id, event_id, type, state, \
    CASE WHEN state = 0 AND NOT leased THEN coalesce( \
        (SELECT endpoint.paused_until FROM webhook_endpoints endpoint \
         WHERE endpoint.id = webhook_deliveries.endpoint_id \
           AND endpoint.paused_until > webhook_deliveries.due_at), due_at) \
    ELSE due_at END, \
    leased, attempts, created_at, ended_at, last_status, last_error";

fn delivery(row: &Row) -> sqlx::Result<Delivery> {
    let state: i16 = row.try_get(3)?;
    let (attempts, last_status): (i32, Option<i32>) = (row.try_get(6)?, row.try_get(9)?);
    let ended_at: Option<i64> = row.try_get(8)?;
    Ok(Delivery {
        endpoint: row.try_get(0)?,
        event: event_id(&row.try_get::<Vec<u8>, _>(1)?),
        kind: row.try_get(2)?,
        state: DeliveryState::from_number(state)
            .ok_or_else(|| sqlx::Error::Decode(format!("a delivery in state {state}").into()))?,
        due_at: time_of(row.try_get(4)?),
        leased: row.try_get(5)?,
        attempts: attempts.try_into().unwrap_or_default(),
        created_at: time_of(row.try_get(7)?),
        ended_at: ended_at.map(time_of),
        last_status: last_status.and_then(|status| status.try_into().ok()),
        last_error: row.try_get(10)?,
    })
}

pub(in crate::store) async fn get(
    handle: &Handle,
    endpoint: &str,
    event: &str,
) -> sqlx::Result<Option<Delivery>> {
    let sql = format!("SELECT {COLUMNS} FROM webhook_deliveries WHERE endpoint_id = $1 AND event_id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(endpoint)
        .bind(event_key(event))
        .fetch_optional(&mut *reader(handle).await?)
        .await?;
    row.as_ref().map(delivery).transpose()
}

/// Lists deliveries of an endpoint, the newest event first.
pub(in crate::store) async fn list(handle: &Handle, query: &DeliveryQuery) -> sqlx::Result<Vec<Delivery>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM webhook_deliveries
         WHERE endpoint_id = $1 AND (length($2) = 0 OR event_id < $2) AND ($3 < 0 OR state = $3)
         ORDER BY event_id DESC LIMIT $4"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(&query.endpoint)
        .bind(event_key(&query.before))
        .bind(query.state.map_or(-1, DeliveryState::number))
        .bind(query.limit)
        .fetch_all(&mut *reader(handle).await?)
        .await?;
    rows.iter().map(delivery).collect()
}

pub(in crate::store) async fn attempts(
    handle: &Handle,
    endpoint: &str,
    event: &str,
    limit: i64,
) -> sqlx::Result<Vec<Attempt>> {
    let rows = sqlx::query(
        "SELECT number, started_at, took_us, status, error, detail, answer FROM webhook_attempts
         WHERE endpoint_id = $1 AND event_id = $2 ORDER BY number DESC LIMIT $3",
    )
    .bind(endpoint)
    .bind(event_key(event))
    .bind(limit)
    .fetch_all(&mut *reader(handle).await?)
    .await?;
    let attempt = |row: &Row| {
        let (number, took, status): (i32, i64, Option<i32>) =
            (row.try_get(0)?, row.try_get(2)?, row.try_get(3)?);
        Ok(Attempt {
            number: number.try_into().unwrap_or_default(),
            started_at: time_of(row.try_get(1)?),
            took: Duration::from_micros(took.try_into().unwrap_or_default()),
            status: status.and_then(|status| status.try_into().ok()),
            error: row.try_get(4)?,
            detail: row.try_get(5)?,
            answer: row.try_get(6)?,
        })
    };
    rows.iter().map(attempt).collect()
}

/// Queues a delivery, or queues it again from the first step of the ladder; `false` if it is queued already, or
/// succeeded and that is enough.
async fn rearm(
    connection: &mut Connection,
    endpoint: &str,
    event: (&str, &str),
    skip_succeeded: bool,
    now: i64,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "INSERT INTO webhook_deliveries
         (endpoint_id, event_id, type, state, due_at, leased, fence, attempts, step, created_at)
         VALUES ($1, $2, $3, 0, $4, FALSE, 0, 0, 0, $4)
         ON CONFLICT (endpoint_id, event_id) DO UPDATE
         SET state = 0, due_at = excluded.due_at, leased = FALSE, fence = webhook_deliveries.fence + 1, step = 0,
             ended_at = NULL
         WHERE webhook_deliveries.state <> 0 AND NOT ($5 AND webhook_deliveries.state = 1)",
    )
    .bind(endpoint)
    .bind(event_key(event.0))
    .bind(event.1)
    .bind(now)
    .bind(skip_succeeded)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes a delivery due now, whatever it came to before; one that is under way stays as it is.
pub(in crate::store) async fn resend(
    handle: &Handle,
    endpoint: &str,
    event: (&str, &str),
    now: i64,
) -> sqlx::Result<()> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    if !rearm(&mut transaction, endpoint, event, false, now).await? {
        sqlx::query(
            "UPDATE webhook_deliveries SET due_at = $3, step = 0
             WHERE endpoint_id = $1 AND event_id = $2 AND state = 0 AND NOT leased AND due_at > $3",
        )
        .bind(endpoint)
        .bind(event_key(event.0))
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}

/// Writes an event and its one delivery.
pub(in crate::store) async fn send_to(
    handle: &Handle,
    endpoint: &str,
    event: &WebhookEvent,
    now: i64,
) -> sqlx::Result<()> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    webhook_events::insert(&mut transaction, event, Some(now)).await?;
    rearm(&mut transaction, endpoint, (&event.id, &event.kind), false, now).await?;
    transaction.commit().await
}

/// How long a replay that is done is kept, in microseconds: as long as events are.
const REPLAY_KEPT_US: i64 = 30 * 24 * 3600 * 1_000_000;

const REPLAY: &str = "id, project, endpoint_id, start_at, end_at, skip_succeeded, cursor_time, cursor_id, queued, done, \
                      fence, created_at";

fn replay(row: &Row) -> sqlx::Result<Replay> {
    let queued: i64 = row.try_get(8)?;
    Ok(Replay {
        id: row.try_get(0)?,
        project: row.try_get(1)?,
        endpoint: row.try_get(2)?,
        start: time_of(row.try_get(3)?),
        end: time_of(row.try_get(4)?),
        skip_succeeded: row.try_get(5)?,
        cursor: (time_of(row.try_get(6)?), row.try_get(7)?),
        queued: queued.try_into().unwrap_or_default(),
        done: row.try_get(9)?,
        fence: row.try_get(10)?,
        created_at: time_of(row.try_get(11)?),
    })
}

pub(in crate::store) async fn insert_replay(
    handle: &Handle,
    replay: &Replay,
    max: i64,
) -> sqlx::Result<bool> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    // Whoever comes second sees what the first has begun.
    webhook_endpoints::lock(&mut transaction, &replay.endpoint).await?;
    let old = replay.created_at.as_microsecond() - REPLAY_KEPT_US;
    sqlx::query("DELETE FROM webhook_replays WHERE endpoint_id = $1 AND done AND created_at < $2")
        .bind(&replay.endpoint)
        .bind(old)
        .execute(&mut *transaction)
        .await?;
    let done = sqlx::query(
        "INSERT INTO webhook_replays (id, project, endpoint_id, start_at, end_at, skip_succeeded, cursor_time, cursor_id,
                                      queued, done, fence, due_at, created_at)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, 0, FALSE, 0, $9, $9
         WHERE (SELECT count(*) FROM webhook_replays WHERE endpoint_id = $3 AND NOT done) < $10",
    )
    .bind(&replay.id)
    .bind(&replay.project)
    .bind(&replay.endpoint)
    .bind(replay.start.as_microsecond())
    .bind(replay.end.as_microsecond())
    .bind(replay.skip_succeeded)
    .bind(replay.cursor.0.as_microsecond())
    .bind(&replay.cursor.1)
    .bind(replay.created_at.as_microsecond())
    .bind(max)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() == 1)
}

pub(in crate::store) async fn get_replay(
    handle: &Handle,
    endpoint: &str,
    id: &str,
) -> sqlx::Result<Option<Replay>> {
    let sql = format!("SELECT {REPLAY} FROM webhook_replays WHERE endpoint_id = $1 AND id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(endpoint)
        .bind(id)
        .fetch_optional(&mut *reader(handle).await?)
        .await?;
    row.as_ref().map(replay).transpose()
}

/// Takes one replay to work on until `lease_until`.
pub(in crate::store) async fn claim_replay(
    handle: &Handle,
    now: i64,
    lease_until: i64,
) -> sqlx::Result<Option<Replay>> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    let sql = format!(
        "UPDATE webhook_replays SET due_at = $2, fence = fence + 1
         WHERE id = (SELECT id FROM webhook_replays WHERE NOT done AND due_at <= $1 ORDER BY due_at LIMIT 1)
           AND due_at <= $1
         RETURNING {REPLAY}"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(now)
        .bind(lease_until)
        .fetch_optional(&mut *transaction)
        .await?;
    let claimed = row.as_ref().map(replay).transpose()?;
    transaction.commit().await?;
    Ok(claimed)
}

/// Queues the next part of a replay and remembers how far it is; `false` if somebody else works on it by now.
pub(in crate::store) async fn advance_replay(
    handle: &Handle,
    replay: &Replay,
    events: &[(String, String)],
    now: i64,
) -> sqlx::Result<bool> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    webhook_endpoints::lock(&mut transaction, &replay.endpoint).await?;
    let mut queued = 0_i64;
    for (id, kind) in events {
        queued += i64::from(
            rearm(&mut transaction, &replay.endpoint, (id, kind), replay.skip_succeeded, now).await?,
        );
    }
    let done = sqlx::query(
        "UPDATE webhook_replays
         SET cursor_time = $3, cursor_id = $4, queued = queued + $5, done = $6, due_at = $7 WHERE id = $1 AND fence = $2",
    )
    .bind(&replay.id)
    .bind(replay.fence)
    .bind(replay.cursor.0.as_microsecond())
    .bind(&replay.cursor.1)
    .bind(queued)
    .bind(replay.done)
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    transaction.commit().await?;
    Ok(true)
}

/// Lists endpoints that have deliveries due, in the order of their ids from behind `after` on.
pub(in crate::store) async fn ready(
    handle: &Handle,
    now: i64,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<String>> {
    // Hops from one endpoint to the next in the index of what is pending, so that the cost is in endpoints and not in
    // deliveries.
    // With the limit bound, SQLite would prepare the statement anew each time.
    let sql = format!(
        "WITH RECURSIVE pending (id) AS (
             SELECT min(endpoint_id) FROM webhook_deliveries WHERE state = 0 AND endpoint_id > $2
             UNION ALL
             SELECT (SELECT min(endpoint_id) FROM webhook_deliveries WHERE state = 0 AND endpoint_id > pending.id)
             FROM pending WHERE pending.id IS NOT NULL
         )
         SELECT id FROM pending
         WHERE id IS NOT NULL
           AND EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.state = 0 AND d.endpoint_id = pending.id AND d.due_at <= $1)
         LIMIT {limit}"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(now)
        .bind(after)
        .fetch_all(&mut *reader(handle).await?)
        .await
}

/// Counts what waits, up to a bound, and tells since when the oldest that may be tried has been due. What is left alone may not,
/// and is due when that is over.
pub(in crate::store) async fn backlog(handle: &Handle, now: i64, max: i64) -> sqlx::Result<Backlog> {
    let mut connection = reader(handle).await?;
    let depth: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT 1 AS one FROM webhook_deliveries WHERE state = 0 LIMIT $1) AS pending",
    )
    .bind(max)
    .fetch_one(&mut *connection)
    .await?;
    // From one endpoint to the next, as in [`ready`]: of one that is left alone there may be any number.
    let oldest: Option<i64> = sqlx::query_scalar(
        "WITH RECURSIVE pending (id) AS (
             SELECT min(endpoint_id) FROM webhook_deliveries WHERE state = 0
             UNION ALL
             SELECT (SELECT min(endpoint_id) FROM webhook_deliveries WHERE state = 0 AND endpoint_id > pending.id)
             FROM pending WHERE pending.id IS NOT NULL
         ), due (since) AS (
             SELECT (SELECT CASE WHEN d.due_at < endpoint.paused_until THEN endpoint.paused_until ELSE d.due_at END
                     FROM webhook_deliveries d
                     WHERE d.state = 0 AND d.endpoint_id = endpoint.id AND d.due_at <= $1 AND NOT d.leased
                     ORDER BY d.due_at LIMIT 1)
             FROM pending JOIN webhook_endpoints endpoint ON endpoint.id = pending.id
             WHERE endpoint.state = 0 AND endpoint.paused_until <= $1
         )
         SELECT min(since) FROM due",
    )
    .bind(now)
    .fetch_one(&mut *connection)
    .await?;
    Ok(Backlog { depth: depth.try_into().unwrap_or_default(), oldest_due_at: oldest.map(time_of) })
}
