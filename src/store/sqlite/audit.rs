//! The audit log, in one table.

use sqlx::{Row as _, sqlite::SqliteRow};

use super::Files;
use crate::{
    crypto::Signer,
    store::audit::{Closed, Columns, Filter, GENESIS, Seal, Sealed, Walk, chain, page_query},
};

/// A day, in microseconds.
const DAY: i64 = 24 * 3600 * 1_000_000;

pub(in crate::store) async fn insert_closed(
    files: &Files,
    rows: &[Closed],
    instance: &[u8],
) -> sqlx::Result<()> {
    let mut transaction = files.begin().await?;
    for row in rows {
        sqlx::query(
            "INSERT INTO journal (id, instance, opened_at, entry, closed_at, outcome) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT DO NOTHING",
        )
        .bind(&row.id)
        .bind(instance)
        .bind(row.opened_at)
        .bind(&row.entry)
        .bind(row.closed_at)
        .bind(&row.outcome)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}

/// Moves closed rows into the log.
pub(in crate::store) async fn seal(
    files: &Files,
    signer: &Signer,
    now: i64,
    rows_max: u32,
) -> sqlx::Result<usize> {
    let mut transaction = files.begin().await?;
    let rows: Vec<Closed> = sqlx::query(
        "SELECT id, opened_at, entry, closed_at, outcome FROM journal WHERE closed_at IS NOT NULL ORDER BY id LIMIT $1",
    )
    .bind(i64::from(rows_max))
    .fetch_all(&mut *transaction)
    .await?
    .iter()
    .map(closed)
    .collect::<sqlx::Result<_>>()?;
    if rows.is_empty() {
        return Ok(0);
    }
    let last: Option<(i64, i64, Vec<u8>)> =
        sqlx::query_as("SELECT last_seq, sealed_at, root FROM audit_seals ORDER BY first_seq DESC LIMIT 1")
            .fetch_optional(&mut *transaction)
            .await?;
    let (after, sealed_before, previous) = last.unwrap_or((0, i64::MIN, GENESIS.to_vec()));
    let (sealed, seal) = chain(rows, after, &previous, now.max(sealed_before), signer);
    for row in &sealed {
        sqlx::query("DELETE FROM journal WHERE id = $1").bind(&row.id).execute(&mut *transaction).await?;
        sqlx::query(
            "INSERT INTO audit_entries (seq, sealed_at, id, opened_at, closed_at, request_id, principal, project, method,
                                        resource, status, entry, outcome, digest)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        )
        .bind(row.seq)
        .bind(row.sealed_at)
        .bind(&row.id)
        .bind(row.opened_at)
        .bind(row.closed_at)
        .bind(&row.columns.request_id)
        .bind(&row.columns.principal)
        .bind(&row.columns.project)
        .bind(&row.columns.method)
        .bind(&row.columns.resource)
        .bind(row.columns.status)
        .bind(&row.entry)
        .bind(&row.outcome)
        .bind(&row.digest)
        .execute(&mut *transaction)
        .await?;
    }
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
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(sealed.len())
}

fn closed(row: &SqliteRow) -> sqlx::Result<Closed> {
    Ok(Closed {
        id: row.try_get(0)?,
        opened_at: row.try_get(1)?,
        entry: row.try_get(2)?,
        closed_at: row.try_get(3)?,
        outcome: row.try_get(4)?,
    })
}

pub(in crate::store) async fn page(files: &Files, filter: &Filter, walk: Walk) -> sqlx::Result<Vec<Sealed>> {
    let rows = page_query(filter, walk).build().fetch_all(files.reader()).await?;
    rows.iter().map(sealed).collect()
}

fn sealed(row: &SqliteRow) -> sqlx::Result<Sealed> {
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

pub(in crate::store) async fn seals(files: &Files, after: i64, rows_max: u32) -> sqlx::Result<Vec<Seal>> {
    let rows = sqlx::query(
        "SELECT first_seq, last_seq, sealed_at, previous, root, public_key, signature FROM audit_seals
         WHERE first_seq > $1 ORDER BY first_seq LIMIT $2",
    )
    .bind(after)
    .bind(i64::from(rows_max))
    .fetch_all(files.reader())
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

/// Deletes entries that were sealed before `floor`.
pub(in crate::store) async fn forget(files: &Files, floor: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM audit_entries WHERE sealed_at < $1").bind(floor).execute(files.writer()).await?;
    Ok(())
}

pub(in crate::store) async fn forget_keys(files: &Files, now: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM idempotency_keys WHERE expires_at <= $1")
        .bind(now)
        .execute(files.writer())
        .await?;
    // A gateway that is gone this long has nothing open any more.
    sqlx::query("DELETE FROM instances WHERE alive_until < $1")
        .bind(now - DAY)
        .execute(files.writer())
        .await?;
    Ok(())
}
