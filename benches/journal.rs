//! What durable intents and outcomes cost, and what is lost when everything is killed: nothing.
//!
//! Run with a private Postgres:
//!
//! ```text
//! tests/services/with cargo bench --bench journal -- [closed] [open] [pages] [reconcile]
//! ```
//!
//! Gateway, clients, upstream and Postgres share the machine, so the figures are of all of them together.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench that cannot go on has failed, it prints, and real time is what it measures"
)]
#![expect(dead_code, unused_imports, reason = "the stories' harness has more than is needed here")]

#[path = "../tests/it/harness/mod.rs"]
mod harness;
#[path = "../tests/it/reconcile.rs"]
mod reconcile;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, task::JoinSet};

use harness::{Connection, Database, Gateway, bytes as message};

const ARCHIVE: &str = "/v1/shelves/s/books/b:archive";
/// How long each load runs.
const RUN: Duration = Duration::from_secs(10);
/// How many rows may be left for the log to be called up to date, and how long that may take.
const SEALED_ROWS_LEFT: i64 = 200;
const SEALED_TIME_MAX: Duration = Duration::from_secs(300);

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(database) = Database::postgres().await else { return };
        let wants = |word: &str| wanted.is_empty() || wanted.iter().any(|one| one == word);
        let unit = commit(&database).await;
        if wants("closed") || wants("open") {
            let upstream = floor().await;
            let gateway = gateway(&database, upstream).await;
            if wants("closed") {
                closed(&gateway, 64).await;
                if wants("open") {
                    println!("right behind it:");
                    open(&gateway, 500, unit).await;
                    sealed(&database).await;
                }
            }
            if wants("open") {
                open(&gateway, 500, unit).await;
            }
            if wants("closed") {
                for clients in [64, 128, 256] {
                    closed(&gateway, clients).await;
                }
                if wants("open") {
                    println!("right behind three of them:");
                    open(&gateway, 500, unit).await;
                }
            }
            gateway.signal().await;
            gateway.ended().await.unwrap();
        }
        if wants("pages") {
            pages(&database).await;
        }
        if wants("reconcile") {
            long_reconciliation().await;
        }
    });
}

/// What one row costs that is committed by itself: the median, the unit of the targets.
async fn commit(database: &Database) -> Duration {
    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    sqlx::query("CREATE TABLE IF NOT EXISTS one_row (id BIGSERIAL PRIMARY KEY, text TEXT)")
        .execute(&pool)
        .await
        .unwrap();
    let mut took = Vec::new();
    for _ in 0..500 {
        let started = Instant::now();
        sqlx::query("INSERT INTO one_row (text) VALUES ($1)")
            .bind("x".repeat(300))
            .execute(&pool)
            .await
            .unwrap();
        took.push(started.elapsed());
    }
    took.sort_unstable();
    println!("one-row commit: p50 {:?}, p99 {:?}", quantile(&took, 0.5), quantile(&took, 0.99));
    quantile(&took, 0.5)
}

async fn gateway(database: &Database, upstream: SocketAddr) -> Gateway {
    Gateway::start(&[
        database.setting(),
        format!("secrets.key={}=", "A".repeat(43)),
        format!("schema.descriptor_sets=[\"{}\"]", harness::library_file()),
        "upstreams.library.services=[\"acme.v1.Library\"]".to_owned(),
        format!("upstreams.library.endpoint=http://{upstream}"),
    ])
    .await
}

/// As many mutations as come back, each client waiting for its own.
async fn closed(gateway: &Gateway, clients: usize) {
    let until = Instant::now() + RUN;
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let mut connection = Connection::http1(gateway.address).await;
        tasks.spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < until {
                took.push(mutate(&mut connection).await);
            }
            took
        });
    }
    let mut took: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    took.sort_unstable();
    println!(
        "closed loop, {clients} clients: {:.0} mutations/s, p50 {:?}, p99 {:?}",
        took.len() as f64 / RUN.as_secs_f64(),
        quantile(&took, 0.5),
        quantile(&took, 0.99)
    );
}

/// Mutations that arrive at a rate, whether or not those before have come back.
async fn open(gateway: &Gateway, rate: u32, unit: Duration) {
    let (sender, receiver) = async_queue();
    for _ in 0..128 {
        sender.send(Connection::http1(gateway.address).await).await.unwrap();
    }
    let mut tasks = JoinSet::new();
    let mut arrivals = arrivals(rate);
    while let Some(due) = arrivals.recv().await {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        tasks.spawn(async move {
            let mut connection = receiver.lock().await.recv().await.unwrap();
            mutate(&mut connection).await;
            sender.send(connection).await.unwrap();
            // From when it was due: a client that was kept waiting counts.
            due.elapsed()
        });
    }
    let mut took = tasks.join_all().await;
    took.sort_unstable();
    let limits = [unit * 4 + Duration::from_millis(2), unit * 8 + Duration::from_millis(10)];
    println!("open loop, {rate}/s: p90 {:?}", quantile(&took, 0.9));
    for (name, share, limit) in [("p50", 0.5, limits[0]), ("p99", 0.99, limits[1])] {
        let found = quantile(&took, share);
        println!(
            "    {name} {found:?}, at most {limit:?}: {}",
            if found <= limit { "met" } else { "MISSED" }
        );
    }
}

/// When each mutation is due, told at that moment. By a thread of its own: the runtime's timers are up to two milliseconds
/// late, which would be counted as the gateway's.
fn arrivals(rate: u32) -> tokio::sync::mpsc::UnboundedReceiver<Instant> {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let started = Instant::now();
        for n in 0..rate * u32::try_from(RUN.as_secs()).unwrap() {
            let due = started + Duration::from_secs(1) * n / rate;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if sender.send(due).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Waits until the log has all that a burst has left, which it takes its time for.
async fn sealed(database: &Database) {
    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    let left = async || -> i64 {
        let query = sqlx::query_scalar("SELECT count(*) FROM journal WHERE closed_at IS NOT NULL");
        query.fetch_one(&pool).await.unwrap()
    };
    let (before, started) = (left().await, Instant::now());
    while left().await > SEALED_ROWS_LEFT {
        assert!(started.elapsed() < SEALED_TIME_MAX, "the log does not catch up");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("the log caught up with {before} rows in {:.0} s", started.elapsed().as_secs_f64());
}

type Queue<T> =
    (tokio::sync::mpsc::Sender<T>, std::sync::Arc<tokio::sync::Mutex<tokio::sync::mpsc::Receiver<T>>>);

fn async_queue<T>() -> Queue<T> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1024);
    (sender, std::sync::Arc::new(tokio::sync::Mutex::new(receiver)))
}

async fn mutate(connection: &mut Connection) -> Duration {
    let started = Instant::now();
    let headers = [("content-type", "application/json")];
    let answer = connection.send("POST", ARCHIVE, &headers, r#"{"reason":"old"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    started.elapsed()
}

/// A filtered page of a million entries.
async fn pages(database: &Database) {
    let config = causeway::config::Config::load(causeway::config::Sources {
        set: vec!["identity.mode=none".to_owned(), database.setting()],
        ..causeway::config::Sources::default()
    });
    let clock = std::sync::Arc::new(causeway::clock::SystemClock);
    let store = causeway::store::Store::open(&config.into_config().unwrap().database, clock).await.unwrap();
    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS audit_entries_bench PARTITION OF audit_entries FOR VALUES FROM (0) TO (1000000);
         INSERT INTO audit_entries
         SELECT 100000000 + n, 1, int8send(n), n, n, 'r' || n, 'p' || n % 1000, 'projects/p' || n % 100, 'm' || n % 40,
                'projects/p' || n % 100 || '/streams/s' || n % 5000, CASE n % 50 WHEN 0 THEN 404 ELSE 200 END,
                '{}', '{}', int8send(n)
         FROM generate_series(1, 1000000) AS n;
         ANALYZE audit_entries",
    )
    .execute(&pool)
    .await
    .unwrap();
    for text in [
        "",
        "principal = p7",
        "method = m3",
        "resourceNames : \"projects/p7/streams/s107\"",
        "resourceNames : \"projects/p7/\"",
        "httpStatus >= 400",
        "requestId = r4711",
        "principal = p7 AND httpStatus = 404",
        "principal = nobody",
    ] {
        let filter = causeway::audit::filter::parse(text).unwrap();
        let walk = causeway::store::audit::Walk { ascending: false, after: None, rows_max: 51 };
        let mut took = Vec::new();
        let mut rows = 0;
        for _ in 0..20 {
            let started = Instant::now();
            rows = store.audit_page(&filter, walk).await.unwrap().len();
            took.push(started.elapsed());
        }
        took.sort_unstable();
        println!(
            "page of a million, {text:?}: {rows} rows, p50 {:?}, worst {:?}",
            quantile(&took, 0.5),
            took[19]
        );
    }
}

/// Twenty kills of the gateway, and of Postgres with every fourth.
async fn long_reconciliation() {
    let crash = std::env::var("CAUSEWAY_TEST_POSTGRES_CRASH").ok();
    for database in Database::each().await {
        let postgres = database.url.starts_with("postgres");
        let counts = reconcile::run(&database, 20, Duration::from_millis(1500), |kill| {
            if let Some(crash) = crash.as_ref().filter(|_| postgres && kill % 4 == 3) {
                assert!(
                    std::process::Command::new(crash).status().unwrap().success(),
                    "Postgres starts again"
                );
            }
        })
        .await;
        reconcile::check(if postgres { "postgres" } else { "sqlite" }, &counts);
    }
}

fn quantile(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

/// An upstream that answers everything with one book, and does nothing else.
async fn floor() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let book = message("acme.v1.Book", serde_json::json!({"name": "shelves/s/books/b", "title": "Emma"}));
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(book.len()).unwrap());
    framed.extend_from_slice(&book);
    let framed = framed.freeze();
    #[expect(clippy::disallowed_methods, reason = "it ends with the process")]
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let framed = framed.clone();
            let service = service_fn(move |request| answer(request, framed.clone()));
            let connection = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(async move {
                let _ = connection.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

async fn answer(request: Request<Incoming>, framed: Bytes) -> Result<Response<Book>, Infallible> {
    let _read = request.into_body().collect().await;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut response = Response::new(Book(vec![Frame::trailers(trailers), Frame::data(framed)]));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}

/// The frames of an answer, last first.
struct Book(Vec<Frame<Bytes>>);

impl http_body::Body for Book {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop().map(Ok))
    }
}
