//! Events.

use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _, postgres::PgRow};

use crate::{
    model::{Event, OperationId},
    store::events::{COLUMNS, event},
};

/// Writes events in a transaction. One that is there already stays as it is.
pub(in crate::store) async fn insert(connection: &mut PgConnection, events: &[&Event]) -> sqlx::Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO events (id, project, kind, occurred_at, operation, version, source, upstream, payload)
         SELECT * FROM UNNEST($1::bytea[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::bigint[], $7::text[],
                              $8::text[], $9::text[])
         ON CONFLICT DO NOTHING",
    )
    .bind(events.iter().map(|event| &event.id[..]).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.project.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.kind.name()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.at).collect::<Vec<_>>())
    .bind(events.iter().map(|event| &event.operation.0[..]).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.version).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.source.name()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.upstream.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.payload.as_str()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

fn read(row: &PgRow) -> sqlx::Result<Event> {
    Ok(event!(row))
}

pub(in crate::store) async fn of_operation(
    pool: &PgPool,
    operation: OperationId,
) -> sqlx::Result<Vec<Event>> {
    let statement = format!("SELECT {COLUMNS} FROM events WHERE operation = $1 ORDER BY version, id");
    let rows = sqlx::query(AssertSqlSafe(statement)).bind(&operation.0[..]).fetch_all(pool).await?;
    rows.iter().map(read).collect()
}
