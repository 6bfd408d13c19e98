//! The audit log, in one table.

use std::sync::LazyLock;

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{
    Files,
    audit_log::{self, closed},
    statements::Statements,
};
use crate::{
    crypto::Signer,
    store::audit::{Closed, chain},
};

/// Rows that one statement deletes. Each statement is a way to SQLite's thread and back, which costs more than a row does.
const ROWS_PER_STATEMENT: usize = 100;

/// Columns of the log, in the order in which they are bound.
const COLUMNS: [&str; 14] = [
    "seq",
    "sealed_at",
    "id",
    "opened_at",
    "closed_at",
    "request_id",
    "principal",
    "project",
    "method",
    "resource",
    "status",
    "entry",
    "outcome",
    "digest",
];

/// Half of the entries of reads that are written together.
const ROWS_PER_INSERT: usize = 250;

static INSERTS: LazyLock<Statements> = LazyLock::new(|| {
    // What fails is rolled back whole, and need not be undone row by row.
    Statements::new(ROWS_PER_INSERT, COLUMNS.len(), |rows| {
        format!("INSERT OR FAIL INTO audit_entries ({}) VALUES {rows}", COLUMNS.join(", "))
    })
});

/// Writes what needed no intent into the log, together with closed rows of the journal. Returns how many of these there
/// were.
pub(in crate::store) async fn seal(
    files: &Files,
    signer: &Signer,
    now: i64,
    mut rows: Vec<Closed>,
    rows_max: u32,
) -> sqlx::Result<usize> {
    // Mostly nothing has ended. To see that takes no lock from those who write.
    if rows.is_empty() && !has_closed(files).await? {
        return Ok(0);
    }
    let mut writer = files.writer().await?;
    let mut transaction = writer.begin().await?;
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

/// Whether anything in the journal has ended.
async fn has_closed(files: &Files) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM journal WHERE closed_at IS NOT NULL)")
        .fetch_one(files.reader())
        .await
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
    let mut sealed = sealed.into_iter();
    while let Some((statement, count)) = INSERTS.next(sealed.len()) {
        let insert = sealed.by_ref().take(count).fold(sqlx::query(statement), |insert, row| {
            insert
                .bind(row.seq)
                .bind(row.sealed_at)
                .bind(row.id)
                .bind(row.opened_at)
                .bind(row.closed_at)
                .bind(row.columns.request_id)
                .bind(row.columns.principal)
                .bind(row.columns.project)
                .bind(row.columns.method)
                .bind(row.columns.resource)
                .bind(row.columns.status)
                .bind(row.entry)
                .bind(row.outcome)
                .bind(row.digest)
        });
        insert.execute(&mut *connection).await?;
    }
    match seal {
        Some(seal) => audit_log::insert_seal(connection, seal).await,
        None => Ok(()),
    }
}

/// Deletes the oldest batches, of about `rows_max` entries together, if they were sealed before `floor`. Tells whether there
/// may be more.
pub(in crate::store) async fn forget(files: &Files, floor: i64, rows_max: u32) -> sqlx::Result<bool> {
    let mut reader = files.reader().acquire().await?;
    // Numbers and times grow together: the first entry is the oldest, and mostly young enough.
    let first: Option<(i64, i64)> =
        sqlx::query_as("SELECT seq, sealed_at FROM audit_entries ORDER BY seq LIMIT 1")
            .fetch_optional(&mut *reader)
            .await?;
    let Some((first, _)) = first.filter(|(_, sealed_at)| *sealed_at < floor) else { return Ok(false) };
    let rows_end = first.saturating_add(i64::from(rows_max));
    // Batches go as a whole, or what is left of one would seem to have lost its beginning; one that is larger goes by itself.
    let last: i64 = sqlx::query_scalar(
        "SELECT coalesce(
             (SELECT max(last_seq) FROM audit_seals WHERE last_seq >= $1 AND last_seq < $2 AND sealed_at < $3),
             (SELECT last_seq FROM audit_seals WHERE first_seq <= $1 AND last_seq >= $1 ORDER BY first_seq DESC LIMIT 1),
             $2 - 1)",
    )
    .bind(first)
    .bind(rows_end)
    .bind(floor)
    .fetch_one(&mut *reader)
    .await?;
    drop(reader);
    let delete = sqlx::query("DELETE FROM audit_entries WHERE seq <= $1 AND sealed_at < $2");
    let done = delete.bind(last).bind(floor).execute(&mut *files.writer().await?).await?;
    Ok(done.rows_affected() > 0)
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row as _};

    use super::*;
    use crate::store::{
        Backend, Projects,
        audit::{Filter, ResourceFilter, Walk, entry_query, page_query},
        contract,
    };

    /// The entries of a whole project were read for one of them.
    #[tokio::test]
    async fn an_entry_is_looked_up_by_its_time() {
        let store = contract::on_sqlite().await.expect("a file can be made");
        let Backend::Sqlite(files) = &store.0.backend else { unreachable!("it is a file") };
        for projects in [Projects::All, Projects::One("p".into()), Projects::Like(vec!["p-*".into()])] {
            let query = entry_query::<Sqlite>(&[1; 16], &projects);
            let explain = format!("EXPLAIN QUERY PLAN {}", query.sql().as_str());
            let steps = sqlx::query(AssertSqlSafe(explain))
                .fetch_all(&mut *files.writer().await.expect("it is free"))
                .await
                .expect("a plan");
            let steps: Vec<String> = steps.iter().map(|step| step.get("detail")).collect();
            let wanted = "SEARCH audit_entries USING INDEX audit_entries_time (opened_at>? AND opened_at<?)";
            assert_eq!(steps, [wanted], "{projects:?}");
        }
    }

    /// A page is read in the order of an index, and no entry of it is sorted.
    #[tokio::test]
    async fn pages_are_in_the_order_of_their_index() {
        let store = contract::on_sqlite().await.expect("a file can be made");
        let Backend::Sqlite(files) = &store.0.backend else { unreachable!("it is a file") };
        let said = || vec!["x".to_owned()];
        let about = |named| Filter { resource: vec![named], ..Filter::default() };
        let filters = [
            ("principal", Filter { principal: said(), ..Filter::default() }),
            ("method", Filter { method: said(), ..Filter::default() }),
            ("project", Filter { projects: Projects::One("p".into()), ..Filter::default() }),
            ("project", about(ResourceFilter::Within("projects/p".into()))),
            ("project", about(ResourceFilter::Beginning("projects/p/".into()))),
            ("", about(ResourceFilter::Within("projects".into()))),
            ("", about(ResourceFilter::Beginning("projects/".into()))),
            ("", about(ResourceFilter::Beginning(String::new()))),
        ];
        for (index, filter) in filters {
            for ascending in [true, false] {
                let query = page_query::<Sqlite>(&filter, Walk { ascending, after: Some(7), rows_max: 50 });
                let explain = format!("EXPLAIN QUERY PLAN {}", query.sql().as_str());
                // By the connection that migrated: others look at a plan's indexes only when they follow it.
                let steps = sqlx::query(AssertSqlSafe(explain))
                    .fetch_all(&mut *files.writer().await.expect("it is free"))
                    .await
                    .expect("a plan");
                let steps: Vec<String> = steps.iter().map(|step| step.get("detail")).collect();
                let after = if ascending { ">" } else { "<" };
                let wanted = match index {
                    "" => format!("SEARCH audit_entries USING INTEGER PRIMARY KEY (rowid{after}?)"),
                    _ => format!(
                        "SEARCH audit_entries USING INDEX audit_entries_{index} ({index}=? AND rowid{after}?)"
                    ),
                };
                assert_eq!(steps, [wanted], "{filter:?}");
            }
        }
    }
}
