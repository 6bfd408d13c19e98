//! Databases of their own for stories about what is kept.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::Connection as _;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// Names the Postgres server of the tests, started by `./test`.
const SERVER: &str = "CAUSEWAY_TEST_POSTGRES";

/// A fresh database. A file goes when this is dropped.
pub(crate) struct Database {
    /// Its URL, for `database.url`.
    pub(crate) url: String,
    folder: Option<PathBuf>,
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _gone = std::fs::remove_dir_all(folder);
        }
    }
}

impl Database {
    /// A file.
    pub(crate) fn sqlite() -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique());
        std::fs::create_dir_all(&folder).expect("the target folder is writable");
        Self { url: format!("sqlite://{}/causeway.db", folder.display()), folder: Some(folder) }
    }

    /// A schema of its own; `None`, with a word, when there is no server.
    pub(crate) async fn postgres() -> Option<Self> {
        let server = server()?;
        let schema = unique();
        let pool = sqlx::PgPool::connect(&server).await.expect("the server of the tests answers");
        let statement = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
        sqlx::query(statement).execute(&pool).await.expect("a fresh schema");
        Some(Self { url: format!("{server}?options=-csearch_path%3D{schema}"), folder: None })
    }

    /// One that is there.
    pub(crate) fn at(url: &str) -> Self {
        Self { url: url.to_owned(), folder: None }
    }

    /// Runs a statement that both dialects understand.
    pub(crate) async fn execute(&self, statement: &'static str) {
        if self.folder.is_some() {
            let mut file = sqlx::SqliteConnection::connect(&self.url).await.expect("the file is there");
            sqlx::query(statement).execute(&mut file).await.expect("the statement is right");
        } else {
            let mut server = sqlx::PgConnection::connect(&self.url).await.expect("the server is there");
            sqlx::query(statement).execute(&mut server).await.expect("the statement is right");
        }
    }

    /// Counts with a query that both dialects understand.
    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        if self.folder.is_some() {
            let mut file = sqlx::SqliteConnection::connect(&self.url).await.expect("the file is there");
            sqlx::query_scalar(query).fetch_one(&mut file).await.expect("the query is right")
        } else {
            let mut server = sqlx::PgConnection::connect(&self.url).await.expect("the server is there");
            sqlx::query_scalar(query).fetch_one(&mut server).await.expect("the query is right")
        }
    }

    /// One of each that there is.
    pub(crate) async fn each() -> Vec<Self> {
        let mut all = vec![Self::sqlite()];
        all.extend(Self::postgres().await);
        all
    }

    /// The setting that makes a gateway use it.
    pub(crate) fn setting(&self) -> String {
        format!("database.url=\"{}\"", self.url)
    }

    /// The same database behind a link that can be cut. Postgres only.
    pub(crate) async fn behind(&self) -> (Self, Link) {
        let (before, after) = self.url.split_once('@').expect("a user");
        let (address, path) = after.split_once('/').expect("a path");
        let link = Link::to(address.parse().expect("an address")).await;
        (Self { url: format!("{before}@{}/{path}", link.address), folder: None }, link)
    }
}

#[expect(clippy::print_stderr, reason = "whoever runs the tests should know what was left out")]
pub(super) fn server() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests are told where the server is by whoever started it")]
    let server = std::env::var(SERVER).ok();
    if server.is_none() {
        eprintln!("{SERVER} is not set: not told on Postgres");
    }
    server
}

fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("it_{}_{}_{:x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed), fastrand::u64(..))
}

/// A connection between two, until it is cut.
pub(crate) struct Link {
    address: SocketAddr,
    whole: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Link {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (whole, state) = watch::channel(true);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut pairs = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let mut state = state.clone();
                if !*state.borrow() {
                    continue;
                }
                pairs.spawn(async move {
                    let Ok(mut far) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ended = copy_bidirectional(&mut near, &mut far) => {}
                        _cut = state.wait_for(|whole| !whole) => {}
                    }
                });
            }
        });
        Self { address, whole, _tasks: tasks }
    }

    /// Breaks every connection, and lets none through.
    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}
