//! The journal: everything that one commit makes durable, in a handful of statements whatever its size.

use std::{collections::HashMap, time::Duration};

use sqlx::{Acquire as _, PgConnection, PgPool, Postgres, Row as _, pool::PoolConnection};
use tokio::time::Instant;

use super::{operation_records, webhook_events};
use crate::store::journal::{
    KeyFate,
    batch::{
        ANSWERED, Batch, Decision, Existing, FlushError, Flushed, Moment, OpenRow, RUNNING, UNKNOWN, judge,
    },
};

/// The connection of one writer, kept from commit to commit: the pool asks the server whether a connection lives before
/// it hands it out and when it comes back, and gives another one each time, whose process has the tables to look up anew.
#[derive(Default)]
pub(in crate::store) struct Line(Option<(PoolConnection<Postgres>, Instant)>);

/// How long a writer keeps one connection at most. Then the pool looks at its age, or a load without a pause would keep it
/// from spreading after a fail-over.
const LINE_TIME_MAX: Duration = Duration::from_secs(60);

impl Line {
    /// Gives the connection back to the pool.
    pub(in crate::store) fn hand_back(&mut self) {
        self.0 = None;
    }
}

/// Makes a batch durable.
pub(in crate::store) async fn flush(
    pool: &PgPool,
    line: &mut Line,
    batch: &Batch,
    instance: &[u8],
    moment: Moment,
) -> Result<Flushed, FlushError> {
    let (mut connection, since) = match line.0.take() {
        Some(kept) => kept,
        None => (pool.acquire().await?, Instant::now()),
    };
    let flushed = if batch.is_plain() {
        flush_plain(&mut connection, batch, instance).await.map_err(FlushError::InDoubt)?
    } else {
        flush_whole(&mut connection, batch, instance, moment).await?
    };
    // One that failed, or whose commit was given up in the middle, is for the pool to look at.
    if since.elapsed() < LINE_TIME_MAX {
        line.0 = Some((connection, since));
    }
    Ok(flushed)
}

/// Makes a batch durable that has keys, events or operations in it.
async fn flush_whole(
    connection: &mut PgConnection,
    batch: &Batch,
    instance: &[u8],
    moment: Moment,
) -> Result<Flushed, FlushError> {
    let mut transaction = connection.begin().await?;
    let connection = &mut *transaction;
    let decisions = decide(connection, &batch.opens, instance, moment).await?;
    let gone: Vec<&OpenRow> = batch
        .opens
        .iter()
        .zip(&decisions)
        .filter(|(_, decision)| **decision == Decision::Go)
        .map(|(row, _)| row)
        .collect();
    if !gone.is_empty() {
        let ids: Vec<&[u8]> = gone.iter().map(|row| &row.id[..]).collect();
        let opened: Vec<i64> = gone.iter().map(|row| row.opened_at).collect();
        let entries: Vec<&str> = gone.iter().map(|row| row.entry.as_str()).collect();
        sqlx::query(
            "INSERT INTO journal (id, instance, opened_at, entry)
             SELECT id, $1, opened_at, entry FROM UNNEST($2::bytea[], $3::bigint[], $4::text[]) AS new (id, opened_at, entry)
             ON CONFLICT DO NOTHING",
        )
        .bind(instance)
        .bind(ids)
        .bind(opened)
        .bind(entries)
        .execute(&mut *connection)
        .await?;
    }
    let settled = settle(connection, batch).await?;
    for (intent, event) in batch.events() {
        webhook_events::insert_of_intent(&mut *connection, intent, event).await?;
    }
    operation_records::insert_all(connection, &batch.births()).await?;
    take_back(connection, batch).await?;
    transaction.commit().await.map_err(FlushError::InDoubt)?;
    Ok(Flushed { decisions, settled })
}

/// Intents and outcomes. What is settled was opened in an earlier commit: neither part sees rows of the other.
pub(super) const PLAIN: &str =
    "WITH opened AS (
         INSERT INTO journal (id, instance, opened_at, entry)
         SELECT id, $1, opened_at, entry FROM UNNEST($2::bytea[], $3::bigint[], $4::text[]) AS new (id, opened_at, entry)
         ON CONFLICT DO NOTHING)
     UPDATE journal SET closed_at = new.closed_at, outcome = new.outcome
     FROM UNNEST($5::bytea[], $6::bigint[], $7::text[]) AS new (id, closed_at, outcome)
     WHERE journal.id = ANY (ARRAY[new.id]) AND journal.closed_at IS NULL";

/// Makes intents and outcomes durable that nothing else belongs to: one statement, which is its own transaction, and so
/// one way to the database and back instead of four.
async fn flush_plain(connection: &mut PgConnection, batch: &Batch, instance: &[u8]) -> sqlx::Result<Flushed> {
    let done = sqlx::query(PLAIN)
        .bind(instance)
        .bind(batch.opens.iter().map(|row| &row.id[..]).collect::<Vec<_>>())
        .bind(batch.opens.iter().map(|row| row.opened_at).collect::<Vec<_>>())
        .bind(batch.opens.iter().map(|row| row.entry.as_str()).collect::<Vec<_>>())
        .bind(batch.settles.iter().map(|row| &row.id[..]).collect::<Vec<_>>())
        .bind(batch.settles.iter().map(|row| row.closed_at).collect::<Vec<_>>())
        .bind(batch.settles.iter().map(|row| row.outcome.as_str()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(Flushed { decisions: vec![Decision::Go; batch.opens.len()], settled: done.rows_affected() })
}

/// Decides about the keys: the first to insert one goes ahead.
async fn decide(
    connection: &mut PgConnection,
    opens: &[OpenRow],
    instance: &[u8],
    moment: Moment,
) -> sqlx::Result<Vec<Decision>> {
    let mut decisions = vec![Decision::Go; opens.len()];
    // In one order everywhere, so that two replicas never wait for one another.
    let mut keyed: Vec<usize> = (0..opens.len()).filter(|at| opens[*at].key.is_some()).collect();
    keyed.sort_by_key(|at| opens[*at].key.map(|row| row.key.scope));
    if keyed.is_empty() {
        return Ok(decisions);
    }
    let key = |at: &usize| opens[*at].key.as_ref().expect("only rows with a key are looked at");
    let scopes: Vec<&[u8]> = keyed.iter().map(|at| &key(at).key.scope[..]).collect();
    sqlx::query("DELETE FROM idempotency_keys WHERE scope = ANY($1) AND expires_at <= $2")
        .bind(&scopes)
        .bind(moment.now)
        .execute(&mut *connection)
        .await?;
    let won: Vec<Vec<u8>> = sqlx::query_scalar(
        "INSERT INTO idempotency_keys (scope, fingerprint, intent, instance, state, reissuable, created_at, expires_at)
         SELECT scope, fingerprint, intent, $1, 0, reissuable, $2, expires_at
         FROM UNNEST($3::bytea[], $4::bytea[], $5::bytea[], $6::boolean[], $7::bigint[])
              AS new (scope, fingerprint, intent, reissuable, expires_at)
         ON CONFLICT DO NOTHING RETURNING intent",
    )
    .bind(instance)
    .bind(moment.now)
    .bind(&scopes)
    .bind(keyed.iter().map(|at| &key(at).key.fingerprint[..]).collect::<Vec<_>>())
    .bind(keyed.iter().map(|at| &opens[*at].id[..]).collect::<Vec<_>>())
    .bind(keyed.iter().map(|at| key(at).key.reissuable).collect::<Vec<_>>())
    .bind(keyed.iter().map(|at| key(at).expires_at).collect::<Vec<_>>())
    .fetch_all(&mut *connection)
    .await?;
    let lost: Vec<usize> =
        keyed.iter().copied().filter(|at| !won.iter().any(|id| *id == opens[*at].id)).collect();
    if lost.is_empty() {
        return Ok(decisions);
    }
    let mut there = existing(
        connection,
        &lost.iter().map(|at| &key(at).key.scope[..]).collect::<Vec<_>>(),
        instance,
        moment,
    )
    .await?;
    for at in lost {
        let row = key(&at);
        decisions[at] = match there.get_mut(&row.key.scope[..]) {
            // Gone between two statements: its owner settled without keeping it. Trying again is right.
            None => Decision::InProgress,
            Some(existing) => match judge(existing, &row.key) {
                Some(decision) => decision,
                None if take_over(connection, &row.key.scope, existing, &opens[at].id, instance).await? => {
                    existing.alive = true;
                    existing.state = RUNNING;
                    Decision::Go
                }
                None => Decision::InProgress,
            },
        };
    }
    Ok(decisions)
}

async fn existing(
    connection: &mut PgConnection,
    scopes: &[&[u8]],
    instance: &[u8],
    moment: Moment,
) -> sqlx::Result<HashMap<Vec<u8>, Existing>> {
    let rows = sqlx::query(
        "SELECT scope, fingerprint, intent, state, reissuable, answer,
                instance = $2 OR EXISTS (SELECT FROM instances WHERE id = instance AND alive_until > $3) AS alive
         FROM idempotency_keys WHERE scope = ANY($1)",
    )
    .bind(scopes)
    .bind(instance)
    .bind(moment.alive_after)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let existing = Existing {
                fingerprint: row.try_get("fingerprint")?,
                intent: row.try_get("intent")?,
                state: row.try_get("state")?,
                reissuable: row.try_get("reissuable")?,
                alive: row.try_get("alive")?,
                answer: row.try_get("answer")?,
            };
            Ok((row.try_get("scope")?, existing))
        })
        .collect()
}

async fn take_over(
    connection: &mut PgConnection,
    scope: &[u8],
    existing: &Existing,
    intent: &[u8],
    instance: &[u8],
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE idempotency_keys SET intent = $1, instance = $2, state = 0
         WHERE scope = $3 AND intent = $4 AND state <> 1",
    )
    .bind(intent)
    .bind(instance)
    .bind(scope)
    .bind(&existing.intent)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Closes intents, and says what becomes of their keys. Returns how many were open.
async fn settle(connection: &mut PgConnection, batch: &Batch) -> sqlx::Result<u64> {
    if batch.settles.is_empty() {
        return Ok(0);
    }
    let ids: Vec<&[u8]> = batch.settles.iter().map(|row| &row.id[..]).collect();
    let closed: Vec<i64> = batch.settles.iter().map(|row| row.closed_at).collect();
    let outcomes: Vec<&str> = batch.settles.iter().map(|row| row.outcome.as_str()).collect();
    let done = sqlx::query(
        "UPDATE journal SET closed_at = new.closed_at, outcome = new.outcome
         FROM UNNEST($1::bytea[], $2::bigint[], $3::text[]) AS new (id, closed_at, outcome)
         WHERE journal.id = ANY (ARRAY[new.id]) AND journal.closed_at IS NULL",
    )
    .bind(&ids)
    .bind(closed)
    .bind(outcomes)
    .execute(&mut *connection)
    .await?;
    let mut keyed: Vec<_> = batch.settles.iter().filter_map(|row| Some((row, row.key.as_ref()?))).collect();
    keyed.sort_by_key(|(_, (scope, _))| *scope);
    let mut released: Vec<(&[u8], &[u8])> = Vec::new();
    let (mut scopes, mut intents, mut states, mut answers) =
        (Vec::<&[u8]>::new(), Vec::<&[u8]>::new(), Vec::<i16>::new(), Vec::<Option<&[u8]>>::new());
    for (row, (scope, fate)) in keyed {
        let (state, answer) = match fate {
            KeyFate::Release => {
                released.push((scope, &row.id));
                continue;
            }
            KeyFate::Answer(answer) => (ANSWERED, Some(answer.as_slice())),
            KeyFate::Unknown => (UNKNOWN, None),
        };
        scopes.push(scope);
        intents.push(&row.id);
        states.push(state);
        answers.push(answer);
    }
    if !scopes.is_empty() {
        sqlx::query(
            "UPDATE idempotency_keys SET state = new.state, answer = new.answer
             FROM UNNEST($1::bytea[], $2::bytea[], $3::smallint[], $4::bytea[]) AS new (scope, intent, state, answer)
             WHERE idempotency_keys.scope = ANY (ARRAY[new.scope]) AND idempotency_keys.intent = new.intent",
        )
        .bind(scopes)
        .bind(intents)
        .bind(states)
        .bind(answers)
        .execute(&mut *connection)
        .await?;
    }
    release(connection, &released).await?;
    Ok(done.rows_affected())
}

async fn take_back(connection: &mut PgConnection, batch: &Batch) -> sqlx::Result<()> {
    if batch.taken_back.is_empty() {
        return Ok(());
    }
    let mut ids: Vec<&[u8]> = batch.taken_back.iter().map(|(id, _)| &id[..]).collect();
    ids.sort_unstable();
    // Whether what is taken back was committed may be undecided still, such as while a commit waits for a replica that is gone;
    // to delete a row that is not yet to be seen would be too early. To insert it once more waits for the decision.
    sqlx::query(
        "INSERT INTO journal (id, instance, opened_at, entry) SELECT id, '', 0, '' FROM UNNEST($1::bytea[]) AS back (id)
         ON CONFLICT DO NOTHING",
    )
    .bind(&ids)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM journal WHERE id = ANY($1) AND closed_at IS NULL")
        .bind(&ids)
        .execute(&mut *connection)
        .await?;
    let mut keys: Vec<(&[u8], &[u8])> =
        batch.taken_back.iter().filter_map(|(id, scope)| Some((&scope.as_ref()?[..], &id[..]))).collect();
    keys.sort_unstable();
    release(connection, &keys).await
}

/// Forgets keys, each if this intent still holds it.
async fn release(connection: &mut PgConnection, keys: &[(&[u8], &[u8])]) -> sqlx::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM idempotency_keys USING UNNEST($1::bytea[], $2::bytea[]) AS gone (scope, intent)
         WHERE idempotency_keys.scope = ANY (ARRAY[gone.scope]) AND idempotency_keys.intent = gone.intent AND state <> 1",
    )
    .bind(keys.iter().map(|(scope, _)| *scope).collect::<Vec<_>>())
    .bind(keys.iter().map(|(_, intent)| *intent).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::store::{Backend, contract};

    /// A commit that waited for a replica became visible after it had been taken back: nobody went ahead with it, and its key
    /// was in use for a day.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_taken_back_while_it_is_undecided_is_gone_once_it_is_decided() {
        let Some(store) = contract::on_postgres().await else { return };
        let Backend::Postgres(pool) = &store.0.backend else { unreachable!("it is on Postgres") };
        let (id, scope) = ([1; 16], [2; 32]);
        let mut undecided = pool.begin().await.expect("a transaction");
        for insert in [
            "INSERT INTO journal (id, instance, opened_at, entry) VALUES ($1, $2, 0, '{}')",
            "INSERT INTO idempotency_keys
                 (intent, scope, fingerprint, instance, state, reissuable, created_at, expires_at)
             VALUES ($1, $2, '', '', 0, FALSE, 0, 9e18::bigint)",
        ] {
            let insert = sqlx::query(insert).bind(&id[..]).bind(&scope[..]);
            insert.execute(&mut *undecided).await.expect("it is written");
        }
        let pid: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *undecided).await.expect("a number");
        let mut taking_back = JoinSet::new();
        taking_back.spawn({
            let pool = pool.clone();
            let batch = Batch { taken_back: vec![(id, Some(scope))], ..Batch::default() };
            async move {
                flush(&pool, &mut Line::default(), &batch, &[], Moment { now: 0, alive_after: 0 })
                    .await
                    .is_ok()
            }
        });
        let waits = async || -> bool {
            let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))";
            sqlx::query_scalar(waits).bind(pid).fetch_one(pool).await.expect("an answer")
        };
        let mut done = None;
        while done.is_none() && !waits().await {
            done = taking_back.try_join_next();
        }
        undecided.commit().await.expect("it is decided");
        let done = match done {
            Some(done) => done,
            None => taking_back.join_next().await.expect("it was begun"),
        };
        assert!(done.expect("it does not panic"), "it is taken back");
        for count in ["SELECT count(*) FROM journal", "SELECT count(*) FROM idempotency_keys"] {
            let left: i64 = sqlx::query_scalar(count).fetch_one(pool).await.expect("a number");
            assert_eq!(left, 0, "{count}");
        }
    }
}
