//! Endpoints, in words that both dialects understand.

use sqlx::Row as _;

use super::{Connection, Handle, Row, begin, reader, webhook_events, writer};
use crate::{
    model::{Endpoint, EndpointState, WebhookEvent},
    store::{time_of, webhook_endpoints::settings_of},
};

const COLUMNS: &str = "id, project, version, settings, state, disabled_reason, headers, secrets, failing_since, \
                       paused_until, created_at, updated_at";

const ENABLED: i16 = 0;
const DISABLED: i16 = 1;

fn endpoint(row: &Row) -> sqlx::Result<Endpoint> {
    let settings: String = row.try_get(3)?;
    let state: i16 = row.try_get(4)?;
    let (failing_since, paused_until): (Option<i64>, i64) = (row.try_get(8)?, row.try_get(9)?);
    Ok(Endpoint {
        id: row.try_get(0)?,
        project: row.try_get(1)?,
        version: row.try_get(2)?,
        settings: settings_of(&settings).map_err(|error| sqlx::Error::Decode(error.into()))?,
        state: if state == ENABLED { EndpointState::Enabled } else { EndpointState::Disabled },
        disabled_reason: row.try_get(5)?,
        headers: row.try_get(6)?,
        secrets: row.try_get(7)?,
        failing_since: failing_since.map(time_of),
        paused_until: (paused_until > 0).then(|| time_of(paused_until)),
        created_at: time_of(row.try_get(10)?),
        updated_at: time_of(row.try_get(11)?),
    })
}

/// Lets every replica look again. Held to the end of the transaction, so that changes come one after the other.
async fn bump(connection: &mut Connection) -> sqlx::Result<()> {
    sqlx::query("UPDATE webhook_generation SET value = value + 1").execute(connection).await?;
    Ok(())
}

pub(in crate::store) async fn generation(handle: &Handle) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT value FROM webhook_generation").fetch_one(&mut *reader(handle).await?).await
}

/// Adds an endpoint, unless its project has `max` of them.
pub(in crate::store) async fn insert(
    handle: &Handle,
    endpoint: &Endpoint,
    settings: &str,
    max: i64,
) -> sqlx::Result<bool> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    bump(&mut transaction).await?;
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM webhook_endpoints WHERE project = $1 AND state <> 2")
            .bind(&endpoint.project)
            .fetch_one(&mut *transaction)
            .await?;
    if count >= max {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO webhook_endpoints
         (id, project, version, settings, state, disabled_reason, headers, secrets, created_at, updated_at)
         VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8, $8)",
    )
    .bind(&endpoint.id)
    .bind(&endpoint.project)
    .bind(settings)
    .bind(number(endpoint.state))
    .bind(&endpoint.disabled_reason)
    .bind(&endpoint.headers)
    .bind(&endpoint.secrets)
    .bind(endpoint.created_at.as_microsecond())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

pub(in crate::store) async fn get(
    handle: &Handle,
    project: &str,
    id: &str,
) -> sqlx::Result<Option<Endpoint>> {
    let sql =
        format!("SELECT {COLUMNS} FROM webhook_endpoints WHERE project = $1 AND id = $2 AND state <> 2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(project)
        .bind(id)
        .fetch_optional(&mut *reader(handle).await?)
        .await?;
    row.as_ref().map(endpoint).transpose()
}

/// Finds an endpoint by its id alone, as deliverers do.
pub(in crate::store) async fn by_id(handle: &Handle, id: &str) -> sqlx::Result<Option<Endpoint>> {
    let sql = format!("SELECT {COLUMNS} FROM webhook_endpoints WHERE id = $1 AND state <> 2");
    let row =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(&mut *reader(handle).await?).await?;
    row.as_ref().map(endpoint).transpose()
}

pub(in crate::store) async fn list(
    handle: &Handle,
    project: &str,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<Endpoint>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM webhook_endpoints WHERE project = $1 AND id > $2 AND state <> 2 ORDER BY id LIMIT $3"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(project)
        .bind(after)
        .bind(limit)
        .fetch_all(&mut *reader(handle).await?)
        .await?;
    rows.iter().map(endpoint).collect()
}

/// Lists endpoints of all projects by id, from behind `after` on.
pub(in crate::store) async fn list_all(
    handle: &Handle,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<Endpoint>> {
    let sql =
        format!("SELECT {COLUMNS} FROM webhook_endpoints WHERE id > $1 AND state <> 2 ORDER BY id LIMIT $2");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(after)
        .bind(limit)
        .fetch_all(&mut *reader(handle).await?)
        .await?;
    rows.iter().map(endpoint).collect()
}

/// Writes what an endpoint has sealed in other words of the same meaning; `false` if it was changed. That makes no version.
pub(in crate::store) async fn reseal(
    handle: &Handle,
    endpoint: &Endpoint,
    headers: &[u8],
    secrets: &[u8],
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE webhook_endpoints SET headers = $4, secrets = $5 WHERE id = $1 AND headers = $2 AND secrets = $3",
    )
    .bind(&endpoint.id)
    .bind(&endpoint.headers)
    .bind(&endpoint.secrets)
    .bind(headers)
    .bind(secrets)
    .execute(&mut *writer(handle).await?)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes an endpoint over the version that it was read as. How it has been is kept by deliverers, who make no version of it:
/// it is forgotten, or left as it is by now.
pub(in crate::store) async fn update(
    handle: &Handle,
    endpoint: &Endpoint,
    settings: &str,
    begins_anew: bool,
    now: i64,
) -> sqlx::Result<bool> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    bump(&mut transaction).await?;
    let done = sqlx::query(
        "UPDATE webhook_endpoints
         SET version = version + 1, settings = $3, state = $4, disabled_reason = $5, headers = $6, secrets = $7,
             failing_since = CASE WHEN $8 THEN NULL ELSE failing_since END,
             last_failure_at = CASE WHEN $8 THEN NULL ELSE last_failure_at END,
             paused_until = CASE WHEN $8 THEN 0 ELSE paused_until END, updated_at = $9
         WHERE id = $1 AND version = $2 AND state <> 2",
    )
    .bind(&endpoint.id)
    .bind(endpoint.version)
    .bind(settings)
    .bind(number(endpoint.state))
    .bind(&endpoint.disabled_reason)
    .bind(&endpoint.headers)
    .bind(&endpoint.secrets)
    .bind(begins_anew)
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    if endpoint.state == EndpointState::Disabled {
        cancel_all(&mut transaction, &endpoint.id, now).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// Makes an endpoint invisible; what belongs to it goes later.
pub(in crate::store) async fn delete(
    handle: &Handle,
    project: &str,
    id: &str,
    now: i64,
) -> sqlx::Result<bool> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    bump(&mut transaction).await?;
    let done = sqlx::query(
        "UPDATE webhook_endpoints SET state = 2, version = version + 1, updated_at = $3
         WHERE project = $1 AND id = $2 AND state <> 2",
    )
    .bind(project)
    .bind(id)
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    cancel_all(&mut transaction, id, now).await?;
    transaction.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// Disables an endpoint for what it did, with the event that says so; `false` if it is not enabled.
pub(in crate::store) async fn disable(
    handle: &Handle,
    id: &str,
    reason: &str,
    event: &WebhookEvent,
    now: i64,
) -> sqlx::Result<bool> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    bump(&mut transaction).await?;
    let done = sqlx::query(
        "UPDATE webhook_endpoints
         SET state = 1, disabled_reason = $2, version = version + 1, updated_at = $3,
             down_since = coalesce(down_since, failing_since, $3)
         WHERE id = $1 AND state = 0",
    )
    .bind(id)
    .bind(reason)
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    cancel_all(&mut transaction, id, now).await?;
    webhook_events::insert(&mut transaction, event, None).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Forgets that an endpoint was failing or disabled for it, with the event that says so, if there is something to say. One that
/// was disabled since it accepted is not back.
pub(in crate::store) async fn recover(
    handle: &Handle,
    id: &str,
    event: Option<&WebhookEvent>,
) -> sqlx::Result<()> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    let done = sqlx::query(
        "UPDATE webhook_endpoints SET failing_since = NULL, last_failure_at = NULL, down_since = NULL
         WHERE id = $1 AND state = 0 AND (failing_since IS NOT NULL OR down_since IS NOT NULL)",
    )
    .bind(id)
    .execute(&mut *transaction)
    .await?;
    if let (1, Some(event)) = (done.rows_affected(), event) {
        webhook_events::insert(&mut transaction, event, None).await?;
    }
    transaction.commit().await
}

/// Leaves an endpoint alone until `until`.
pub(in crate::store) async fn pause(handle: &Handle, id: &str, until: i64) -> sqlx::Result<()> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    bump(&mut transaction).await?;
    sqlx::query("UPDATE webhook_endpoints SET paused_until = $2 WHERE id = $1 AND paused_until < $2")
        .bind(id)
        .bind(until)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// Remembers that an attempt failed at `now`; returns since when there has been nothing but failure. A streak that
/// had no failure since `forgotten` is over: nobody tried, so nobody knows.
pub(in crate::store) async fn note_failure(
    connection: &mut Connection,
    id: &str,
    now: i64,
    forgotten: i64,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar(
        "UPDATE webhook_endpoints
         SET failing_since = CASE WHEN failing_since IS NULL OR last_failure_at IS NULL OR last_failure_at < $3 THEN $2 ELSE failing_since END,
             last_failure_at = $2
         WHERE id = $1 RETURNING failing_since",
    )
    .bind(id)
    .bind(now)
    .bind(forgotten)
    .fetch_optional(connection)
    .await
}

/// Keeps others from an endpoint until the transaction ends, before anything that belongs to it is touched: whoever disables it
/// begins with it, too.
pub(in crate::store) async fn lock(connection: &mut Connection, id: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE webhook_endpoints SET version = version WHERE id = $1")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

async fn cancel_all(connection: &mut Connection, id: &str, now: i64) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE webhook_deliveries SET state = 4, leased = FALSE, ended_at = $2 WHERE endpoint_id = $1 AND state = 0",
    )
    .bind(id)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes what belongs to endpoints that were deleted, a part at a time; tells whether there may be more.
pub(in crate::store) async fn sweep(handle: &Handle, limit: i64) -> sqlx::Result<bool> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    let gone: Option<String> =
        sqlx::query_scalar("SELECT id FROM webhook_endpoints WHERE state = 2 ORDER BY id LIMIT 1")
            .fetch_optional(&mut *transaction)
            .await?;
    let Some(id) = gone else { return Ok(false) };
    let mut left = false;
    for (table, key) in
        [("webhook_attempts", "event_id"), ("webhook_deliveries", "event_id"), ("webhook_replays", "id")]
    {
        let sql = format!(
            "DELETE FROM {table} WHERE endpoint_id = $1
             AND {key} IN (SELECT {key} FROM {table} WHERE endpoint_id = $1 LIMIT $2)"
        );
        let done =
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&id).bind(limit).execute(&mut *transaction).await?;
        left |= done.rows_affected() > 0;
    }
    if !left {
        sqlx::query("DELETE FROM webhook_endpoints WHERE id = $1")
            .bind(&id)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(true)
}

fn number(state: EndpointState) -> i16 {
    match state {
        EndpointState::Enabled => ENABLED,
        EndpointState::Disabled => DISABLED,
    }
}
