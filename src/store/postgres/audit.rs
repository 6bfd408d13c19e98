//! The audit log, in partitions of a month.

use jiff::{Timestamp, Zoned, civil::Date, tz::TimeZone};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::audit_log::{self, closed};
use crate::{
    crypto::Signer,
    store::{
        audit::{Closed, Sealed, chain},
        failure,
    },
};

/// Held by whoever seals.
const LOCK: i64 = 0x6361_7573_6561_6c00;
/// What the names of partitions begin with; year and month follow.
const PARTITION: &str = "audit_entries_";

/// Writes what needed no intent into the log, together with closed rows of the journal, once no other replica is at it.
/// Returns how many of these there were.
pub(in crate::store) async fn seal(
    pool: &PgPool,
    signer: &Signer,
    now: i64,
    mut rows: Vec<Closed>,
    rows_max: u32,
) -> sqlx::Result<usize> {
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    let moved = sqlx::query(
        "DELETE FROM journal WHERE id = ANY (ARRAY(
             SELECT id FROM journal WHERE closed_at IS NOT NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED))
         RETURNING id, opened_at, entry, closed_at, outcome",
    )
    .bind(i64::from(rows_max))
    .fetch_all(&mut *transaction)
    .await?;
    for row in &moved {
        rows.push(closed(row)?);
    }
    if !rows.is_empty() {
        append(&mut transaction, signer, now, rows).await?;
        transaction.commit().await?;
    }
    Ok(moved.len())
}

/// Lets one replica at a time find the end of the log and go on from there, until its transaction ends.
async fn lock(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(connection).await?;
    Ok(())
}

/// Writes rows behind the end of the log.
async fn append(
    connection: &mut PgConnection,
    signer: &Signer,
    now: i64,
    rows: Vec<Closed>,
) -> sqlx::Result<()> {
    let end = audit_log::end(connection).await?;
    // Numbers and times grow together, so that a partition holds a range of numbers.
    let sealed_at = now.max(end.sealed_at);
    ensure_partition(connection, sealed_at).await?;
    let (sealed, seal) = chain(rows, end.seq, &end.root, sealed_at, signer);
    insert(connection, &sealed).await?;
    match seal {
        Some(seal) => audit_log::insert_seal(connection, seal).await,
        None => Ok(()),
    }
}

async fn insert(connection: &mut PgConnection, sealed: &[Sealed]) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO audit_entries (seq, sealed_at, id, opened_at, closed_at, request_id, principal, project, method,
                                    resource, status, entry, outcome, digest)
         SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[], $6::text[], $7::text[],
                              $8::text[], $9::text[], $10::text[], $11::integer[], $12::text[], $13::text[], $14::bytea[])",
    )
    .bind(sealed.iter().map(|row| row.seq).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| row.sealed_at).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| &row.id[..]).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| row.opened_at).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| row.closed_at).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| &*row.columns.request_id).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| &*row.columns.principal).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| &*row.columns.project).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| &*row.columns.method).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| &*row.columns.resource).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| row.columns.status).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| &*row.entry).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| &*row.outcome).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| &row.digest[..]).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// A month: the name of its partition, its first microsecond, and that of the next.
fn month(micros: i64) -> Option<(String, i64, i64)> {
    let day = Zoned::new(Timestamp::from_microsecond(micros).ok()?, TimeZone::UTC).date();
    let first = day.first_of_month();
    let next = first.last_of_month().tomorrow().ok()?;
    let start = |date: Date| Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond());
    Some((format!("{PARTITION}{:04}_{:02}", first.year(), first.month()), start(first)?, start(next)?))
}

async fn ensure_partition(connection: &mut PgConnection, sealed_at: i64) -> sqlx::Result<()> {
    let Some((name, from, until)) = month(sealed_at) else {
        return Err(sqlx::Error::Configuration("the time is outside of the calendar".into()));
    };
    let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(&name)
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        // Made by itself and then attached, which waits for nobody who reads. Made as a partition it would wait for a backup
        // that began before midnight, and everybody else for it. A name of our own making and two numbers.
        let statement = format!(
            "CREATE TABLE {name} (LIKE audit_entries INCLUDING ALL);
             ALTER TABLE audit_entries ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({until})"
        );
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await?;
    }
    Ok(())
}

/// How long a month that goes may wait for those who read it, while whoever wants to write waits behind it.
const DROP_WAIT_MAX: &str = "SET LOCAL lock_timeout = '200ms'";

/// Drops the partitions of months that ended before `floor`. One that somebody reads stays for now.
pub(in crate::store) async fn forget(pool: &PgPool, floor: i64, _rows_max: u32) -> sqlx::Result<bool> {
    let Some((keep, ..)) = month(floor) else { return Ok(false) };
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT child.relname::text FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
         WHERE inhparent = to_regclass('audit_entries')",
    )
    .fetch_all(pool)
    .await?;
    // Names of our own sort by month.
    for name in names.iter().filter(|name| name.starts_with(PARTITION) && **name < keep) {
        let mut transaction = pool.begin().await?;
        sqlx::raw_sql(DROP_WAIT_MAX).execute(&mut *transaction).await?;
        match sqlx::query(AssertSqlSafe(format!("DROP TABLE IF EXISTS {name}")))
            .execute(&mut *transaction)
            .await
        {
            Ok(_) => {
                transaction.commit().await?;
                tracing::info!(partition = name, "dropped a month of the audit log");
            }
            Err(error) if failure::is_locked(&error) => {
                tracing::info!(
                    partition = name,
                    "a month of the audit log is old, but in use, perhaps by a backup: it is dropped later"
                );
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
