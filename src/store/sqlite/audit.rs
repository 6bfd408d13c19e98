//! The audit log, in one table.

use super::{
    Files,
    audit_log::{self, closed},
};
use crate::{
    crypto::Signer,
    store::audit::{Closed, chain},
};

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
    let end = audit_log::end(&mut transaction).await?;
    let (sealed, seal) = chain(rows, end.seq, &end.root, now.max(end.sealed_at), signer);
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
        audit_log::insert_seal(&mut transaction, seal).await?;
    }
    transaction.commit().await?;
    Ok(sealed.len())
}

/// Deletes entries that were sealed before `floor`.
pub(in crate::store) async fn forget(files: &Files, floor: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM audit_entries WHERE sealed_at < $1").bind(floor).execute(files.writer()).await?;
    Ok(())
}
