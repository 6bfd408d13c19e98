//! Events, in words that both dialects understand.

use sqlx::Row as _;

use super::{Connection, Handle, Row, reader, writer};
use crate::{
    model::Event,
    store::{events::EventQuery, time_of},
};

const COLUMNS: &str = "id, project, type, time, data";

/// Reads the columns of an event, from `at` on.
pub(in crate::store) fn event(row: &Row, at: usize) -> sqlx::Result<Event> {
    Ok(Event {
        id: row.try_get(at)?,
        project: row.try_get(at + 1)?,
        kind: row.try_get(at + 2)?,
        time: time_of(row.try_get(at + 3)?),
        data: row.try_get(at + 4)?,
    })
}

/// Writes an event in the transaction of whatever made it happen.
pub(in crate::store) async fn insert(
    connection: &mut Connection,
    event: &Event,
    dispatched_at: Option<i64>,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO events (id, project, type, time, data, dispatched_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT DO NOTHING",
    )
    .bind(&event.id)
    .bind(&event.project)
    .bind(&event.kind)
    .bind(event.time.as_microsecond())
    .bind(&event.data)
    .bind(dispatched_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes events in a transaction of their own.
pub(in crate::store) async fn insert_all(handle: &Handle, events: &[Event]) -> sqlx::Result<()> {
    let mut transaction = writer(handle).await?;
    for event in events {
        insert(&mut transaction, event, None).await?;
    }
    transaction.commit().await
}

pub(in crate::store) async fn get(handle: &Handle, project: &str, id: &str) -> sqlx::Result<Option<Event>> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE project = $1 AND id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(project)
        .bind(id)
        .fetch_optional(&mut *reader(handle).await?)
        .await?;
    row.as_ref().map(|row| event(row, 0)).transpose()
}

/// Lists events of a project, the newest first.
pub(in crate::store) async fn list(handle: &Handle, query: &EventQuery) -> sqlx::Result<Vec<Event>> {
    let (before_time, before_id) = &query.before;
    let sql = format!(
        "SELECT {COLUMNS} FROM events
         WHERE project = $1 AND time >= $2 AND (time < $3 OR (time = $3 AND id < $4))
           AND ($5 = '' OR type = $5 OR substr(type, 1, length($6)) = $6 AND $6 <> '')
         ORDER BY time DESC, id DESC LIMIT $7"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(&query.project)
        .bind(query.since.as_microsecond())
        .bind(before_time.as_microsecond())
        .bind(before_id)
        .bind(&query.kind)
        .bind(query.kind.strip_suffix('*').unwrap_or_default())
        .bind(query.limit)
        .fetch_all(&mut *reader(handle).await?)
        .await?;
    rows.iter().map(|row| event(row, 0)).collect()
}

/// Lists events of a project in the order of time, from a cursor on.
pub(in crate::store) async fn between(
    handle: &Handle,
    project: &str,
    (after_time, after_id): (i64, &str),
    end: i64,
    limit: i64,
) -> sqlx::Result<Vec<Event>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events
         WHERE project = $1 AND (time > $2 OR (time = $2 AND id > $3)) AND time < $4 ORDER BY time, id LIMIT $5"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(project)
        .bind(after_time)
        .bind(after_id)
        .bind(end)
        .bind(limit)
        .fetch_all(&mut *reader(handle).await?)
        .await?;
    rows.iter().map(|row| event(row, 0)).collect()
}

/// Lists events that no deliveries were made of, the oldest first.
pub(in crate::store) async fn undispatched(handle: &Handle, limit: i64) -> sqlx::Result<Vec<Event>> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE dispatched_at IS NULL ORDER BY time, id LIMIT $1");
    let rows =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(limit).fetch_all(&mut *reader(handle).await?).await?;
    rows.iter().map(|row| event(row, 0)).collect()
}

/// Removes events that are older than `before`, with their deliveries and attempts; tells how many.
pub(in crate::store) async fn expire(handle: &Handle, before: i64, limit: i64) -> sqlx::Result<u64> {
    let mut transaction = writer(handle).await?;
    let rows = sqlx::query(
        "SELECT id, project FROM events WHERE time < $1 AND dispatched_at IS NOT NULL ORDER BY time LIMIT $2",
    )
    .bind(before)
    .bind(limit)
    .fetch_all(&mut *transaction)
    .await?;
    for row in &rows {
        let (id, project): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        for table in ["webhook_attempts", "webhook_deliveries"] {
            let sql = format!(
                "DELETE FROM {table} WHERE event_id = $1
                 AND endpoint_id IN (SELECT id FROM webhook_endpoints WHERE project = $2)"
            );
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&id).bind(&project).execute(&mut *transaction).await?;
        }
        sqlx::query("DELETE FROM events WHERE id = $1").bind(&id).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(rows.len() as u64)
}
