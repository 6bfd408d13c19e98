//! Generated secrets.

use sqlx::PgPool;

/// Keeps a value unless there is one, and returns the one that is there.
pub(in crate::store) async fn keep(
    pool: &PgPool,
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
    .execute(pool)
    .await?;
    sqlx::query_scalar("SELECT value FROM generated_secrets WHERE name = $1").bind(name).fetch_one(pool).await
}

/// Returns the value that is there.
pub(in crate::store) async fn find(pool: &PgPool, name: &str) -> sqlx::Result<Option<Vec<u8>>> {
    let query = sqlx::query_scalar("SELECT value FROM generated_secrets WHERE name = $1");
    query.bind(name).fetch_optional(pool).await
}
