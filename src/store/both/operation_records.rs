//! Records of operations, in words that both dialects understand.

use sqlx::{AssertSqlSafe, Row as _};

use super::{Connection, Handle, Row, begin, events, reader, writer};
use crate::{
    model::{Operation, OperationId},
    store::operations::{Birth, COLUMNS, Page, operation, page_query},
};

/// Reads a row with [`COLUMNS`].
pub(in crate::store) fn read(row: &Row) -> sqlx::Result<Operation> {
    Ok(operation!(row))
}

/// Puts an operation on record by itself; false if it is there already.
pub(in crate::store) async fn insert(handle: &Handle, birth: &Birth) -> sqlx::Result<bool> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    let fresh = insert_all(&mut transaction, &[birth]).await?;
    transaction.commit().await?;
    Ok(fresh == 1)
}

/// Puts operations on record with their events, each unless it is there already. Returns how many were not.
pub(in crate::store) async fn insert_all(
    connection: &mut Connection,
    births: &[&Birth],
) -> sqlx::Result<usize> {
    let statement = format!(
        "INSERT INTO operations ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
         $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26) ON CONFLICT DO NOTHING"
    );
    let mut fresh = 0;
    for birth in births {
        let it = &birth.operation;
        let done = sqlx::query(AssertSqlSafe(statement.as_str()))
            .bind(&it.id.0[..])
            .bind(&it.project)
            .bind(it.kind.name())
            .bind(&it.upstream)
            .bind(&it.upstream_name)
            .bind(&it.run)
            .bind(&it.parent)
            .bind(&it.target)
            .bind(&it.method)
            .bind(&it.principal)
            .bind(it.state.name())
            .bind(it.version)
            .bind(it.progress)
            .bind(it.created_at)
            .bind(it.started_at)
            .bind(it.updated_at)
            .bind(it.ended_at)
            .bind(&it.metadata)
            .bind(&it.response)
            .bind(&it.error)
            .bind(&it.source)
            .bind(&it.problem)
            .bind(it.poll_at)
            .bind(it.spacing)
            .bind(it.failures)
            .bind(it.lease_token)
            .execute(&mut *connection)
            .await?;
        if done.rows_affected() == 1 {
            fresh += 1;
            events::insert(connection, &birth.events.iter().collect::<Vec<_>>()).await?;
        }
    }
    Ok(fresh)
}

/// Finds an operation that was not deleted.
pub(in crate::store) async fn get(handle: &Handle, id: OperationId) -> sqlx::Result<Option<Operation>> {
    let statement = format!("SELECT {COLUMNS} FROM operations WHERE id = $1 AND deleted_at IS NULL");
    let row = sqlx::query(AssertSqlSafe(statement))
        .bind(&id.0[..])
        .fetch_optional(&mut *reader(handle).await?)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Finds the newest run of a name, and whether a caller deleted it.
pub(in crate::store) async fn named(
    handle: &Handle,
    upstream: &str,
    name: &str,
) -> sqlx::Result<Option<(Operation, bool)>> {
    let statement = format!(
        "SELECT {COLUMNS}, deleted_at IS NOT NULL FROM operations WHERE upstream = $1 AND upstream_name = $2
         ORDER BY id DESC LIMIT 1"
    );
    let row = sqlx::query(AssertSqlSafe(statement))
        .bind(upstream)
        .bind(name)
        .fetch_optional(&mut *reader(handle).await?)
        .await?;
    row.map(|row| Ok((read(&row)?, row.try_get(26)?))).transpose()
}

/// Whether an upstream has operations that have not ended.
pub(in crate::store) async fn any_open(handle: &Handle, upstream: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM operations WHERE upstream = $1 AND ended_at IS NULL)")
        .bind(upstream)
        .fetch_one(&mut *reader(handle).await?)
        .await
}

/// Returns a page of a list.
pub(in crate::store) async fn page(handle: &Handle, page: &Page) -> sqlx::Result<Vec<Operation>> {
    let rows = page_query(page).build().fetch_all(&mut *reader(handle).await?).await?;
    rows.iter().map(read).collect()
}

/// Marks an operation as deleted; false if it was not there.
pub(in crate::store) async fn delete(handle: &Handle, id: OperationId, now: i64) -> sqlx::Result<bool> {
    let mut connection = writer(handle).await?;
    let mut transaction = begin(&mut connection).await?;
    let done = sqlx::query(
        "UPDATE operations SET deleted_at = $2, ended_at = COALESCE(ended_at, $2), lease_token = lease_token + 1
         WHERE id = $1 AND deleted_at IS NULL",
    )
    .bind(&id.0[..])
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() == 1)
}
