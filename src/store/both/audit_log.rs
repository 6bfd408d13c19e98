//! The audit log, in words that both dialects understand.

use sqlx::Row as _;

use super::{Connection, Handle, Row, begin, reader, writer};
use crate::store::{
    Projects,
    audit::{Closed, Columns, Filter, GENESIS, Seal, Sealed, Walk, entry_query, page_query},
};

/// A day, in microseconds.
const DAY: i64 = 24 * 3600 * 1_000_000;

/// Reads a row of the journal that has ended.
pub(in crate::store) fn closed(row: &Row) -> sqlx::Result<Closed> {
    let (entry, outcome): (&str, &str) = (row.try_get(2)?, row.try_get(4)?);
    Ok(Closed {
        id: row.try_get(0)?,
        opened_at: row.try_get(1)?,
        closed_at: row.try_get(3)?,
        columns: Columns::read(entry, outcome),
        entry: entry.into(),
        outcome: outcome.into(),
    })
}

fn sealed(row: &Row) -> sqlx::Result<Sealed> {
    let text = |at: usize| row.try_get::<&str, _>(at).map(Into::into);
    Ok(Sealed {
        seq: row.try_get(0)?,
        sealed_at: row.try_get(1)?,
        id: row.try_get(2)?,
        opened_at: row.try_get(3)?,
        closed_at: row.try_get(4)?,
        entry: text(5)?,
        outcome: text(6)?,
        digest: row.try_get(7)?,
        columns: Columns {
            request_id: text(8)?,
            principal: text(9)?,
            project: text(10)?,
            method: text(11)?,
            resource: text(12)?,
            status: row.try_get(13)?,
        },
    })
}

/// Where the log ends.
pub(in crate::store) struct End {
    /// Number of its last entry; 0 if it is empty.
    pub(in crate::store) seq: i64,
    /// When that was sealed, in microseconds since 1970.
    pub(in crate::store) sealed_at: i64,
    /// Its digest.
    pub(in crate::store) root: Vec<u8>,
}

/// Finds the end of the log, in the transaction of whoever goes on from there.
pub(in crate::store) async fn end(connection: &mut Connection) -> sqlx::Result<End> {
    let last: Option<(i64, i64, Vec<u8>)> =
        sqlx::query_as("SELECT last_seq, sealed_at, root FROM audit_seals ORDER BY first_seq DESC LIMIT 1")
            .fetch_optional(connection)
            .await?;
    let (seq, sealed_at, root) = last.unwrap_or((0, i64::MIN, GENESIS.to_vec()));
    Ok(End { seq, sealed_at, root })
}

/// Writes the end of a batch.
pub(in crate::store) async fn insert_seal(connection: &mut Connection, seal: Seal) -> sqlx::Result<()> {
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
    .execute(connection)
    .await?;
    Ok(())
}

/// Lists entries.
pub(in crate::store) async fn page(
    handle: &Handle,
    filter: &Filter,
    walk: Walk,
) -> sqlx::Result<Vec<Sealed>> {
    let rows = page_query(filter, walk).build().fetch_all(&mut *reader(handle).await?).await?;
    rows.iter().map(sealed).collect()
}

/// Finds one entry.
pub(in crate::store) async fn entry(
    handle: &Handle,
    id: &[u8; 16],
    projects: &Projects,
) -> sqlx::Result<Option<Sealed>> {
    let row = entry_query(id, projects).build().fetch_optional(&mut *reader(handle).await?).await?;
    row.as_ref().map(sealed).transpose()
}

/// Lists the ends of batches behind the one that begins with `after`.
pub(in crate::store) async fn seals(handle: &Handle, after: i64, rows_max: u32) -> sqlx::Result<Vec<Seal>> {
    let rows = sqlx::query(
        "SELECT first_seq, last_seq, sealed_at, previous, root, public_key, signature FROM audit_seals
         WHERE first_seq > $1 ORDER BY first_seq LIMIT $2",
    )
    .bind(after)
    .bind(i64::from(rows_max))
    .fetch_all(&mut *reader(handle).await?)
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

/// Seals that are deleted at once: more than come between two times that what is old is looked for.
const SEALS_FORGOTTEN_MAX: i64 = 100_000;

/// Deletes seals that were made before `floor` and have no entries any more, but for the last of them.
pub(in crate::store) async fn forget_seals(handle: &Handle, floor: i64) -> sqlx::Result<()> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    let first_kept: Option<i64> =
        sqlx::query_scalar("SELECT min(seq) FROM audit_entries").fetch_one(&mut *transaction).await?;
    // A batch begins before it ends: to say so bounds what is looked at.
    let last: Option<i64> = sqlx::query_scalar(
        "SELECT max(first_seq) FROM audit_seals WHERE sealed_at < $1 AND last_seq < $2 AND first_seq < $2",
    )
    .bind(floor)
    .bind(first_kept.unwrap_or(i64::MAX))
    .fetch_one(&mut *transaction)
    .await?;
    if let Some(last) = last {
        sqlx::query(
            "DELETE FROM audit_seals
             WHERE first_seq IN (SELECT first_seq FROM audit_seals WHERE first_seq < $1 ORDER BY first_seq LIMIT $2)",
        )
        .bind(last)
        .bind(SEALS_FORGOTTEN_MAX)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}

/// Deletes up to `rows_max` Idempotency-Keys that are over, and gateways that are gone. Tells whether there may be more keys.
pub(in crate::store) async fn forget_keys(handle: &Handle, now: i64, rows_max: u32) -> sqlx::Result<bool> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    // Asked of each row again: one that was found may be in use anew.
    let keys = sqlx::query(
        "DELETE FROM idempotency_keys
         WHERE scope IN (SELECT scope FROM idempotency_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
           AND expires_at <= $1",
    )
    .bind(now)
    .bind(i64::from(rows_max))
    .execute(&mut *transaction)
    .await?;
    // A gateway that is gone this long has nothing open any more.
    sqlx::query("DELETE FROM instances WHERE alive_until < $1")
        .bind(now - DAY)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(keys.rows_affected() >= u64::from(rows_max))
}
