//! Operations, row by row in transactions of the one writer.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{Files, events, operation_records::read};
use crate::{
    model::{Operation, OperationId},
    store::operations::{COLUMNS, COMPANY, Change, Room},
};

pub(in crate::store) async fn open_named(
    files: &Files,
    upstream: &str,
    names: &[String],
) -> sqlx::Result<Vec<Operation>> {
    let statement = format!(
        "SELECT {COLUMNS} FROM operations
         WHERE ended_at IS NULL AND deleted_at IS NULL AND upstream = "
    );
    let mut query = QueryBuilder::<Sqlite>::new(statement);
    query.push_bind(upstream).push(" AND upstream_name IN (");
    let mut list = query.separated(", ");
    for name in names {
        list.push_bind(name);
    }
    query.push(")");
    let rows = query.build().fetch_all(files.reader()).await?;
    rows.iter().map(read).collect()
}

/// Takes the parents of what has been due for longest, and of each what is due or nearly so.
pub(in crate::store) async fn claim(
    files: &Files,
    now: i64,
    until: i64,
    room: Room,
    upstream: &str,
) -> sqlx::Result<Vec<Operation>> {
    // A look that changes nothing need not wait for the writer.
    let due: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM operations WHERE ended_at IS NULL AND upstream = $2 AND poll_at <= $1 LIMIT 1",
    )
    .bind(now)
    .bind(upstream)
    .fetch_optional(files.reader())
    .await?;
    if due.is_none() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::<Sqlite>::new("UPDATE operations SET poll_at = ");
    query.push_bind(until).push(", lease_until = ").push_bind(until);
    query.push(", lease_token = lease_token + 1 WHERE id IN (SELECT mine.id FROM operations AS mine JOIN (");
    query.push("SELECT upstream, parent, min(poll_at) AS since FROM (SELECT upstream, parent, poll_at FROM operations ");
    query.push("WHERE ended_at IS NULL AND poll_at <= ").push_bind(now);
    query.push(" AND upstream = ").push_bind(upstream);
    query.push(" ORDER BY poll_at LIMIT ").push_bind(i64::from(room.rows));
    query.push(") GROUP BY upstream, parent ORDER BY since LIMIT ").push_bind(i64::from(room.questions));
    query.push(") AS parents ON mine.upstream = parents.upstream AND mine.parent = parents.parent ");
    query.push("WHERE mine.ended_at IS NULL AND mine.poll_at <= ").push_bind(now + COMPANY);
    query.push(" AND mine.poll_at - mine.spacing / 4 <= ").push_bind(now);
    query.push(" AND mine.lease_until <= ").push_bind(now);
    query.push(" ORDER BY parents.since, mine.poll_at LIMIT ").push_bind(i64::from(room.rows));
    query.push(format!(") RETURNING {COLUMNS}"));
    let rows = query.build().fetch_all(&mut *files.writer().await?).await?;
    rows.iter().map(read).collect()
}

pub(in crate::store) async fn write_claimed(files: &Files, changes: &[Change]) -> sqlx::Result<usize> {
    let mut writer = files.writer().await?;
    let mut transaction = writer.begin().await?;
    let mut fenced = 0;
    for change in changes {
        let written = if change.visible {
            write_visible(&mut transaction, change).await?
        } else {
            write_quiet(&mut transaction, &change.operation).await?
        };
        if written {
            events::insert(&mut transaction, &change.events.iter().collect::<Vec<_>>()).await?;
        } else {
            fenced += 1;
        }
    }
    transaction.commit().await?;
    Ok(fenced)
}

async fn write_quiet(connection: &mut SqliteConnection, it: &Operation) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE operations SET poll_at = $3, spacing = $4, failures = $5, lease_until = 0
         WHERE id = $1 AND lease_token = $2 AND ended_at IS NULL",
    )
    .bind(&it.id.0[..])
    .bind(it.lease_token)
    .bind(it.poll_at)
    .bind(it.spacing)
    .bind(it.failures)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes everything that a look can change, where the claim still holds.
async fn write_visible(connection: &mut SqliteConnection, change: &Change) -> sqlx::Result<bool> {
    let it = &change.operation;
    let done = sqlx::query(
        "UPDATE operations
         SET state = $3, version = version + 1, progress = $4, started_at = $5, updated_at = $6, ended_at = $7,
             metadata = $8, response = $9, error = $10, source = $11, problem = $12, target = $13, run = $14,
             poll_at = $15, spacing = $16, failures = $17, lease_until = 0
         WHERE id = $1 AND lease_token = $2 AND ended_at IS NULL",
    )
    .bind(&it.id.0[..])
    .bind(it.lease_token)
    .bind(it.state.name())
    .bind(it.progress)
    .bind(it.started_at)
    .bind(it.updated_at)
    .bind(it.ended_at)
    .bind(&it.metadata)
    .bind(&it.response)
    .bind(&it.error)
    .bind(&it.source)
    .bind(&it.problem)
    .bind(&it.target)
    .bind(&it.run)
    .bind(it.poll_at)
    .bind(it.spacing)
    .bind(it.failures)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(in crate::store) async fn write_seen(
    files: &Files,
    change: &Change,
    version_before: i64,
) -> sqlx::Result<bool> {
    let mut writer = files.writer().await?;
    let mut transaction = writer.begin().await?;
    // Whoever holds a claim saw the operation before this, so its claim ends here.
    let held: Option<i64> = sqlx::query_scalar(
        "UPDATE operations SET lease_token = lease_token + 1
         WHERE id = $1 AND version = $2 AND ended_at IS NULL AND deleted_at IS NULL RETURNING lease_token",
    )
    .bind(&change.operation.id.0[..])
    .bind(version_before)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(token) = held else { return Ok(false) };
    let mut change = change.clone();
    change.operation.lease_token = token;
    write_visible(&mut transaction, &change).await?;
    events::insert(&mut transaction, &change.events.iter().collect::<Vec<_>>()).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(in crate::store) async fn hurry(
    files: &Files,
    ids: &[OperationId],
    now: i64,
    pause: i64,
) -> sqlx::Result<()> {
    let mut writer = files.writer().await?;
    let mut transaction = writer.begin().await?;
    for id in ids {
        sqlx::query(
            "UPDATE operations SET poll_at = $2
             WHERE id = $1 AND ended_at IS NULL AND lease_until <= $2 AND poll_at > $2 AND poll_at - spacing + $3 <= $2",
        )
        .bind(&id.0[..])
        .bind(now)
        .bind(pause)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}

pub(in crate::store) async fn versions(
    files: &Files,
    ids: &[OperationId],
) -> sqlx::Result<Vec<(Vec<u8>, i64)>> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT id, version FROM operations WHERE deleted_at IS NULL AND id IN (",
    );
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(id.0.to_vec());
    }
    query.push(")");
    query.build_query_as().fetch_all(files.reader()).await
}

pub(in crate::store) async fn forget(files: &Files, floor: i64, rows_max: u32) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM operations WHERE id IN (
             SELECT id FROM operations WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)",
    )
    .bind(floor)
    .bind(i64::from(rows_max))
    .execute(&mut *files.writer().await?)
    .await?;
    Ok(done.rows_affected())
}
