//! Running gateways: there is one at a time, so whoever else is on record is gone.

use super::Files;

pub(in crate::store) async fn stay_alive(files: &Files, id: &[u8], now: i64, until: i64) -> sqlx::Result<()> {
    let mut writer = files.writer().await?;
    let mut transaction = writer.begin().await?;
    sqlx::query("DELETE FROM instances WHERE id <> $1").bind(id).execute(&mut *transaction).await?;
    sqlx::query(
        "INSERT INTO instances (id, started_at, alive_until) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until",
    )
    .bind(id)
    .bind(now)
    .bind(until)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}
