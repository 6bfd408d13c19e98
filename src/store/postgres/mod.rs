//! The store on Postgres: what each noun says in SQL.

pub(super) mod audit;
#[path = "../both/audit_log.rs"]
pub(super) mod audit_log;
pub(super) mod deliveries;
#[path = "../both/delivery_records.rs"]
pub(super) mod delivery_records;
pub(super) mod events;
pub(super) mod generated;
pub(super) mod instance;
#[path = "../both/intents.rs"]
pub(super) mod intents;
pub(super) mod journal;
pub(super) mod keys;
pub(super) mod migrate;
#[path = "../both/operation_counts.rs"]
pub(super) mod operation_counts;
#[path = "../both/operation_records.rs"]
pub(super) mod operation_records;
pub(super) mod operations;
#[path = "../both/webhook_endpoints.rs"]
pub(super) mod webhook_endpoints;
#[path = "../both/webhook_events.rs"]
pub(super) mod webhook_events;

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    PgConnection as Connection, PgPool, PgPool as Handle, PgTransaction, Postgres,
    pool::PoolConnection,
    postgres::PgRow as Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::open::ACQUIRE_TIME_MAX;

/// The longest that one statement may take, in milliseconds, as Postgres reads it.
const STATEMENT_MS_MAX: &str = "10000";
/// Connections are made anew after this, so that a fail-over spreads.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Makes a pool; connections are made when they are needed.
pub(super) fn open(url: &str, connections_max: u32) -> sqlx::Result<PgPool> {
    let options = PgConnectOptions::from_str(url)?.application_name("causeway").options([
        ("statement_timeout", STATEMENT_MS_MAX),
        ("idle_in_transaction_session_timeout", STATEMENT_MS_MAX),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIME_MAX)
        .max_lifetime(LIFETIME)
        .test_before_acquire(true)
        .connect_lazy_with(options))
}

/// Takes a connection that only reads.
async fn reader(pool: &Handle) -> sqlx::Result<PoolConnection<Postgres>> {
    pool.acquire().await
}

/// Begins a transaction that writes.
async fn writer(pool: &Handle) -> sqlx::Result<PgTransaction<'static>> {
    pool.begin().await
}

/// Refuses a server that says "committed" before it is.
pub(super) async fn require_durable(pool: &PgPool) -> sqlx::Result<()> {
    let (mode,): (String,) =
        sqlx::query_as("SELECT current_setting('synchronous_commit')").fetch_one(pool).await?;
    if mode == "off" {
        let why = "synchronous_commit is off: what was answered as done could be lost. Set it to on or local for this \
                   user or database";
        return Err(sqlx::Error::Configuration(why.into()));
    }
    Ok(())
}

/// Returns the time of the server, in microseconds since 1970.
pub(super) async fn time(pool: &PgPool) -> sqlx::Result<i64> {
    let (micros,): (i64,) =
        sqlx::query_as("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
            .fetch_one(pool)
            .await?;
    Ok(micros)
}
