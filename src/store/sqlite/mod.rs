//! The store in a file: one process, one connection that writes, several that read.

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
mod statements;
#[path = "../both/webhook_endpoints.rs"]
pub(super) mod webhook_endpoints;
#[path = "../both/webhook_events.rs"]
pub(super) mod webhook_events;
mod writer;

use std::{
    path::{self, Path},
    str::FromStr as _,
    time::Duration,
};

use sqlx::{
    Sqlite, SqliteConnection as Connection, SqlitePool, Transaction,
    pool::PoolConnection,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow as Row, SqliteSynchronous,
    },
};

use self::writer::{Held, Writer};
use super::open::ACQUIRE_TIME_MAX;

/// Connections that read.
const READERS: u32 = 4;
/// How long to wait for another process, such as `causeway audit export`, to let go of the file.
const BUSY_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes of a page, in files that are made from now on. An entry of the audit log takes about one kilobyte, and each page
/// is written twice and read once on its way through the write-ahead log.
const PAGE_BYTES: u32 = 8192;
/// Pages in the write-ahead log that are enough to copy them into the file: 32 MiB. A page that is written often, such as
/// the last of an index, is then copied once for many times.
const WAL_PAGES: &str = "4096";

/// The connections to one file.
pub(super) struct Files {
    writer: Writer,
    reader: SqlitePool,
}

use Files as Handle;

/// Takes a connection that only reads.
async fn reader(files: &Handle) -> sqlx::Result<PoolConnection<Sqlite>> {
    files.reader.acquire().await
}

/// Waits for the connection that writes.
async fn writer(files: &Handle) -> sqlx::Result<Held<'_>> {
    files.writer().await
}

/// Begins a transaction that writes.
async fn begin<'h>(writer: &'h mut Held<'_>) -> sqlx::Result<Transaction<'h, Sqlite>> {
    writer.begin().await
}

impl Files {
    /// Returns the connections that only read.
    pub(super) fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// Waits for the connection that writes.
    pub(super) async fn writer(&self) -> sqlx::Result<Held<'_>> {
        self.writer.hold().await
    }

    pub(super) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// Opens the file that a URL names. One that is not there is made if it may be, and else refused: a path with a slip in it
/// would seem to be a database in which nothing is.
pub(super) async fn open(url: &str, may_make: bool) -> sqlx::Result<Files> {
    let options = SqliteConnectOptions::from_str(url)?.create_if_missing(may_make);
    let file = options.get_filename();
    if !may_make && !file.exists() {
        let file = path::absolute(file).unwrap_or_else(|_| file.to_owned());
        return Err(sqlx::Error::InvalidArgument(format!(
            "there is no file {}; serve, dev, migrate and keys create make one, other commands do not",
            file.display()
        )));
    }
    // SQLite only says that it cannot open the file.
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let why = format!("there is no folder {}: make it first, or choose another", folder.display());
        return Err(sqlx::Error::InvalidArgument(why));
    }
    open_with(options, SqliteSynchronous::Full).await
}

/// Makes a file that goes when the process does. Nobody finds it after a power failure, so nothing waits for the disk.
pub(super) async fn open_temporary(path: &Path) -> sqlx::Result<Files> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    open_with(options, SqliteSynchronous::Off).await
}

async fn open_with(options: SqliteConnectOptions, synchronous: SqliteSynchronous) -> sqlx::Result<Files> {
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .foreign_keys(true)
        .page_size(PAGE_BYTES)
        .pragma("wal_autocheckpoint", WAL_PAGES)
        .busy_timeout(BUSY_TIME_MAX);
    // The writer first: it makes the file and turns on its log. What it copies for a statement is a batch at most, and needs no
    // file in a folder that may not be there.
    let writer = Writer::connect(options.clone().pragma("temp_store", "MEMORY")).await?;
    let reader = SqlitePoolOptions::new()
        .max_connections(READERS)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(ACQUIRE_TIME_MAX)
        .test_before_acquire(false)
        .connect_with(options.pragma("query_only", "ON"))
        .await?;
    Ok(Files { writer, reader })
}

/// Shows that the file can be read.
pub(super) async fn probe(files: &Files) -> sqlx::Result<()> {
    sqlx::query("SELECT 1").execute(&files.reader).await?;
    Ok(())
}
