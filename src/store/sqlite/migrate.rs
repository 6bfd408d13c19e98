//! Migrations.

use sqlx::Row as _;

use super::Files;
use crate::store::migrate::{Applied, Migration};

pub(in crate::store) async fn applied(files: &Files) -> sqlx::Result<Vec<Applied>> {
    let there: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = 'schema_migrations'")
            .fetch_one(files.reader())
            .await?;
    if there == 0 {
        return Ok(Vec::new());
    }
    let rows =
        sqlx::query("SELECT number, name, checksum, applied_at FROM schema_migrations ORDER BY number")
            .fetch_all(files.reader())
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
    files: &Files,
    migration: &Migration,
    checksum: &[u8],
    now: i64,
) -> sqlx::Result<bool> {
    let mut writer = files.writer().await?;
    let mut transaction = writer.begin().await?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_migrations
         (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum BLOB NOT NULL, applied_at INTEGER NOT NULL)",
    )
    .execute(&mut *transaction)
    .await?;
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM schema_migrations WHERE number = $1")
        .bind(migration.number)
        .fetch_one(&mut *transaction)
        .await?;
    if there > 0 {
        return Ok(false);
    }
    sqlx::raw_sql(migration.sqlite).execute(&mut *transaction).await?;
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
