//! Events, in words that both dialects understand.

use sqlx::Row as _;

use super::{Connection, Handle, Row, begin, reader, writer};
use crate::{
    model::WebhookEvent,
    store::{
        journal::IntentId,
        time_of,
        webhook_events::{EventQuery, event_id, event_key},
    },
};

const COLUMNS: &str = "id, project, kind, occurred_at, payload, upstream, source";

/// Reads the columns of an event, from `at` on.
pub(in crate::store) fn event(row: &Row, at: usize) -> sqlx::Result<WebhookEvent> {
    Ok(WebhookEvent {
        id: event_id(&row.try_get::<Vec<u8>, _>(at)?),
        project: row.try_get(at + 1)?,
        kind: row.try_get(at + 2)?,
        time: time_of(row.try_get(at + 3)?),
        data: row.try_get(at + 4)?,
        upstream: row.try_get(at + 5)?,
        source: row.try_get(at + 6)?,
    })
}

/// Writes an event in the transaction of whatever made it happen.
pub(in crate::store) async fn insert(
    connection: &mut Connection,
    event: &WebhookEvent,
    dispatched_at: Option<i64>,
) -> sqlx::Result<()> {
    let id = event_key(&event.id);
    insert_about(connection, &id, event, dispatched_at).await
}

/// Writes what a call has done, unless it was told before: by a gateway that took this one for dead, or by this one when that
/// one looks.
pub(in crate::store) async fn insert_of_intent(
    connection: &mut Connection,
    intent: &IntentId,
    event: &WebhookEvent,
) -> sqlx::Result<()> {
    insert_about(connection, intent, event, None).await
}

/// Writes an event, unless there is one of its kind about the same already.
async fn insert_about(
    connection: &mut Connection,
    about: &[u8],
    event: &WebhookEvent,
    dispatched_at: Option<i64>,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO events
         (id, project, kind, occurred_at, operation, version, source, upstream, payload, dispatched_at)
         VALUES ($1, $2, $3, $4, $9, 0, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(event_key(&event.id))
    .bind(&event.project)
    .bind(&event.kind)
    .bind(event.time.as_microsecond())
    .bind(&event.source)
    .bind(&event.upstream)
    .bind(&event.data)
    .bind(dispatched_at)
    .bind(about)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes events in a transaction of their own.
pub(in crate::store) async fn insert_all(handle: &Handle, events: &[WebhookEvent]) -> sqlx::Result<()> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    for event in events {
        insert(&mut transaction, event, None).await?;
    }
    transaction.commit().await
}

pub(in crate::store) async fn get(
    handle: &Handle,
    project: &str,
    id: &str,
) -> sqlx::Result<Option<WebhookEvent>> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE project = $1 AND id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(project)
        .bind(event_key(id))
        .fetch_optional(&mut *reader(handle).await?)
        .await?;
    row.as_ref().map(|row| event(row, 0)).transpose()
}

/// Lists events of a project, the newest first.
pub(in crate::store) async fn list(handle: &Handle, query: &EventQuery) -> sqlx::Result<Vec<WebhookEvent>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events
         WHERE project = $1 AND occurred_at >= $2 AND (id < $3 OR length($3) = 0)
           AND ($4 = '' OR kind = $4 OR substr(kind, 1, length($5)) = $5 AND $5 <> '')
         ORDER BY id DESC LIMIT $6"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(&query.project)
        .bind(query.since.as_microsecond())
        .bind(event_key(&query.before))
        .bind(&query.kind)
        .bind(query.kind.strip_suffix('*').unwrap_or_default())
        .bind(query.limit)
        .fetch_all(&mut *reader(handle).await?)
        .await?;
    rows.iter().map(|row| event(row, 0)).collect()
}

/// Lists events of a family whose data has these words, the latest first. Words differ in case for one dialect and not for
/// the other.
pub(in crate::store) async fn with_words(
    handle: &Handle,
    project: &str,
    family: &str,
    words: &str,
    limit: i64,
) -> sqlx::Result<Vec<WebhookEvent>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events
         WHERE project = $1 AND substr(kind, 1, length($2)) = $2 AND payload LIKE $3 ESCAPE '!'
         ORDER BY occurred_at DESC, id DESC LIMIT $4"
    );
    let plain = words.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(project)
        .bind(family)
        .bind(format!("%{plain}%"))
        .bind(limit)
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
) -> sqlx::Result<Vec<WebhookEvent>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events
         WHERE project = $1 AND (occurred_at > $2 OR (occurred_at = $2 AND id > $3)) AND occurred_at < $4
         ORDER BY occurred_at, id LIMIT $5"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(project)
        .bind(after_time)
        .bind(event_key(after_id))
        .bind(end)
        .bind(limit)
        .fetch_all(&mut *reader(handle).await?)
        .await?;
    rows.iter().map(|row| event(row, 0)).collect()
}

/// Lists events that no deliveries were made of, the oldest first.
pub(in crate::store) async fn undispatched(handle: &Handle, limit: i64) -> sqlx::Result<Vec<WebhookEvent>> {
    // Asked several times a second: with the limit bound, SQLite would prepare the statement anew each time.
    let sql = format!("SELECT {COLUMNS} FROM events WHERE dispatched_at IS NULL ORDER BY id LIMIT {limit}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *reader(handle).await?).await?;
    rows.iter().map(|row| event(row, 0)).collect()
}

/// Removes events that are older than `before`, with their deliveries and attempts; tells how many.
pub(in crate::store) async fn expire(handle: &Handle, before: i64, limit: i64) -> sqlx::Result<u64> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    let rows = sqlx::query(
        "SELECT id, project FROM events WHERE occurred_at < $1 AND dispatched_at IS NOT NULL ORDER BY occurred_at LIMIT $2",
    )
    .bind(before)
    .bind(limit)
    .fetch_all(&mut *transaction)
    .await?;
    for row in &rows {
        let (id, project): (Vec<u8>, String) = (row.try_get(0)?, row.try_get(1)?);
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
