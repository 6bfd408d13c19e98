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

/// How long a migration may wait for those who use what it changes, while whoever else wants to use it waits behind it.
const LOCK_WAIT_MAX: &str = "SET LOCAL lock_timeout = '2s'";

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
    sqlx::raw_sql(LOCK_WAIT_MAX).execute(&mut *transaction).await?;
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

#[cfg(test)]
mod tests {
    use crate::store::contract::{self, Reading};

    /// A migration waited as long as a backup took, and every request behind it.
    #[tokio::test]
    async fn a_migration_gives_way_to_whoever_uses_what_it_changes() {
        let Some(store) = contract::on_postgres().await else { return };
        contract::alter(&store, "DELETE FROM schema_migrations WHERE name = '0006_keep_room'").await;
        let other = Reading::begin(&store, "LOCK TABLE journal IN ROW EXCLUSIVE MODE").await;
        let vacuum = Reading::begin(&store, "LOCK TABLE events IN SHARE UPDATE EXCLUSIVE MODE").await;
        let error = store.migrate().await.expect_err("events are in use");
        assert!(error.message().contains("0006_keep_room cannot be applied while another"), "{error}");
        vacuum.end().await;
        assert_eq!(store.migrate().await.expect("nobody is in its way"), ["0006_keep_room"]);
        other.end().await;
    }
}
