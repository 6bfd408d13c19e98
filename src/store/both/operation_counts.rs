//! How many operations there are and how long they wait, in words that both dialects understand.

use super::{Handle, reader};

/// Counts the newest operations of a project, `rows_max` at most, by state.
pub(in crate::store) async fn by_state(
    handle: &Handle,
    project: &str,
    rows_max: u32,
) -> sqlx::Result<Vec<(String, i64)>> {
    sqlx::query_as(
        "SELECT state, COUNT(*) FROM
         (SELECT state FROM operations WHERE project = $1 AND deleted_at IS NULL ORDER BY id DESC LIMIT $2) AS newest
         GROUP BY state ORDER BY state",
    )
    .bind(project)
    .bind(i64::from(rows_max))
    .fetch_all(&mut *reader(handle).await?)
    .await
}

/// Finds when the next operation of an upstream is, or was, to be looked at.
pub(in crate::store) async fn due_at(handle: &Handle, upstream: &str) -> sqlx::Result<Option<i64>> {
    // Not as a minimum: with a plan made while the table is empty, Postgres looks for that through all that is open.
    sqlx::query_scalar(
        "SELECT poll_at FROM operations WHERE upstream = $1 AND ended_at IS NULL ORDER BY poll_at LIMIT 1",
    )
    .bind(upstream)
    .fetch_optional(&mut *reader(handle).await?)
    .await
}
