//! The audit log, in one table.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{
    Files,
    audit_log::{self, closed},
};
use crate::{
    crypto::Signer,
    store::audit::{Closed, chain},
};

/// Rows of one statement. Each statement is a way to SQLite's thread and back, which costs more than a row does.
const ROWS_PER_STATEMENT: usize = 100;

/// Writes what needed no intent into the log, together with closed rows of the journal. Returns how many of these there
/// were.
pub(in crate::store) async fn seal(
    files: &Files,
    signer: &Signer,
    now: i64,
    mut rows: Vec<Closed>,
    rows_max: u32,
) -> sqlx::Result<usize> {
    let mut transaction = files.begin().await?;
    // With the limit bound, SQLite would prepare the statement anew each time.
    let moved = QueryBuilder::<Sqlite>::new(
        "SELECT id, opened_at, entry, closed_at, outcome FROM journal WHERE closed_at IS NOT NULL ORDER BY id LIMIT ",
    )
    .push(rows_max)
    .build()
    .fetch_all(&mut *transaction)
    .await?
    .iter()
    .map(closed)
    .collect::<sqlx::Result<Vec<_>>>()?;
    for some in moved.chunks(ROWS_PER_STATEMENT) {
        let mut delete = QueryBuilder::<Sqlite>::new("DELETE FROM journal WHERE id IN (");
        let mut ids = delete.separated(", ");
        for row in some {
            ids.push_bind(&row.id[..]);
        }
        ids.push_unseparated(")");
        delete.build().persistent(some.len() == ROWS_PER_STATEMENT).execute(&mut *transaction).await?;
    }
    let count = moved.len();
    rows.extend(moved);
    if !rows.is_empty() {
        append(&mut transaction, signer, now, rows).await?;
        transaction.commit().await?;
    }
    Ok(count)
}

/// Writes rows behind the end of the log.
async fn append(
    connection: &mut SqliteConnection,
    signer: &Signer,
    now: i64,
    rows: Vec<Closed>,
) -> sqlx::Result<()> {
    let end = audit_log::end(connection).await?;
    let (sealed, seal) = chain(rows, end.seq, &end.root, now.max(end.sealed_at), signer);
    let mut sealed = sealed.into_iter().peekable();
    while sealed.peek().is_some() {
        let mut rows = 0;
        // What fails is rolled back whole, and need not be undone row by row.
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT OR FAIL INTO audit_entries (seq, sealed_at, id, opened_at, closed_at, request_id, principal, project, method,
                                        resource, status, entry, outcome, digest) ",
        );
        insert.push_values(sealed.by_ref().take(ROWS_PER_STATEMENT), |mut values, row| {
            rows += 1;
            values
                .push_bind(row.seq)
                .push_bind(row.sealed_at)
                .push_bind(row.id)
                .push_bind(row.opened_at)
                .push_bind(row.closed_at)
                .push_bind(row.columns.request_id)
                .push_bind(row.columns.principal)
                .push_bind(row.columns.project)
                .push_bind(row.columns.method)
                .push_bind(row.columns.resource)
                .push_bind(row.columns.status)
                .push_bind(row.entry)
                .push_bind(row.outcome)
                .push_bind(row.digest);
        });
        insert.build().persistent(rows == ROWS_PER_STATEMENT).execute(&mut *connection).await?;
    }
    match seal {
        Some(seal) => audit_log::insert_seal(connection, seal).await,
        None => Ok(()),
    }
}

/// Deletes entries that were sealed before `floor`.
pub(in crate::store) async fn forget(files: &Files, floor: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM audit_entries WHERE sealed_at < $1").bind(floor).execute(files.writer()).await?;
    Ok(())
}
