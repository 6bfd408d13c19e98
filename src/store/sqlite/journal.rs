//! The journal: everything that one commit makes durable, in one transaction of the one writer.
//!
//! Each statement is a way to SQLite's thread and back, which costs more than the row that it writes: intents and outcomes
//! that came together are written together, and only what has a key takes statements of its own.

use std::sync::LazyLock;

use sqlx::{Row as _, SqliteConnection};

use super::{Files, operation_records, statements::Statements, webhook_events};
use crate::store::journal::{
    KeyFate,
    batch::{
        ANSWERED, Batch, Decision, Existing, FlushError, KeyRow, OpenRow, ROWS_MAX, SettleRow, UNKNOWN, judge,
    },
};

/// Rows that one statement writes: most batches hold as many intents as outcomes.
const ROWS_PER_STATEMENT: usize = ROWS_MAX / 2;

static OPENS: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(ROWS_PER_STATEMENT, 4, |rows| {
        format!("INSERT INTO journal (id, instance, opened_at, entry) VALUES {rows} ON CONFLICT DO NOTHING")
    })
});
/// An intent has one outcome: no batch has two for the same, of which SQLite would take any.
static SETTLES: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(ROWS_PER_STATEMENT, 3, |rows| {
        format!(
            "UPDATE journal SET closed_at = ended.column2, outcome = ended.column3 FROM (VALUES {rows}) AS ended
             WHERE journal.id = ended.column1 AND journal.closed_at IS NULL"
        )
    })
});

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
        decisions.push(decision);
    }
    let opened = batch.opens.iter().zip(&decisions).filter(|(_, decision)| **decision == Decision::Go);
    let opened: Vec<&OpenRow> = opened.map(|(row, _)| row).collect();
    let mut opened = opened.into_iter();
    while let Some((statement, count)) = OPENS.next(opened.len()) {
        let insert = opened.by_ref().take(count).fold(sqlx::query(statement), |insert, row| {
            insert.bind(&row.id[..]).bind(instance).bind(row.opened_at).bind(&row.entry)
        });
        insert.execute(&mut *connection).await?;
    }
    let mut settled = batch.settles.iter();
    while let Some((statement, count)) = SETTLES.next(settled.len()) {
        let update = settled.by_ref().take(count).fold(sqlx::query(statement), |update, row| {
            update.bind(&row.id[..]).bind(row.closed_at).bind(&row.outcome)
        });
        update.execute(&mut *connection).await?;
    }
    for row in &batch.settles {
        settle_key(connection, row).await?;
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

/// Writes what came of a key.
async fn settle_key(connection: &mut SqliteConnection, row: &SettleRow) -> sqlx::Result<()> {
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

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row as _};

    use super::*;
    use crate::store::{Backend, contract};

    /// With thousands of intents open, or waiting to be sealed, outcomes find theirs by the key.
    #[tokio::test]
    async fn outcomes_find_their_intents_by_the_key() {
        let store = contract::on_sqlite().await.expect("a file can be made");
        let Backend::Sqlite(files) = &store.0.backend else { unreachable!("it is a file") };
        for rows in [1, 2, 128] {
            let (statement, count) = SETTLES.next(rows).expect("there are rows");
            assert_eq!(count, rows);
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", statement.as_str()));
            let steps = sqlx::query(explain).fetch_all(files.writer()).await.expect("a plan");
            let steps: Vec<String> = steps.iter().map(|step| step.get("detail")).collect();
            let search = "SEARCH journal USING INDEX sqlite_autoindex_journal_1 (id=?)";
            assert!(steps.iter().any(|step| step == search), "{steps:?}");
        }
    }
}
