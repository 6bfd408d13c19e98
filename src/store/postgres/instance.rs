//! Running gateways.

use sqlx::PgPool;

pub(in crate::store) async fn stay_alive(pool: &PgPool, id: &[u8], now: i64, until: i64) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO instances (id, started_at, alive_until) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET alive_until = EXCLUDED.alive_until",
    )
    .bind(id)
    .bind(now)
    .bind(until)
    .execute(pool)
    .await?;
    Ok(())
}
