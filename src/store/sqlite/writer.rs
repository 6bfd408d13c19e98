//! The connection that writes. There is one, and whoever asks first has it first.
//!
//! It is in no pool: what a pool gives back it first asks whether it is still there, in a task of its own. That is one more way
//! to SQLite's thread for each transaction, and longer until the next may begin.
//!
//! Whoever gives up half-way leaves nothing to the next: what a dropped transaction has to undo is sent to SQLite's thread
//! before the connection is free, and that thread does one thing after the other.

use std::{
    mem,
    ops::{Deref, DerefMut},
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _, Sqlite, SqliteConnection, Transaction, sqlite::SqliteConnectOptions,
};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, timeout},
};

use crate::store::open::ACQUIRE_TIME_MAX;

/// How often the connection is asked whether it is still there: its thread ends when it cannot undo what was given up.
const PING_EVERY: Duration = Duration::from_secs(1);

/// The connection, and what it is made with again should it be lost.
pub(super) struct Writer {
    options: Box<SqliteConnectOptions>,
    slot: Mutex<Slot>,
}

enum Slot {
    Here {
        connection: SqliteConnection,
        /// When it was last known to be there.
        seen: Instant,
    },
    /// It was, and there is no other yet.
    Lost,
    Closed,
}

/// The connection while somebody has it.
pub(in crate::store) struct Held<'w>(MutexGuard<'w, Slot>);

impl Writer {
    pub(super) async fn connect(options: SqliteConnectOptions) -> sqlx::Result<Self> {
        let slot = Mutex::new(Slot::connect(&options).await?);
        Ok(Self { options: Box::new(options), slot })
    }

    /// Waits for the connection, as long as for one of a pool.
    pub(super) async fn hold(&self) -> sqlx::Result<Held<'_>> {
        timeout(ACQUIRE_TIME_MAX, self.wait()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    async fn wait(&self) -> sqlx::Result<Held<'_>> {
        let mut slot = self.slot.lock().await;
        let there = match &mut *slot {
            Slot::Here { connection, seen } => is_there(connection, seen).await,
            Slot::Lost => false,
            Slot::Closed => return Err(sqlx::Error::PoolClosed),
        };
        if !there {
            *slot = Slot::Lost;
            *slot = Slot::connect(&self.options).await?;
        }
        Ok(Held(slot))
    }

    /// Closes the connection once nobody has it, for good.
    pub(super) async fn close(&self) {
        let slot = mem::replace(&mut *self.slot.lock().await, Slot::Closed);
        if let Slot::Here { connection, .. } = slot
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "the connection that writes did not close");
        }
    }
}

/// Whether a connection can be used, as far as is known. Asked only now and then, and behind a transaction that was dropped:
/// what it has to undo may be on its way. Where SQLite has ended one by itself, as it does when the disk is full, sqlx goes on
/// taking it for open, and begins no other on this connection.
async fn is_there(connection: &mut SqliteConnection, seen: &mut Instant) -> bool {
    if seen.elapsed() < PING_EVERY && !connection.is_in_transaction() {
        return true;
    }
    if let Err(error) = connection.ping().await {
        tracing::debug!(%error, "the connection that writes is gone");
        return false;
    }
    *seen = Instant::now();
    !connection.is_in_transaction()
}

impl Slot {
    async fn connect(options: &SqliteConnectOptions) -> sqlx::Result<Self> {
        Ok(Self::Here { connection: options.connect().await?, seen: Instant::now() })
    }
}

impl Held<'_> {
    /// Begins a transaction. It has the write lock from its first moment, so it cannot fail half-way for want of it.
    pub(super) async fn begin(&mut self) -> sqlx::Result<Transaction<'_, Sqlite>> {
        self.begin_with("BEGIN IMMEDIATE").await
    }
}

impl Deref for Held<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &Self::Target {
        match &*self.0 {
            Slot::Here { connection, .. } => connection,
            Slot::Lost | Slot::Closed => unreachable!("who holds it has it"),
        }
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match &mut *self.0 {
            Slot::Here { connection, .. } => connection,
            Slot::Lost | Slot::Closed => unreachable!("who holds it has it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;
    use crate::store::{Backend, Store, contract};

    async fn with_numbers() -> Store {
        let store = contract::on_sqlite().await.expect("a file can be made");
        contract::alter(&store, "CREATE TABLE numbers (number INTEGER PRIMARY KEY)").await;
        store
    }

    fn writer(store: &Store) -> &Writer {
        let Backend::Sqlite(files) = &store.0.backend else { unreachable!("it is a file") };
        &files.writer
    }

    /// Writes a number in a transaction, and returns all that are there.
    async fn write(writer: &Writer, number: i64) -> Vec<i64> {
        let mut held = writer.hold().await.unwrap();
        let mut transaction = held.begin().await.unwrap();
        sqlx::query("INSERT INTO numbers VALUES (?)").bind(number).execute(&mut *transaction).await.unwrap();
        let numbers = sqlx::query_scalar("SELECT number FROM numbers ORDER BY number");
        let numbers = numbers.fetch_all(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        numbers
    }

    /// Given up between two statements, and while one is being done.
    #[tokio::test]
    async fn a_transaction_that_is_given_up_is_undone_before_the_next() {
        const LONG: &str = "INSERT INTO numbers
            WITH RECURSIVE n (i) AS (VALUES (10) UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n";
        let store = with_numbers().await;
        let writer = writer(&store);
        {
            let mut held = writer.hold().await.unwrap();
            let mut transaction = held.begin().await.unwrap();
            sqlx::query("INSERT INTO numbers VALUES (9)").execute(&mut *transaction).await.unwrap();
        }
        assert_eq!(write(writer, 1).await, [1]);
        {
            let mut held = writer.hold().await.unwrap();
            let mut transaction = held.begin().await.unwrap();
            let mut long = pin!(sqlx::query(LONG).execute(&mut *transaction));
            assert!(poll!(&mut long).is_pending(), "it is on its way to SQLite");
        }
        assert_eq!(write(writer, 2).await, [1, 2]);
        {
            let mut held = writer.hold().await.unwrap();
            let mut begun = pin!(held.begin());
            // Under way, or begun already where SQLite's thread was quick: it is given up in either case.
            let _under_way = poll!(&mut begun);
        }
        assert_eq!(write(writer, 3).await, [1, 2, 3]);
    }

    /// Nobody could begin another until the gateway was started again.
    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_by_itself_is_in_nobodys_way() {
        let store = with_numbers().await;
        let writer = writer(&store);
        let mut held = writer.hold().await.unwrap();
        let mut transaction = held.begin().await.unwrap();
        // As a full disk does it, behind the back of the driver.
        sqlx::raw_sql("ROLLBACK").execute(&mut *transaction).await.unwrap();
        assert!(transaction.commit().await.is_err());
        drop(held);
        assert_eq!(write(writer, 1).await, [1]);
    }

    #[tokio::test]
    async fn a_connection_that_was_lost_is_made_again() {
        let store = with_numbers().await;
        *writer(&store).slot.lock().await = Slot::Lost;
        assert_eq!(write(writer(&store), 1).await, [1]);
    }

    #[tokio::test]
    async fn what_is_closed_stays_closed() {
        let store = with_numbers().await;
        store.close().await;
        assert!(matches!(writer(&store).hold().await, Err(sqlx::Error::PoolClosed)));
    }

    #[tokio::test]
    async fn who_waits_too_long_for_it_is_told_so() {
        let store = with_numbers().await;
        let writer = writer(&store);
        let held = writer.hold().await.unwrap();
        // From here on nothing is asked of the database.
        tokio::time::pause();
        let waiting = pin!(writer.hold());
        assert!(matches!(waiting.await, Err(sqlx::Error::PoolTimedOut)));
        drop(held);
    }
}
