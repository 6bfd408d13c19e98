//! API keys.

use sqlx::{Row as _, sqlite::SqliteRow};

use super::Files;
use crate::store::keys::{Kept, Room, Row};

const COLUMNS: &str = "id, hash, principal, role, resources, note, created_by, created_at, expires_at, revoked_at, last_used_at";

/// Inserts if there is room for it.
pub(in crate::store) async fn insert(files: &Files, row: &Row, room: Room, now: i64) -> sqlx::Result<Kept> {
    let mut writer = files.writer().await?;
    let mut transaction = writer.begin().await?;
    let (live, alike): (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(CASE WHEN role = $3 AND resources = $4 THEN 1 END) FROM api_keys
         WHERE principal = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
    )
    .bind(&row.principal)
    .bind(now)
    .bind(&row.role)
    .bind(&row.resources)
    .fetch_one(&mut *transaction)
    .await?;
    if alike >= i64::from(room.alike_max) {
        return Ok(Kept::TooManyAlike);
    }
    if live >= i64::from(room.live_max) {
        return Ok(Kept::TooMany);
    }
    sqlx::query(
        "INSERT INTO api_keys
         (id, hash, principal, role, resources, note, created_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&row.id)
    .bind(&row.hash)
    .bind(&row.principal)
    .bind(&row.role)
    .bind(&row.resources)
    .bind(&row.note)
    .bind(&row.created_by)
    .bind(row.created_at)
    .bind(row.expires_at)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Kept::Yes)
}

pub(in crate::store) async fn find(files: &Files, id: &str) -> sqlx::Result<Option<Row>> {
    let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE id = $1");
    let found = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(files.reader()).await?;
    found.as_ref().map(read).transpose()
}

/// Lists the newest first, behind a position.
pub(in crate::store) async fn list(
    files: &Files,
    created: i64,
    id: &str,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM api_keys WHERE (created_at, id) < ($1, $2)
         ORDER BY created_at DESC, id DESC LIMIT $3"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(created)
        .bind(id)
        .bind(limit)
        .fetch_all(files.reader())
        .await?;
    rows.iter().map(read).collect()
}

pub(in crate::store) async fn revoke(files: &Files, id: &str, now: i64) -> sqlx::Result<Option<Row>> {
    let sql = format!(
        "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1 RETURNING {COLUMNS}"
    );
    let found = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(now)
        // All of one: who stops at the first row does not hear whether it was committed.
        .fetch_all(&mut *files.writer().await?)
        .await?;
    found.first().map(read).transpose()
}

pub(in crate::store) async fn touch(files: &Files, ids: &[String], times: &[i64]) -> sqlx::Result<()> {
    let mut writer = files.writer().await?;
    let mut transaction = writer.begin().await?;
    for (id, at) in ids.iter().zip(times) {
        sqlx::query("UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND COALESCE(last_used_at, 0) < $2")
            .bind(id)
            .bind(at)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

fn read(row: &SqliteRow) -> sqlx::Result<Row> {
    Ok(Row {
        id: row.try_get(0)?,
        hash: row.try_get(1)?,
        principal: row.try_get(2)?,
        role: row.try_get(3)?,
        resources: row.try_get(4)?,
        note: row.try_get(5)?,
        created_by: row.try_get(6)?,
        created_at: row.try_get(7)?,
        expires_at: row.try_get(8)?,
        revoked_at: row.try_get(9)?,
        last_used_at: row.try_get(10)?,
    })
}

#[cfg(test)]
mod tests {
    use crate::store::{
        Backend, contract,
        keys::{Kept, Room, Row},
    };

    /// Whoever revoked it was told that it was.
    #[tokio::test]
    async fn a_key_whose_revocation_could_not_be_committed_is_not_said_to_be_revoked() {
        let store = contract::on_sqlite().await.expect("a file can be made");
        let Backend::Sqlite(files) = &store.0.backend else { unreachable!("it is a file") };
        let row = Row {
            id: "k".to_owned(),
            hash: Vec::new(),
            principal: "alice".to_owned(),
            role: "viewer".to_owned(),
            resources: "[]".to_owned(),
            note: String::new(),
            created_by: "bob".to_owned(),
            created_at: 1,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        };
        let room = Room { live_max: 1, alike_max: 1 };
        assert_eq!(super::insert(files, &row, room, 1).await.unwrap(), Kept::Yes);
        // What is wrong here is seen only when all is committed.
        for statement in [
            "CREATE TABLE parents (id INTEGER PRIMARY KEY)",
            "CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)",
            "CREATE TRIGGER orphan AFTER UPDATE ON api_keys BEGIN INSERT INTO children VALUES (7); END",
        ] {
            contract::alter(&store, statement).await;
        }
        assert!(super::revoke(files, "k", 2).await.is_err());
        let found = super::find(files, "k").await.unwrap().expect("it is there");
        assert_eq!(found.revoked_at, None);
    }
}
