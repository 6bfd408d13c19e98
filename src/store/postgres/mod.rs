//! The store on Postgres: what each noun says in SQL.

pub(super) mod audit;
#[path = "../both/audit_log.rs"]
pub(super) mod audit_log;
#[path = "../both/corrections.rs"]
pub(super) mod corrections;
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

use std::{io, str::FromStr as _, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgConnection as Connection, PgPool,
    PgPool as Handle, PgTransaction, Postgres, Row as _,
    pool::PoolConnection,
    postgres::PgRow as Row,
    postgres::{PgConnectOptions, PgPoolOptions},
    raw_sql,
};
use tokio::time::{sleep, timeout};

use super::open::ACQUIRE_TIME_MAX;

/// What each connection is told when it is made; not as it is made, since a pooler in between may leave that out.
///
/// A statement takes 10 s at most, and so does whoever has a transaction open and says nothing.
///
/// How the server may look for rows: by index, one row after the other. Plans are kept for as long as a connection lives,
/// and most are made while a table is empty, when reading all of it is the cheapest way; a second later it holds what a
/// burst has left. Every statement here wants few rows and has an index for them. Without `jit`, which takes what is
/// discouraged for so dear that compiling it pays.
///
/// The first column of a key is joined as `id = ANY (ARRAY[new.id])`. With `id = new.id` the server also considers to walk
/// through all of the index, since that is sorted by what is joined; and after a vacuum that found the table empty, it takes
/// that for one row, however full the table is by then. Other indexes still tempt it where their condition is asked for too:
/// see `IS TRUE` and `+ 0` at the statements.
///
/// That a table is there already is no news.
const SETTINGS: &str = "
    SET statement_timeout = '10s';
    SET idle_in_transaction_session_timeout = '10s';
    SET enable_seqscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET jit = off;
    SET client_min_messages = warning";
/// Connections are made anew after this, so that a fail-over spreads.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// How long a server that is just starting is left before it is asked again.
const START_EVERY: Duration = Duration::from_millis(100);

/// Looks whether the server is there and keeps what it is given, and makes a pool; its connections are made when they are
/// needed.
pub(super) async fn open(url: &str, connections_max: u32) -> sqlx::Result<PgPool> {
    // How exactly the server prints fractions, of which there are none; poolers refuse who asks for it.
    let options = PgConnectOptions::from_str(url)?.application_name("causeway").extra_float_digits(None);
    let mut refusal = None;
    match timeout(ACQUIRE_TIME_MAX, look(&options, &mut refusal)).await {
        Ok(looked) => looked?,
        Err(_) => return Err(refusal.unwrap_or_else(silence)),
    }
    Ok(PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIME_MAX)
        .max_lifetime(LIFETIME)
        .test_before_acquire(true)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(raw_sql(SETTINGS)).await.map(|_| ()) })
        })
        .connect_lazy_with(options))
}

/// Connects. A server that is just starting is waited for, as the pool does; but once its time is over the pool says
/// only that, and not what it was refused with.
async fn look(options: &PgConnectOptions, refusal: &mut Option<sqlx::Error>) -> sqlx::Result<()> {
    loop {
        // Boxed: it is needed once, and shaking hands takes room.
        match Box::pin(options.connect()).await {
            Ok(mut connection) => {
                require_durable(&mut connection).await?;
                let looked = require_unshared(options, &mut connection).await;
                // It has said what was to be known.
                let _gone = connection.close().await;
                match looked {
                    Err(error) if may_be_starting(&error) => *refusal = Some(error),
                    looked => return looked,
                }
            }
            Err(error) if may_be_starting(&error) => *refusal = Some(error),
            Err(error) => return Err(error),
        }
        sleep(START_EVERY).await;
    }
}

/// Whether a server that is just starting, or has as many connections as it takes, answers so.
fn may_be_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => matches!(error.code().as_deref(), Some("53300" | "57P03")),
        _ => false,
    }
}

fn silence() -> sqlx::Error {
    let text = format!("no answer within {} s", ACQUIRE_TIME_MAX.as_secs());
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, text))
}

/// Takes a connection that only reads.
async fn reader(pool: &Handle) -> sqlx::Result<PoolConnection<Postgres>> {
    pool.acquire().await
}

/// Takes a connection that writes.
async fn writer(pool: &Handle) -> sqlx::Result<PoolConnection<Postgres>> {
    pool.acquire().await
}

/// Begins a transaction.
async fn begin(connection: &mut PoolConnection<Postgres>) -> sqlx::Result<PgTransaction<'_>> {
    connection.begin().await
}

/// Refuses a server that says "committed" before it is.
async fn require_durable(connection: &mut Connection) -> sqlx::Result<()> {
    let mode: String = said(connection, "SHOW synchronous_commit").await?;
    if mode == "off" {
        let why = "synchronous_commit is off: what was answered as done could be lost. Set it to on or local for this \
                   user or database";
        return Err(sqlx::Error::Configuration(why.into()));
    }
    Ok(())
}

/// How often a pooler has the chance to hand one connection what it lent to another. One that lends out in turn shows
/// itself at once; one that prefers what was last in use may have too many clients to do so every time. Each turn is two ways
/// to the server and back, of which there are not to be many in [`ACQUIRE_TIME_MAX`].
const TURNS: usize = 4;

/// Refuses a pooler that lends one connection of the server to several clients by turns: what one of them sets and prepares
/// would be another's.
async fn require_unshared(options: &PgConnectOptions, connection: &mut Connection) -> sqlx::Result<()> {
    let mut other = Box::pin(options.connect()).await?;
    let (ours, theirs) = (server_of(connection).await?, server_of(&mut other).await?);
    let mut is_shared = ours == theirs;
    for _ in 1..TURNS {
        is_shared |= (server_of(connection).await?, server_of(&mut other).await?) != (ours, theirs);
    }
    let _gone = other.close().await;
    if is_shared {
        let why = "there is a pooler in between that shares connections by transaction or statement. Have it keep one for each \
                   session (pgbouncer: pool_mode = session), or name the server itself";
        return Err(sqlx::Error::Configuration(why.into()));
    }
    Ok(())
}

/// Asks which process of the server answers.
async fn server_of(connection: &mut Connection) -> sqlx::Result<i32> {
    said(connection, "SELECT pg_backend_pid()").await
}

/// Asks for one value in the simple way, which also works where statements cannot be prepared.
async fn said<T>(connection: &mut Connection, question: &'static str) -> sqlx::Result<T>
where
    T: for<'r> sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
{
    connection.fetch_one(raw_sql(question)).await?.try_get(0)
}

/// Returns the time of the server, in microseconds since 1970.
pub(super) async fn time(pool: &PgPool) -> sqlx::Result<i64> {
    let (micros,): (i64,) =
        sqlx::query_as("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
            .fetch_one(pool)
            .await?;
    Ok(micros)
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgPool};

    use super::{
        deliveries::{DISPATCH, SETTLE},
        journal::PLAIN,
        operations::QUIET,
    };
    use crate::store::{Backend, contract};

    /// How the server will do what it is asked, whatever the values: before anything was ever written, and once vacuum has
    /// found that nothing is left, which it takes for what will always be so.
    async fn plans(types: &str, statement: &str, values: &str) -> Option<[String; 2]> {
        let store = contract::on_postgres().await?;
        let Backend::Postgres(pool) = &store.0.backend else { unreachable!("it is on Postgres") };
        let untouched = plan(pool, types, statement, values).await;
        for table in ["journal", "idempotency_keys", "operations", "events", "webhook_deliveries"] {
            pool.execute(AssertSqlSafe(format!("VACUUM ANALYZE {table}"))).await.expect("it is vacuumed");
        }
        Some([untouched, plan(pool, types, statement, values).await])
    }

    async fn plan(pool: &PgPool, types: &str, statement: &str, values: &str) -> String {
        let mut connection = pool.acquire().await.expect("a connection");
        let mut transaction = connection.begin().await.expect("a transaction");
        let prepare =
            format!("SET LOCAL plan_cache_mode = force_generic_plan; PREPARE one ({types}) AS {statement}");
        transaction.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await.expect("it is prepared");
        let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE one ({values})"));
        let lines: Vec<String> =
            sqlx::query_scalar(explain).fetch_all(&mut *transaction).await.expect("it is explained");
        transaction.execute("DEALLOCATE one").await.expect("it is forgotten");
        lines.join("\n")
    }

    /// The journal was empty when a writer first wrote to it; the plan made then read all of it, and was kept while a burst
    /// filled it: a commit took a hundred times as long.
    #[tokio::test]
    async fn a_plan_made_while_the_journal_was_empty_serves_when_it_is_full() {
        let types = "bytea, bytea[], bigint[], text[], bytea[], bigint[], text[]";
        let values = "'', '{}', '{}', '{}', '{}', '{}', '{}'";
        for plan in plans(types, PLAIN, values).await.into_iter().flatten() {
            by_key(&plan, "journal", "id");
        }
    }

    /// What is known by its key is looked up by it, and not one by one in all there is.
    fn by_key(plan: &str, table: &str, column: &str) {
        let is_looked_up = plan.contains(&format!("Index Scan using {table}_pkey on {table} "))
            || plan.contains(&format!("Bitmap Index Scan on {table}_pkey"));
        assert!(is_looked_up && plan.contains(&format!("Index Cond: ({column} = ANY")), "{plan}");
        assert!(!plan.contains(&format!("Seq Scan on {table}")) && !plan.contains("Join"), "{plan}");
    }

    /// A pooler left out what connections were told as they were made. One that lends a connection to several clients by turns
    /// was taken for a server, and then a statement was there that nobody here had prepared.
    #[tokio::test]
    async fn a_pooler_may_keep_connections_but_not_share_them() {
        let Some(bouncer) = contract::server("CAUSEWAY_TEST_PGBOUNCER") else { return };
        let pool = super::open(&format!("{bouncer}/session"), 2).await.expect("each session has its own");
        let (limit,): (String,) =
            sqlx::query_as("SHOW statement_timeout").fetch_one(&pool).await.expect("it answers");
        assert_eq!(limit, "10s");
        pool.close().await;
        let error = super::open(&format!("{bouncer}/transaction"), 2).await.expect_err("they are shared");
        assert!(error.to_string().contains("pool_mode = session"), "{error}");
    }

    /// Vacuum gave the end of the journal back after a burst, and all requests waited for it.
    #[tokio::test]
    async fn vacuum_locks_nobody_out_of_what_requests_write() {
        let Some(store) = contract::on_postgres().await else { return };
        let Backend::Postgres(pool) = &store.0.backend else { unreachable!("it is on Postgres") };
        let shrinking: Vec<String> = sqlx::query_scalar(
            "SELECT relname::text FROM pg_class
             WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relispartition = false
               AND NOT coalesce(reloptions, '{}') && ARRAY['vacuum_truncate=false'] ORDER BY relname",
        )
        .fetch_all(pool)
        .await
        .expect("the catalogue is read");
        // What goes there goes by age, and leaves no empty end.
        let not_emptied = [
            "api_keys",
            "audit_seals",
            "events",
            "generated_secrets",
            "instances",
            "operations",
            "schema_migrations",
            "webhook_attempts",
            "webhook_deliveries",
            "webhook_endpoints",
            "webhook_generation",
            "webhook_replays",
        ];
        assert_eq!(shrinking, not_emptied);
    }

    #[tokio::test]
    async fn events_are_compared_with_deliveries_through_a_hash() {
        let types = "bigint, bytea[], bigint, text[], bytea[], text[], boolean[]";
        let values = "0, '{}', 0, '{}', '{}', '{}', '{}'";
        for plan in plans(types, DISPATCH, values).await.into_iter().flatten() {
            assert!(plan.contains("hashed SubPlan"), "{plan}");
        }
    }

    #[tokio::test]
    async fn operations_are_written_by_their_keys() {
        let types = "bytea[], bigint[], bigint[], bigint[], integer[]";
        let values = "'{}', '{}', '{}', '{}', '{}'";
        for plan in plans(types, QUIET, values).await.into_iter().flatten() {
            by_key(&plan, "operations", "id");
        }
    }

    /// The index of what is pending still leads to what was delivered, until it is vacuumed: settling looked through all of
    /// it for each delivery, and took a tenth of a second.
    #[tokio::test]
    async fn deliveries_are_settled_by_their_keys() {
        let types = "text[], bytea[], bigint[], smallint[], bigint[], bigint[], bigint[], bigint[], integer[], text[], \
                     text[], bytea[], bigint";
        let values = format!("{}0", "'{}', ".repeat(12));
        for plan in plans(types, SETTLE, &values).await.into_iter().flatten() {
            by_key(&plan, "webhook_deliveries", "(endpoint_id");
            assert!(!plan.contains("webhook_deliveries_due"), "{plan}");
            assert!(plan.contains("AND (event_id = new.event_id)"), "{plan}");
        }
    }
}
