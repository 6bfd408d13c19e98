//! Bringing a database up to date, one migration after the other, each in a transaction of its own.

use jiff::Timestamp;

use super::{Backend, Store, failure, migrations, postgres, sqlite};
use crate::{
    crypto,
    error::{Code, Error, Reason, Result},
};

/// One step of the schema, in both dialects.
#[derive(Debug)]
pub(super) struct Migration {
    pub(super) number: i64,
    pub(super) name: &'static str,
    pub(super) postgres: &'static str,
    pub(super) sqlite: &'static str,
}

/// One migration and whether this database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Number and name, e.g. `0001_journal`.
    pub name: String,
    /// When it was applied; `None` if it was not.
    pub applied: Option<Timestamp>,
}

/// A migration that a database has.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    pub(super) number: i64,
    pub(super) name: String,
    pub(super) checksum: Vec<u8>,
    pub(super) applied_at: i64,
}

impl Migration {
    fn checksum(&self, sql: &str) -> [u8; 32] {
        crypto::sha256(&[self.name.as_bytes(), b"\0", sql.as_bytes()])
    }
}

impl Store {
    /// Applies what is missing and returns the names of it. Several processes may try at once: one does it.
    ///
    /// # Errors
    /// The database is away, is newer than this program, has a migration that differs from ours, or somebody else, such as a
    /// backup, is using what one would change; what was applied until then stays.
    pub async fn migrate(&self) -> Result<Vec<&'static str>> {
        let mut done = Vec::new();
        // Each round looks again: another process may have been faster. There are as many rounds as migrations.
        for _ in migrations::ALL {
            let applied = self.applied().await?;
            check(&applied, self.is_postgres())?;
            let Some(next) = migrations::ALL.iter().find(|known| !has(&applied, known)) else { break };
            let now = self.now().as_microsecond();
            let fresh = match &self.0.backend {
                Backend::Postgres(pool) => {
                    postgres::migrate::apply(pool, next, &next.checksum(next.postgres), now).await
                }
                Backend::Sqlite(files) => {
                    sqlite::migrate::apply(files, next, &next.checksum(next.sqlite), now).await
                }
            };
            match fresh {
                Ok(true) => done.push(next.name),
                Ok(false) => {}
                Err(error) if failure::is_locked(&error) => return Err(locked(next.name, error)),
                Err(error) => return Err(failure::of(error).with_metadata("migration", next.name)),
            }
        }
        Ok(done)
    }

    /// Lists every migration.
    ///
    /// # Errors
    /// As [`Self::migrate`].
    pub async fn migration_status(&self) -> Result<Vec<MigrationStatus>> {
        let applied = self.applied().await?;
        check(&applied, self.is_postgres())?;
        let status = |known: &Migration| MigrationStatus {
            name: known.name.to_owned(),
            applied: applied
                .iter()
                .find(|row| row.number == known.number)
                .and_then(|row| Timestamp::from_microsecond(row.applied_at).ok()),
        };
        Ok(migrations::ALL.iter().map(status).collect())
    }

    /// Whether anything was ever made in it, by this version or another.
    ///
    /// # Errors
    /// The database is away.
    pub async fn has_schema(&self) -> Result<bool> {
        Ok(!self.applied().await?.is_empty())
    }

    /// Refuses a database that is not exactly what this program was made for.
    ///
    /// # Errors
    /// It is not, or as [`Self::migrate`].
    pub async fn require_current(&self) -> Result<()> {
        let missing: Vec<String> = self
            .migration_status()
            .await?
            .into_iter()
            .filter(|status| status.applied.is_none())
            .map(|status| status.name)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(refusal(format!(
            "database.url: the schema lacks {}; run `causeway migrate`, or set database.migrate = true",
            missing.join(", ")
        )))
    }

    async fn applied(&self) -> Result<Vec<Applied>> {
        match &self.0.backend {
            Backend::Postgres(pool) => postgres::migrate::applied(pool).await,
            Backend::Sqlite(files) => sqlite::migrate::applied(files).await,
        }
        .map_err(failure::of)
    }
}

fn has(applied: &[Applied], migration: &Migration) -> bool {
    applied.iter().any(|row| row.number == migration.number)
}

fn check(applied: &[Applied], postgres: bool) -> Result<()> {
    for row in applied {
        let Some(known) = migrations::ALL.iter().find(|known| known.number == row.number) else {
            return Err(refusal(format!(
                "database.url: the schema has {}, which this version does not know; run the version that made it",
                row.name
            )));
        };
        let ours = known.checksum(if postgres { known.postgres } else { known.sqlite });
        if row.name != known.name || row.checksum != ours {
            return Err(refusal(format!(
                "database.url: the schema has another {} than this version; it was changed after it was released",
                row.name
            )));
        }
    }
    Ok(())
}

fn locked(name: &str, error: sqlx::Error) -> Error {
    let text = format!(
        "database.url: {name} cannot be applied while another session, such as a backup or a long query, uses what it \
         changes; run `causeway migrate` again when that is over"
    );
    Error::new(Code::Unavailable, Reason::StoreUnavailable, text).with_source(error)
}

fn refusal(text: String) -> Error {
    Error::new(Code::FailedPrecondition, Reason::StoreUnavailable, text)
}
