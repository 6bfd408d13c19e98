//! The journal: everything that one commit makes durable, row by row in one transaction of the one writer.

use sqlx::{Row as _, SqliteConnection};

use super::{Files, operation_records, webhook_events};
use crate::store::journal::{
    KeyFate,
    batch::{ANSWERED, Batch, Decision, Existing, FlushError, KeyRow, OpenRow, SettleRow, UNKNOWN, judge},
};

/// Makes a batch durable.
pub(in crate::store) async fn flush(
    files: &Files,
    batch: &Batch,
    instance: &[u8],
    now: i64,
) -> Result<Vec<Decision>, FlushError> {
    let mut transaction = files.begin().await?;
    let connection = &mut *transaction;
    let mut decisions = Vec::with_capacity(batch.opens.len());
    for row in &batch.opens {
        let decision = match &row.key {
            None => Decision::Go,
            Some(key) => decide(connection, row, key, instance, now).await?,
        };
        if decision == Decision::Go {
            sqlx::query("INSERT INTO journal (id, instance, opened_at, entry) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
                .bind(&row.id[..])
                .bind(instance)
                .bind(row.opened_at)
                .bind(&row.entry)
                .execute(&mut *connection)
                .await?;
        }
        decisions.push(decision);
    }
    for row in &batch.settles {
        settle(connection, row).await?;
    }
    for event in batch.events() {
        webhook_events::insert(&mut *connection, event, None).await?;
    }
    operation_records::insert_all(connection, &batch.births()).await?;
    for (id, scope) in &batch.taken_back {
        sqlx::query("DELETE FROM journal WHERE id = $1 AND closed_at IS NULL")
            .bind(&id[..])
            .execute(&mut *connection)
            .await?;
        if let Some(scope) = scope {
            release(connection, scope, id).await?;
        }
    }
    transaction.commit().await.map_err(FlushError::InDoubt)?;
    Ok(decisions)
}

/// Decides about a key: the first to insert it goes ahead.
async fn decide(
    connection: &mut SqliteConnection,
    row: &OpenRow,
    KeyRow { key, expires_at }: &KeyRow,
    instance: &[u8],
    now: i64,
) -> sqlx::Result<Decision> {
    sqlx::query("DELETE FROM idempotency_keys WHERE scope = $1 AND expires_at <= $2")
        .bind(&key.scope[..])
        .bind(now)
        .execute(&mut *connection)
        .await?;
    let inserted = sqlx::query(
        "INSERT INTO idempotency_keys (scope, fingerprint, intent, instance, state, reissuable, created_at, expires_at)
         VALUES ($1, $2, $3, $4, 0, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(&key.scope[..])
    .bind(&key.fingerprint[..])
    .bind(&row.id[..])
    .bind(instance)
    .bind(key.reissuable)
    .bind(now)
    .bind(expires_at)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Decision::Go);
    }
    let there = sqlx::query(
        "SELECT fingerprint, intent, state, reissuable, answer,
                EXISTS (SELECT 1 FROM instances WHERE id = instance AND alive_until > $2) AS alive
         FROM idempotency_keys WHERE scope = $1",
    )
    .bind(&key.scope[..])
    .bind(now)
    .fetch_one(&mut *connection)
    .await?;
    let existing = Existing {
        fingerprint: there.try_get("fingerprint")?,
        intent: there.try_get("intent")?,
        state: there.try_get("state")?,
        reissuable: there.try_get("reissuable")?,
        alive: there.try_get("alive")?,
        answer: there.try_get("answer")?,
    };
    if let Some(decision) = judge(&existing, key) {
        return Ok(decision);
    }
    sqlx::query("UPDATE idempotency_keys SET intent = $1, instance = $2, state = 0 WHERE scope = $3")
        .bind(&row.id[..])
        .bind(instance)
        .bind(&key.scope[..])
        .execute(&mut *connection)
        .await?;
    Ok(Decision::Go)
}

async fn settle(connection: &mut SqliteConnection, row: &SettleRow) -> sqlx::Result<()> {
    sqlx::query("UPDATE journal SET closed_at = $1, outcome = $2 WHERE id = $3 AND closed_at IS NULL")
        .bind(row.closed_at)
        .bind(&row.outcome)
        .bind(&row.id[..])
        .execute(&mut *connection)
        .await?;
    let Some((scope, fate)) = &row.key else { return Ok(()) };
    let (state, answer) = match fate {
        KeyFate::Release => return release(connection, scope, &row.id).await,
        KeyFate::Answer(answer) => (ANSWERED, Some(answer.as_slice())),
        KeyFate::Unknown => (UNKNOWN, None),
    };
    sqlx::query("UPDATE idempotency_keys SET state = $1, answer = $2 WHERE scope = $3 AND intent = $4")
        .bind(state)
        .bind(answer)
        .bind(&scope[..])
        .bind(&row.id[..])
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// Forgets a key, if this intent still holds it.
async fn release(connection: &mut SqliteConnection, scope: &[u8], intent: &[u8]) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM idempotency_keys WHERE scope = $1 AND intent = $2 AND state <> 1")
        .bind(scope)
        .bind(intent)
        .execute(connection)
        .await?;
    Ok(())
}
