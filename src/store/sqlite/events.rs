//! Events.

use sqlx::{AssertSqlSafe, Row as _, SqliteConnection, sqlite::SqliteRow};

use super::Files;
use crate::{
    model::{Event, OperationId},
    store::events::{COLUMNS, event},
};

/// Writes events in a transaction. One that is there already stays as it is.
pub(in crate::store) async fn insert(
    connection: &mut SqliteConnection,
    events: &[&Event],
) -> sqlx::Result<()> {
    for event in events {
        sqlx::query(
            "INSERT INTO events (id, project, kind, occurred_at, operation, version, source, upstream, payload)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        )
        .bind(&event.id[..])
        .bind(&event.project)
        .bind(event.kind.name())
        .bind(event.at)
        .bind(&event.operation.0[..])
        .bind(event.version)
        .bind(event.source.name())
        .bind(&event.upstream)
        .bind(&event.payload)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

fn read(row: &SqliteRow) -> sqlx::Result<Event> {
    Ok(event!(row))
}

pub(in crate::store) async fn of_operation(
    files: &Files,
    operation: OperationId,
) -> sqlx::Result<Vec<Event>> {
    let statement = format!("SELECT {COLUMNS} FROM events WHERE operation = $1 ORDER BY version, id");
    let rows = sqlx::query(AssertSqlSafe(statement)).bind(&operation.0[..]).fetch_all(files.reader()).await?;
    rows.iter().map(read).collect()
}
