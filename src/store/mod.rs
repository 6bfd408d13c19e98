//! Where records are kept: Postgres, or an embedded SQLite file.
//!
//! - [`Store`]: the one handle, shared by everybody. Each noun has its methods in a file of its own; what they say in SQL
//!   is in `postgres/` and `sqlite/`, and `contract/` holds both to the same behaviour.
//! - [`journal`]: what must be durable before something leaves, and before its answer does.
//! - [`audit`]: the log that closed entries are chained into.
//! - [`operations`] and [`events`]: what takes long, and what happened to it.
//! - [`Health`]: whether the store can be used. [`MigrationStatus`]: what `migrate --status` shows.
//! - [`Cursor`]: where a page of a list ends. [`Projects`]: of which projects it is.
//!
//! What holds: SQL is nowhere else; `now` is a parameter of every statement and comes from [`Store::now`], so that
//! replicas agree on it; every statement and every wait for a connection has a limit; a failure says whether the database
//! is away (`STORE_UNAVAILABLE`) or we are wrong (`INTERNAL`).
//!
//! It deliberately knows nothing of what the records mean: no state machine, no permission, no protocol.

pub mod audit;
mod clock;
mod deliveries;
pub mod events;
mod failure;
mod generated;
mod instance;
pub mod journal;
mod keys;
mod migrate;
mod migrations;
mod open;
pub mod operations;
mod page;
mod postgres;
mod projects;
mod sqlite;
mod webhook_endpoints;
mod webhook_events;

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use sqlx::PgPool;
use tokio::sync::Notify;

use self::{clock::Offset, sqlite::Files};
use crate::{clock::Clock, workers::Home};

pub use self::{
    clock::Health,
    deliveries::{Backlog, DeliveryQuery, EndpointHealth, Leased, NewDelivery, Settled, Verdict, Wanted},
    instance::{InstanceId, LEASE, time_ordered},
    keys::{Kept, Room, TOUCHED_MAX},
    migrate::MigrationStatus,
    page::Cursor,
    projects::Projects,
    webhook_events::EventQuery,
};

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    backend: Backend,
    clock: Arc<dyn Clock>,
    offset: Offset,
    instance: InstanceId,
    /// Where its connections are.
    home: Home,
    /// Woken when this process has written events.
    told: Notify,
    /// A folder that goes when the store does.
    temporary: Option<Temporary>,
}

enum Backend {
    Postgres(PgPool),
    Sqlite(Files),
}

struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "the temporary database could not be removed");
        }
    }
}

/// Runs the same function of a noun's module in the dialect of a store: `both!(store, keys::insert(row, now))`.
macro_rules! both {
    ($store:expr, $noun:ident::$verb:ident($($argument:expr),* $(,)?)) => {
        match &$store.0.backend {
            $crate::store::Backend::Postgres(pool) => {
                $store.0.home.owns($crate::store::postgres::$noun::$verb(pool, $($argument),*)).await
            }
            $crate::store::Backend::Sqlite(files) => {
                $crate::store::sqlite::$noun::$verb(files, $($argument),*).await
            }
        }
        .map_err($crate::store::failure::of)
    };
}
use both;

/// Postgres keeps no NUL. A text that is given away and has none is not copied.
fn plain(text: impl Into<String>) -> String {
    let text = text.into();
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// Reads a time as it is kept: microseconds since 1970.
fn time_of(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or_default()
}

impl Store {
    fn is_postgres(&self) -> bool {
        matches!(self.0.backend, Backend::Postgres(_))
    }

    /// Whether the store is a file that one process at a time works with.
    pub fn is_embedded(&self) -> bool {
        !self.is_postgres()
    }

    /// Whether everything is gone when the process ends.
    pub fn is_temporary(&self) -> bool {
        self.0.temporary.is_some()
    }

    /// Closes all connections; those in use when they are given back.
    pub async fn close(&self) {
        match &self.0.backend {
            Backend::Postgres(pool) => pool.close().await,
            Backend::Sqlite(files) => files.close().await,
        }
    }
}

#[cfg(test)]
pub(crate) mod contract;
