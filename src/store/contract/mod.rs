//! What every store must do, told once and held against both.
//!
//! Each story runs on a fresh SQLite file, and on a fresh Postgres schema when `CAUSEWAY_TEST_POSTGRES` names a server;
//! `./test` starts one. `contract!` makes the two tests of a story.

mod audit;
mod basics;
mod journal;
mod keys;
pub(super) mod operations;
mod webhooks;

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{Backend, Store};
use crate::{
    clock::{Clock, SystemClock},
    config, crypto,
};

/// Names the Postgres server of the tests.
const SERVER: &str = "CAUSEWAY_TEST_POSTGRES";

/// A fresh, migrated store on SQLite.
pub(super) async fn on_sqlite() -> Option<Store> {
    Some(open(None, Arc::new(SystemClock)).await)
}

/// A fresh store of each kind that there is, on a clock of the story's own.
pub(crate) async fn each(clock: Arc<dyn Clock>) -> Vec<Store> {
    let mut all = vec![open(None, clock.clone()).await];
    if let Some(url) = schema().await {
        all.push(open(Some(url), clock).await);
    }
    all
}

/// A fresh, migrated store in a schema of its own on Postgres; `None` without a server.
pub(super) async fn on_postgres() -> Option<Store> {
    Some(open(Some(schema().await?), Arc::new(SystemClock)).await)
}

/// Changes the schema under a store, so that some of its statements fail and others do not.
pub(crate) async fn alter(store: &Store, statement: &'static str) {
    let done = match &store.0.backend {
        Backend::Postgres(pool) => sqlx::query(statement).execute(pool).await.map(|_| ()),
        Backend::Sqlite(files) => {
            let mut writer = files.writer().await.expect("nobody else writes");
            sqlx::query(statement).execute(&mut *writer).await.map(|_| ())
        }
    };
    done.expect("it is SQL");
}

/// Somebody who reads tables for long, as a backup does.
pub(crate) enum Reading {
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
}

impl Reading {
    /// Begins to read with a statement, and holds what it needs for it.
    pub(crate) async fn begin(store: &Store, statement: &'static str) -> Self {
        match &store.0.backend {
            Backend::Postgres(pool) => {
                let mut transaction = pool.begin().await.expect("a connection");
                sqlx::query(statement).execute(&mut *transaction).await.expect("it is SQL");
                Self::Postgres(transaction)
            }
            Backend::Sqlite(files) => {
                let mut transaction = files.reader().begin().await.expect("a connection");
                sqlx::query(statement).execute(&mut *transaction).await.expect("it is SQL");
                Self::Sqlite(transaction)
            }
        }
    }

    /// Lets go of everything.
    pub(crate) async fn end(self) {
        match self {
            Self::Postgres(transaction) => transaction.rollback().await,
            Self::Sqlite(transaction) => transaction.rollback().await,
        }
        .expect("nothing was written");
    }
}

/// Has a store believe that its database is away, until it hears of it again.
pub(crate) fn take_away(store: &Store) {
    store.note_away();
}

/// Whether anybody was to be woken for events since this was last asked. Who forgets to wake couriers has them find the event
/// a second later, which nobody would see.
async fn is_told(store: &Store) -> bool {
    timeout(Duration::ZERO, store.told()).await.is_ok()
}

/// Two replicas on one fresh schema of Postgres; `None` without a server.
pub(crate) async fn replicas(clock: Arc<dyn Clock>) -> Option<[Store; 2]> {
    let url = schema().await?;
    Some([open(Some(url.clone()), clock.clone()).await, open(Some(url), clock).await])
}

/// The URL of a server that a variable names, if it does.
pub(super) fn server(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests are told where the server is by whoever started it")]
    let server = std::env::var(name).ok();
    if server.is_none() {
        eprintln!("{name} is not set: not run on it");
    }
    server
}

/// The URL of a fresh schema on Postgres; `None` without a server.
async fn schema() -> Option<String> {
    let server = server(SERVER)?;
    let schema = format!("t{}", crypto::uuid_text(&crypto::random()).replace('-', ""));
    let pool = sqlx::PgPool::connect(&server).await.expect("the server of the tests answers");
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
        .execute(&pool)
        .await
        .expect("a fresh schema");
    let separator = if server.contains('?') { '&' } else { '?' };
    Some(format!("{server}{separator}options=-csearch_path%3D{schema}"))
}

async fn open(url: Option<String>, clock: Arc<dyn Clock>) -> Store {
    let mut set = vec!["identity.mode=none".to_owned()];
    set.extend(url.map(|url| format!("database.url={url}")));
    let sources = config::Sources { set, ..config::Sources::default() };
    let config = config::Config::load(sources).into_config().expect("the settings are right");
    Store::open(&config.database, clock).await.unwrap_or_else(|error| panic!("{}", error.told()))
}

/// Makes two tests of each story `async fn(Store)`: one on each store.
macro_rules! contract {
    ($($story:ident),* $(,)?) => {
        $(mod $story {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let store = crate::store::contract::on_sqlite().await;
                super::tell::$story(store.expect("a file can always be made")).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(store) = crate::store::contract::on_postgres().await {
                    super::tell::$story(store).await;
                }
            }
        })*
    };
}
use contract;
