//! Intents that are open, in words that both dialects understand.

use super::{Handle, reader};

/// Finds open intents of gateways that are gone, the oldest first.
pub(in crate::store) async fn orphans(
    handle: &Handle,
    now: i64,
    rows_max: u32,
) -> sqlx::Result<Vec<(Vec<u8>, i64, String)>> {
    sqlx::query_as(
        "SELECT id, opened_at, entry FROM journal
         WHERE closed_at IS NULL AND NOT EXISTS (SELECT 1 FROM instances WHERE id = journal.instance AND alive_until > $1)
         ORDER BY id LIMIT $2",
    )
    .bind(now)
    .bind(i64::from(rows_max))
    .fetch_all(&mut *reader(handle).await?)
    .await
}

/// Finds the gateways that live.
pub(in crate::store) async fn living(handle: &Handle, now: i64) -> sqlx::Result<Vec<Vec<u8>>> {
    sqlx::query_scalar("SELECT id FROM instances WHERE alive_until > $1 ORDER BY id")
        .bind(now)
        .fetch_all(&mut *reader(handle).await?)
        .await
}

/// Finds open intents of gateways that live.
pub(in crate::store) async fn under_way(
    handle: &Handle,
    now: i64,
    rows_max: u32,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT entry FROM journal
         WHERE closed_at IS NULL AND EXISTS (SELECT 1 FROM instances WHERE id = journal.instance AND alive_until > $1)
         LIMIT $2",
    )
    .bind(now)
    .bind(i64::from(rows_max))
    .fetch_all(&mut *reader(handle).await?)
    .await
}
