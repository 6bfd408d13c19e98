//! The audit log, in partitions of a month.

use jiff::{Timestamp, Zoned, civil::Date, tz::TimeZone};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _, postgres::PgRow};

use crate::{
    crypto::Signer,
    store::audit::{Closed, Columns, Filter, GENESIS, Seal, Sealed, Walk, chain, page_query},
};

/// Held by whoever seals.
const LOCK: i64 = 0x6361_7573_6561_6c00;
/// What the names of partitions begin with; year and month follow.
const PARTITION: &str = "audit_entries_";

/// A day, in microseconds.
const DAY: i64 = 24 * 3600 * 1_000_000;

pub(in crate::store) async fn insert_closed(
    pool: &PgPool,
    rows: &[Closed],
    instance: &[u8],
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO journal (id, instance, opened_at, entry, closed_at, outcome)
         SELECT id, $1, opened_at, entry, closed_at, outcome
         FROM UNNEST($2::bytea[], $3::bigint[], $4::text[], $5::bigint[], $6::text[])
              AS new (id, opened_at, entry, closed_at, outcome)
         ON CONFLICT DO NOTHING",
    )
    .bind(instance)
    .bind(rows.iter().map(|row| &row.id[..]).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.opened_at).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.entry.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.closed_at).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.outcome.as_str()).collect::<Vec<_>>())
    .execute(pool)
    .await?;
    Ok(())
}

/// Moves closed rows into the log, unless another replica is at it.
pub(in crate::store) async fn seal(
    pool: &PgPool,
    signer: &Signer,
    now: Timestamp,
    rows_max: u32,
) -> sqlx::Result<usize> {
    let mut transaction = pool.begin().await?;
    let connection = &mut *transaction;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *connection).await?;
    let rows = sqlx::query(
        "DELETE FROM journal WHERE id = ANY (ARRAY(
             SELECT id FROM journal WHERE closed_at IS NOT NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED))
         RETURNING id, opened_at, entry, closed_at, outcome",
    )
    .bind(i64::from(rows_max))
    .fetch_all(&mut *connection)
    .await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let mut rows = rows.iter().map(closed).collect::<sqlx::Result<Vec<_>>>()?;
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    let last: Option<(i64, i64, Vec<u8>)> =
        sqlx::query_as("SELECT last_seq, sealed_at, root FROM audit_seals ORDER BY first_seq DESC LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
    let (after, sealed_before, previous) = last.unwrap_or((0, i64::MIN, GENESIS.to_vec()));
    // Numbers and times grow together, so that a partition holds a range of numbers.
    let sealed_at = now.as_microsecond().max(sealed_before);
    ensure_partition(connection, sealed_at).await?;
    let (sealed, seal) = chain(rows, after, &previous, sealed_at, signer);
    insert(connection, &sealed).await?;
    if let Some(seal) = seal {
        sqlx::query(
            "INSERT INTO audit_seals (first_seq, last_seq, sealed_at, previous, root, public_key, signature)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(seal.first_seq)
        .bind(seal.last_seq)
        .bind(seal.sealed_at)
        .bind(seal.previous)
        .bind(seal.root)
        .bind(seal.public_key)
        .bind(seal.signature)
        .execute(&mut *connection)
        .await?;
    }
    transaction.commit().await?;
    Ok(sealed.len())
}

fn closed(row: &PgRow) -> sqlx::Result<Closed> {
    Ok(Closed {
        id: row.try_get(0)?,
        opened_at: row.try_get(1)?,
        entry: row.try_get(2)?,
        closed_at: row.try_get(3)?,
        outcome: row.try_get(4)?,
    })
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
    .bind(sealed.iter().map(|row| row.columns.request_id.as_str()).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| row.columns.principal.as_str()).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| row.columns.project.as_str()).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| row.columns.method.as_str()).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| row.columns.resource.as_str()).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| row.columns.status).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| row.entry.as_str()).collect::<Vec<_>>())
    .bind(sealed.iter().map(|row| row.outcome.as_str()).collect::<Vec<_>>())
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
        // A name of our own making and two numbers.
        let statement = format!(
            "CREATE TABLE IF NOT EXISTS {name} PARTITION OF audit_entries FOR VALUES FROM ({from}) TO ({until})"
        );
        sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
    }
    Ok(())
}

pub(in crate::store) async fn page(pool: &PgPool, filter: &Filter, walk: Walk) -> sqlx::Result<Vec<Sealed>> {
    let rows = page_query(filter, walk).build().fetch_all(pool).await?;
    rows.iter().map(sealed).collect()
}

fn sealed(row: &PgRow) -> sqlx::Result<Sealed> {
    Ok(Sealed {
        seq: row.try_get(0)?,
        sealed_at: row.try_get(1)?,
        id: row.try_get(2)?,
        opened_at: row.try_get(3)?,
        closed_at: row.try_get(4)?,
        entry: row.try_get(5)?,
        outcome: row.try_get(6)?,
        digest: row.try_get(7)?,
        columns: Columns {
            request_id: row.try_get(8)?,
            principal: row.try_get(9)?,
            project: row.try_get(10)?,
            method: row.try_get(11)?,
            resource: row.try_get(12)?,
            status: row.try_get(13)?,
        },
    })
}

pub(in crate::store) async fn seals(pool: &PgPool, after: i64, rows_max: u32) -> sqlx::Result<Vec<Seal>> {
    let rows = sqlx::query(
        "SELECT first_seq, last_seq, sealed_at, previous, root, public_key, signature FROM audit_seals
         WHERE first_seq > $1 ORDER BY first_seq LIMIT $2",
    )
    .bind(after)
    .bind(i64::from(rows_max))
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Seal {
                first_seq: row.try_get(0)?,
                last_seq: row.try_get(1)?,
                sealed_at: row.try_get(2)?,
                previous: row.try_get(3)?,
                root: row.try_get(4)?,
                public_key: row.try_get(5)?,
                signature: row.try_get(6)?,
            })
        })
        .collect()
}

/// Drops the partitions of months that ended before `floor`.
pub(in crate::store) async fn forget(pool: &PgPool, floor: i64) -> sqlx::Result<()> {
    let Some((keep, ..)) = month(floor) else { return Ok(()) };
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT child.relname::text FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
         WHERE inhparent = to_regclass('audit_entries')",
    )
    .fetch_all(pool)
    .await?;
    // Names of our own sort by month.
    for name in names.iter().filter(|name| name.starts_with(PARTITION) && **name < keep) {
        sqlx::query(AssertSqlSafe(format!("DROP TABLE {name}"))).execute(pool).await?;
        tracing::info!(partition = name, "dropped a month of the audit log");
    }
    Ok(())
}

pub(in crate::store) async fn forget_keys(pool: &PgPool, now: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM idempotency_keys WHERE expires_at <= $1").bind(now).execute(pool).await?;
    // A gateway that is gone this long has nothing open any more.
    sqlx::query("DELETE FROM instances WHERE alive_until < $1").bind(now - DAY).execute(pool).await?;
    Ok(())
}
