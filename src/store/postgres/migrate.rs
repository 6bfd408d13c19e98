//! Migrations.

use sqlx::{PgPool, Row as _};

use crate::store::migrate::{Applied, Migration};

/// Held while a migration runs, so that replicas that start together do not migrate together.
const LOCK: i64 = 0x6361_7573_6577_6179;

pub(in crate::store) async fn applied(pool: &PgPool) -> sqlx::Result<Vec<Applied>> {
    let there: bool =
        sqlx::query_scalar("SELECT to_regclass('schema_migrations') IS NOT NULL").fetch_one(pool).await?;
    if !there {
        return Ok(Vec::new());
    }
    let rows =
        sqlx::query("SELECT number, name, checksum, applied_at FROM schema_migrations ORDER BY number")
            .fetch_all(pool)
            .await?;
    rows.iter()
        .map(|row| {
            Ok(Applied {
                number: row.try_get(0)?,
                name: row.try_get(1)?,
                checksum: row.try_get(2)?,
                applied_at: row.try_get(3)?,
            })
        })
        .collect()
}

/// Applies a migration unless another process has; tells whether it did.
pub(in crate::store) async fn apply(
    pool: &PgPool,
    migration: &Migration,
    checksum: &[u8],
    now: i64,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    // Building an index on a large table may take longer than any statement of a request.
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *transaction).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_migrations
         (number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum BYTEA NOT NULL, applied_at BIGINT NOT NULL)",
    )
    .execute(&mut *transaction)
    .await?;
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM schema_migrations WHERE number = $1)")
        .bind(migration.number)
        .fetch_one(&mut *transaction)
        .await?;
    if there {
        return Ok(false);
    }
    sqlx::raw_sql(migration.postgres).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)")
        .bind(migration.number)
        .bind(migration.name)
        .bind(checksum)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(true)
}
