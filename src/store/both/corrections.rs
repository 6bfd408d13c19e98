//! Outcomes that come when others have closed their intents as well as they could, in words that both dialects understand.

use super::{Connection, Handle, begin, writer};
use crate::{
    crypto,
    model::Outcome,
    store::{
        instance::{derived_id, times_of},
        journal::batch::SettleRow,
    },
};

/// Puts right what was closed with another outcome: in the journal while it is there, and once it is sealed, so that it cannot be
/// changed, with an entry of its own that says which one it corrects. Returns how many there were. What is closed with the same
/// outcome stays as it is, so doing this twice does no more.
pub(in crate::store) async fn correct(
    handle: &Handle,
    instance: &[u8],
    rows: &[SettleRow],
) -> sqlx::Result<usize> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    let mut corrected = 0;
    for row in rows {
        corrected += usize::from(correct_one(&mut transaction, instance, row).await?);
    }
    transaction.commit().await?;
    Ok(corrected)
}

async fn correct_one(connection: &mut Connection, instance: &[u8], row: &SettleRow) -> sqlx::Result<bool> {
    let changed = sqlx::query(
        "UPDATE journal SET outcome = $2, closed_at = $3 WHERE id = $1 AND closed_at IS NOT NULL AND outcome <> $2",
    )
    .bind(&row.id[..])
    .bind(&row.outcome)
    .bind(row.closed_at)
    .execute(&mut *connection)
    .await?;
    if changed.rows_affected() > 0 {
        return Ok(true);
    }
    let is_there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM journal WHERE id = $1)")
        .bind(&row.id[..])
        .fetch_one(&mut *connection)
        .await?;
    let correction = derived_id(row.id, &[b"correction", &row.id]);
    if is_there || sealed(connection, &correction).await?.is_some() {
        return Ok(false);
    }
    let Some((opened_at, entry, before)) = sealed(connection, &row.id).await? else { return Ok(false) };
    if before == row.outcome {
        return Ok(false);
    }
    let outcome: Outcome = serde_json::from_str(&row.outcome).unwrap_or_default();
    let outcome = Outcome { corrects: crypto::uuid_text(&row.id), ..outcome };
    let done = sqlx::query(
        "INSERT INTO journal (id, instance, opened_at, entry, closed_at, outcome) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT DO NOTHING",
    )
    .bind(&correction[..])
    .bind(instance)
    .bind(opened_at)
    .bind(entry)
    .bind(row.closed_at)
    .bind(serde_json::to_string(&outcome).expect("plain data prints as JSON"))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Finds what the log says of an intent: when it was opened, its entry and its outcome.
async fn sealed(connection: &mut Connection, id: &[u8; 16]) -> sqlx::Result<Option<(i64, String, String)>> {
    let [from, before] = times_of(id);
    sqlx::query_as(
        "SELECT opened_at, entry, outcome FROM audit_entries WHERE opened_at >= $1 AND opened_at < $2 AND id = $3 LIMIT 1",
    )
    .bind(from)
    .bind(before)
    .bind(&id[..])
    .fetch_optional(connection)
    .await
}
