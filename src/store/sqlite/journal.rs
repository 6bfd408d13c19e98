//! The journal: everything that one commit makes durable, in one transaction of the one writer.
//!
//! Each statement is a way to SQLite's thread and back, which wakes two threads and so costs more than the rows that it
//! writes: intents and outcomes that came together are one statement, which needs no transaction around it, and only what
//! has a key takes statements of its own.

use std::{iter::repeat_n, sync::LazyLock};

use sqlx::{Row as _, Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments};

use super::{Files, operation_records, statements::Statements, webhook_events};
use crate::store::{
    failure,
    journal::{
        KeyFate,
        batch::{
            ANSWERED, Batch, Decision, Existing, FlushError, Flushed, KeyRow, Moment, OpenRow, ROWS_MAX,
            SettleRow, UNKNOWN, judge,
        },
    },
};

/// What an intent has in the journal.
const COLUMNS: usize = 6;

/// Opens intents and closes others. Rows of NULL fill a statement up and do nothing: of statements for any number few would be
/// prepared already. An outcome whose intent is gone, as it was written and sealed before, does nothing either. Of two outcomes
/// for one intent the first stays.
static WRITES: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(ROWS_MAX, COLUMNS, |rows| {
        format!(
            "INSERT INTO journal (id, instance, opened_at, entry, closed_at, outcome)
             SELECT * FROM (VALUES {rows})
             WHERE column1 IS NOT NULL AND (column6 IS NULL OR column1 IN (SELECT id FROM journal))
             ON CONFLICT (id) DO UPDATE SET closed_at = excluded.closed_at, outcome = excluded.outcome
             WHERE journal.closed_at IS NULL AND excluded.closed_at IS NOT NULL"
        )
    })
});

/// Returns the statement for these intents and outcomes.
fn write<'q>(
    opens: &[&'q OpenRow],
    settles: &'q [SettleRow],
    instance: &'q [u8],
) -> Query<'q, Sqlite, SqliteArguments> {
    let rows = opens.len() + settles.len();
    let (statement, room) = WRITES.with_room_for(rows).expect("a batch has at most as many rows");
    let mut write = sqlx::query(statement);
    for row in opens {
        write = write.bind(&row.id[..]).bind(instance).bind(row.opened_at).bind(&row.entry);
        write = write.bind(None::<i64>).bind(None::<String>);
    }
    for row in settles {
        // What an intent says is not looked at in its outcome.
        write = write.bind(&row.id[..]).bind(&[][..]).bind(0).bind("").bind(row.closed_at).bind(&row.outcome);
    }
    repeat_n(None::<i64>, COLUMNS * (room - rows)).fold(write, Query::bind)
}

/// Makes a batch durable.
pub(in crate::store) async fn flush(
    files: &Files,
    batch: &Batch,
    instance: &[u8],
    moment: Moment,
) -> Result<Flushed, FlushError> {
    if batch.is_empty() {
        return Ok(Flushed::default());
    }
    let mut writer = files.writer().await?;
    if batch.is_plain() {
        let opens: Vec<&OpenRow> = batch.opens.iter().collect();
        let written = write(&opens, &batch.settles, instance).execute(&mut *writer).await;
        return match written {
            Ok(done) => Ok(Flushed {
                decisions: vec![Decision::Go; opens.len()],
                settled: done.rows_affected().saturating_sub(opens.len() as u64),
            }),
            // It may have been the commit that failed. If not, an intent that is not there is taken back, which does no harm.
            Err(error) if failure::is_away(&error) => Err(FlushError::InDoubt(error)),
            Err(error) => Err(error.into()),
        };
    }
    let mut transaction = writer.begin().await?;
    let connection = &mut *transaction;
    let mut decisions = Vec::with_capacity(batch.opens.len());
    for row in &batch.opens {
        let decision = match &row.key {
            None => Decision::Go,
            Some(key) => decide(connection, row, key, instance, moment).await?,
        };
        decisions.push(decision);
    }
    let opened = batch.opens.iter().zip(&decisions).filter(|(_, decision)| **decision == Decision::Go);
    let opened: Vec<&OpenRow> = opened.map(|(row, _)| row).collect();
    let mut settled = 0;
    if !(opened.is_empty() && batch.settles.is_empty()) {
        let done = write(&opened, &batch.settles, instance).execute(&mut *connection).await?;
        settled = done.rows_affected().saturating_sub(opened.len() as u64);
    }
    for row in &batch.settles {
        settle_key(connection, row).await?;
    }
    for (intent, event) in batch.events() {
        webhook_events::insert_of_intent(&mut *connection, intent, event).await?;
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
    Ok(Flushed { decisions, settled })
}

/// Decides about a key: the first to insert it goes ahead.
async fn decide(
    connection: &mut SqliteConnection,
    row: &OpenRow,
    KeyRow { key, expires_at }: &KeyRow,
    instance: &[u8],
    moment: Moment,
) -> sqlx::Result<Decision> {
    sqlx::query("DELETE FROM idempotency_keys WHERE scope = $1 AND expires_at <= $2")
        .bind(&key.scope[..])
        .bind(moment.now)
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
    .bind(moment.now)
    .bind(expires_at)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Decision::Go);
    }
    let there = sqlx::query(
        "SELECT fingerprint, intent, state, reissuable, answer,
                instance = $2 OR EXISTS (SELECT 1 FROM instances WHERE id = instance AND alive_until > $3) AS alive
         FROM idempotency_keys WHERE scope = $1",
    )
    .bind(&key.scope[..])
    .bind(instance)
    .bind(moment.alive_after)
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
        for rows in [1, 2, ROWS_MAX] {
            let (statement, room) = WRITES.with_room_for(rows).expect("a batch may have as many");
            assert_eq!(room, rows);
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", statement.as_str()));
            let steps = sqlx::query(explain)
                .fetch_all(&mut *files.writer().await.expect("it is free"))
                .await
                .expect("a plan");
            let steps: Vec<String> = steps.iter().map(|step| step.get("detail")).collect();
            let search = "USING INDEX sqlite_autoindex_journal_1 FOR IN-OPERATOR";
            assert!(steps.iter().any(|step| step == search), "{steps:?}");
            assert!(!steps.iter().any(|step| step.contains("journal") && step != search), "{steps:?}");
        }
    }
}
