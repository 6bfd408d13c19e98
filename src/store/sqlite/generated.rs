//! Generated secrets.

use super::Files;

/// Keeps a value unless there is one, and returns the one that is there.
pub(in crate::store) async fn keep(
    files: &Files,
    name: &str,
    fresh: &[u8],
    now: i64,
) -> sqlx::Result<Vec<u8>> {
    sqlx::query(
        "INSERT INTO generated_secrets (name, value, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(name)
    .bind(fresh)
    .bind(now)
    .execute(&mut *files.writer().await?)
    .await?;
    sqlx::query_scalar("SELECT value FROM generated_secrets WHERE name = $1")
        .bind(name)
        .fetch_one(files.reader())
        .await
}

/// Returns the value that is there.
pub(in crate::store) async fn find(files: &Files, name: &str) -> sqlx::Result<Option<Vec<u8>>> {
    let query = sqlx::query_scalar("SELECT value FROM generated_secrets WHERE name = $1");
    query.bind(name).fetch_optional(files.reader()).await
}
