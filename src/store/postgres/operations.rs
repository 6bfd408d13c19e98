//! Operations, many rows in one statement.

use std::collections::HashSet;

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::{events, operation_records::read};
use crate::{
    model::{Event, Operation, OperationId},
    store::operations::{COLUMNS, COMPANY, Change, Room},
};

pub(in crate::store) async fn open_named(
    pool: &PgPool,
    upstream: &str,
    names: &[String],
) -> sqlx::Result<Vec<Operation>> {
    let statement = format!(
        "SELECT {COLUMNS} FROM operations
         WHERE upstream = $1 AND upstream_name = ANY($2) AND ended_at IS NULL AND deleted_at IS NULL"
    );
    let rows = sqlx::query(AssertSqlSafe(statement)).bind(upstream).bind(names).fetch_all(pool).await?;
    rows.iter().map(read).collect()
}

/// Takes the parents of what has been due for longest, and of each what is due or nearly so. Those of one parent are due
/// together, so as many rows are looked through for parents as may be taken: fewer would be of one parent or two.
pub(in crate::store) async fn claim(
    pool: &PgPool,
    now: i64,
    until: i64,
    room: Room,
    upstream: &str,
) -> sqlx::Result<Vec<Operation>> {
    let columns: Vec<String> = COLUMNS.split(',').map(|column| format!("o.{}", column.trim())).collect();
    let statement = format!(
        "WITH oldest AS MATERIALIZED (
             SELECT parent, poll_at FROM operations
             WHERE ended_at IS NULL AND poll_at <= $1 AND upstream = $3 ORDER BY poll_at LIMIT $4),
         parents AS MATERIALIZED (
             SELECT parent FROM oldest GROUP BY parent ORDER BY min(poll_at) LIMIT $5),
         due AS MATERIALIZED (
             SELECT mine.id FROM parents CROSS JOIN LATERAL (
                 SELECT id FROM operations
                 WHERE ended_at IS NULL AND upstream = $3 AND parent = parents.parent
                   AND poll_at <= $1 + {COMPANY} AND poll_at - spacing / 4 <= $1 AND lease_until <= $1
                 ORDER BY poll_at LIMIT CASE parents.parent WHEN '' THEN $5 ELSE $4 END
                 FOR UPDATE SKIP LOCKED) AS mine
             LIMIT $4)
         UPDATE operations o SET poll_at = $2, lease_until = $2, lease_token = lease_token + 1
         FROM due WHERE o.id = ANY (ARRAY[due.id]) RETURNING {}",
        columns.join(", ")
    );
    let rows = sqlx::query(AssertSqlSafe(statement))
        .bind(now)
        .bind(until)
        .bind(upstream)
        .bind(i64::from(room.rows))
        .bind(i64::from(room.questions))
        .fetch_all(pool)
        .await?;
    rows.iter().map(read).collect()
}

/// Writes down looks at which nothing had changed, where the claims still hold. Each operation is found by its key: `IS TRUE`
/// keeps the indexes of what is under way out of it, which the server takes for the smaller ones before it has counted rows.
pub(super) const QUIET: &str =
    "UPDATE operations o SET poll_at = new.poll_at, spacing = new.spacing, failures = new.failures, lease_until = 0
     FROM UNNEST($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[])
          AS new (id, token, poll_at, spacing, failures)
     WHERE o.id = ANY (ARRAY[new.id]) AND o.lease_token = new.token AND (o.ended_at IS NULL) IS TRUE";

pub(in crate::store) async fn write_claimed(pool: &PgPool, changes: &[Change]) -> sqlx::Result<usize> {
    let (visible, quiet): (Vec<&Change>, Vec<&Change>) = changes.iter().partition(|change| change.visible);
    let mut written = 0;
    if !quiet.is_empty() {
        let done = sqlx::query(QUIET)
            .bind(quiet.iter().map(|change| &change.operation.id.0[..]).collect::<Vec<_>>())
            .bind(quiet.iter().map(|change| change.operation.lease_token).collect::<Vec<_>>())
            .bind(quiet.iter().map(|change| change.operation.poll_at).collect::<Vec<_>>())
            .bind(quiet.iter().map(|change| change.operation.spacing).collect::<Vec<_>>())
            .bind(quiet.iter().map(|change| change.operation.failures).collect::<Vec<_>>())
            .execute(pool)
            .await?;
        written += usize::try_from(done.rows_affected()).unwrap_or(usize::MAX);
    }
    if !visible.is_empty() {
        let mut transaction = pool.begin().await?;
        let ids = write_visible(&mut transaction, &visible).await?;
        let told: Vec<&Event> = visible
            .iter()
            .filter(|change| ids.contains(&change.operation.id.0[..]))
            .flat_map(|change| &change.events)
            .collect();
        events::insert(&mut transaction, &told).await?;
        transaction.commit().await?;
        written += ids.len();
    }
    Ok(changes.len().saturating_sub(written))
}

/// Writes everything that a look can change, where the claim still holds; returns of which operations it did.
async fn write_visible(connection: &mut PgConnection, changes: &[&Change]) -> sqlx::Result<HashSet<Vec<u8>>> {
    let mut changes: Vec<&Operation> = changes.iter().map(|change| &change.operation).collect();
    // In one order everywhere, so that two writers never wait for one another.
    changes.sort_by_key(|it| it.id);
    macro_rules! all {
        ($it:ident => $value:expr) => {
            changes.iter().map(|$it| $value).collect::<Vec<_>>()
        };
    }
    let ids: Vec<Vec<u8>> = sqlx::query_scalar(
        "UPDATE operations o
         SET state = new.state, version = o.version + 1, progress = new.progress, started_at = new.started_at,
             updated_at = new.updated_at, ended_at = new.ended_at, metadata = new.metadata, response = new.response,
             error = new.error, source = new.source, problem = new.problem, target = new.target, run = new.run,
             poll_at = new.poll_at, spacing = new.spacing, failures = new.failures, lease_until = 0
         FROM UNNEST($1::bytea[], $2::bigint[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[], $7::bigint[],
                     $8::bytea[], $9::bytea[], $10::bytea[], $11::bytea[], $12::text[], $13::text[], $14::text[],
                     $15::bigint[], $16::bigint[], $17::integer[])
              AS new (id, token, state, progress, started_at, updated_at, ended_at, metadata, response, error, source,
                      problem, target, run, poll_at, spacing, failures)
         WHERE o.id = ANY (ARRAY[new.id]) AND o.lease_token = new.token AND (o.ended_at IS NULL) IS TRUE
         RETURNING o.id",
    )
    .bind(all!(it => &it.id.0[..]))
    .bind(all!(it => it.lease_token))
    .bind(all!(it => it.state.name()))
    .bind(all!(it => it.progress))
    .bind(all!(it => it.started_at))
    .bind(all!(it => it.updated_at))
    .bind(all!(it => it.ended_at))
    .bind(all!(it => &it.metadata[..]))
    .bind(all!(it => &it.response[..]))
    .bind(all!(it => &it.error[..]))
    .bind(all!(it => &it.source[..]))
    .bind(all!(it => it.problem.as_str()))
    .bind(all!(it => it.target.as_str()))
    .bind(all!(it => it.run.as_str()))
    .bind(all!(it => it.poll_at))
    .bind(all!(it => it.spacing))
    .bind(all!(it => it.failures))
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().collect())
}

pub(in crate::store) async fn write_seen(
    pool: &PgPool,
    change: &Change,
    version_before: i64,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
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
    write_visible(&mut transaction, &[&change]).await?;
    events::insert(&mut transaction, &change.events.iter().collect::<Vec<_>>()).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(in crate::store) async fn hurry(
    pool: &PgPool,
    ids: &[OperationId],
    now: i64,
    pause: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE operations SET poll_at = $2
         WHERE id = ANY($1) AND (ended_at IS NULL) IS TRUE AND lease_until <= $2 AND poll_at > $2 AND poll_at - spacing + $3 <= $2",
    )
    .bind(ids.iter().map(|id| &id.0[..]).collect::<Vec<_>>())
    .bind(now)
    .bind(pause)
    .execute(pool)
    .await?;
    Ok(())
}

pub(in crate::store) async fn versions(
    pool: &PgPool,
    ids: &[OperationId],
) -> sqlx::Result<Vec<(Vec<u8>, i64)>> {
    sqlx::query_as("SELECT id, version FROM operations WHERE id = ANY($1) AND deleted_at IS NULL")
        .bind(ids.iter().map(|id| &id.0[..]).collect::<Vec<_>>())
        .fetch_all(pool)
        .await
}

pub(in crate::store) async fn forget(pool: &PgPool, floor: i64, rows_max: u32) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM operations WHERE id = ANY (ARRAY(
             SELECT id FROM operations WHERE ended_at < $1 ORDER BY ended_at LIMIT $2))",
    )
    .bind(floor)
    .bind(i64::from(rows_max))
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
