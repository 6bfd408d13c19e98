//! How much it costs to look after operations, and how soon those who wait hear of an end.
//!
//! Run with a private Postgres and Redis:
//!
//! ```text
//! tests/services/with cargo bench --bench operations -- [even] [zipf] [moving] [waiting] [rows=100000]
//! ```
//!
//! The upstream is a process of its own, so that the memory is the gateway's alone; all share the machine, so the rates are
//! of all of them together. Every sweep looks at every operation once: it claims, lists, judges and writes back. What is
//! due is moved by the bench's clock, and the quota is out of the way.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench that cannot go on has failed, it prints, and real time is what it measures"
)]
#![expect(dead_code, unused_imports, reason = "the stories' harness has more than is needed here")]

#[path = "../tests/it/harness/mod.rs"]
mod harness;

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use causeway::{
    app,
    cache::PageCache,
    clock::{Clock as _, ManualClock, SystemClock},
    config::{Config, RedisTls, RedisUrl, Sources as Settings},
    crypto::{Keys, Purpose},
    kv::Kv,
    operations::{Poller, Sources, Tick, Tracker, Waiters},
    pb::google::{
        longrunning::{
            self, CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
            ListOperationsResponse, WaitOperationRequest, operation,
            operations_server::{Operations, OperationsServer},
        },
        spanner::admin::database::v1::{CreateBackupMetadata, OperationProgress},
    },
    store::Store,
    transcode::Transcoder,
    upstream::Upstreams,
};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use harness::{Database, Gateway};

const METHOD: &str = "google.spanner.admin.database.v1.DatabaseAdmin.CreateBackup";
/// Parents of the operations.
const PARENTS: usize = 500;
/// Operations of the small case, as many to a parent as in the large one.
const FEW: usize = 1000;
/// Sweeps that are measured; the middle one counts.
const SWEEPS: usize = 5;
/// Waits that are measured.
const WAITS: usize = 100;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if words.first().is_some_and(|word| word == "upstream") {
        runtime.block_on(upstream());
        return;
    }
    let rows = words.iter().find_map(|word| word.strip_prefix("rows=")?.parse().ok()).unwrap_or(100_000);
    let parts: Vec<&String> = words.iter().filter(|word| !word.contains('=')).collect();
    let wants = |part: &str| parts.is_empty() || parts.iter().any(|one| *one == part);
    runtime.block_on(async {
        let far = Far::start();
        for (part, name) in
            [("even", "even, nothing moved"), ("zipf", "Zipf, nothing moved"), ("moving", "even, all moved")]
        {
            if wants(part) && !part_of(&far, part, name, rows).await {
                return;
            }
        }
        if wants("waiting") {
            waiting(&far).await;
        }
    });
}

/// The upstream, as a process.
struct Far {
    process: Child,
    endpoint: String,
}

impl Far {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg("upstream")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut endpoint = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut endpoint).unwrap();
        Self { process, endpoint: endpoint.trim().to_owned() }
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// A poller whose ticks are in the bench's hands.
struct Hand {
    clock: Arc<ManualClock>,
    store: Store,
    pool: sqlx::PgPool,
    poller: Poller,
}

impl Hand {
    async fn new(database: &Database, far: &Far, redis: Option<&str>) -> Self {
        let set = [
            "identity.mode=none".to_owned(),
            database.setting(),
            format!("upstreams.spanner.endpoint={}", far.endpoint),
            "upstreams.spanner.calls_per_minute=10000000".to_owned(),
            "operations.poll_share=1.0".to_owned(),
        ];
        let config = Config::load(Settings { set: set.into(), ..Settings::default() }).into_config().unwrap();
        let catalog = app::catalog(&config).unwrap();
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let store = Store::open(&config.database, clock.clone()).await.unwrap();
        let upstreams = Upstreams::build(&config.upstreams, |_| Vec::new()).unwrap();
        let sealer = Keys::new(&[7; 32], &[]).sealer(Purpose::ResourceMeta);
        let sources = Arc::new(Sources::new(Transcoder::new(&catalog.pool), sealer));
        let kv =
            redis.map(|url| Arc::new(Kv::new(&RedisUrl::parse(url).unwrap(), &RedisTls::default()).unwrap()));
        let tags = Keys::new(&[7; 32], &[]).mac(Purpose::CachedPage);
        let (pages, _) = PageCache::new(&config.cache, None, tags, clock.clone(), CancellationToken::new());
        let tracker = Tracker::new(store.clone(), sources, Waiters::new(store.clone(), kv), &catalog, pages);
        let poller = Poller::new(tracker, &upstreams, &config.upstreams, &config.operations);
        let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
        Self { clock, store, pool, poller }
    }

    /// Puts open operations on record, those of all parents mixed.
    async fn fill(&self, parents: &[(String, usize)]) {
        let statement = format!(
            "INSERT INTO operations (id, project, kind, upstream, upstream_name, run, parent, target, method, principal,
                 state, version, created_at, updated_at, metadata, response, error, source, problem, poll_at, spacing,
                 failures)
             SELECT int8send($3) || int8send(row_number() OVER (ORDER BY md5(name || n))), 'p', 'GOOGLE_LRO', 'spanner',
                 name || '/' || n, '', name, '', '{METHOD}', 'bench', 'RUNNING', 1, $4, $4, '', '', '', '', '', $4,
                 45000000, 0
             FROM UNNEST($1::text[], $2::bigint[]) AS p (name, size), generate_series(1, size) AS n"
        );
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(parents.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>())
            .bind(parents.iter().map(|(_, size)| i64::try_from(*size).unwrap()).collect::<Vec<_>>())
            .bind(self.store.now().as_microsecond())
            .bind(self.store.now().as_microsecond())
            .execute(&self.pool)
            .await
            .unwrap();
        sqlx::raw_sql("ANALYZE operations").execute(&self.pool).await.unwrap();
    }

    /// Looks at everything once.
    async fn sweep(&self) -> Sweep {
        self.clock.advance(Duration::from_secs(600));
        let (began, processor) = (Instant::now(), processor_time());
        let mut total = Tick::default();
        let mut ticks = 0;
        loop {
            let tick = self.poller.tick().await.unwrap();
            if tick.claimed == 0 {
                break;
            }
            ticks += 1;
            total += tick;
        }
        Sweep { total, ticks, took: began.elapsed(), processor: processor_time() - processor }
    }
}

struct Sweep {
    total: Tick,
    ticks: usize,
    took: Duration,
    processor: Duration,
}

impl Sweep {
    fn micros_each(&self) -> f64 {
        self.took.as_secs_f64() * 1e6 / self.total.claimed as f64
    }

    fn print(&self, name: &str, rss: u64) {
        println!(
            "{name:<28} {:>6} operations {:>5} calls ({:>5.1} a call) {:>4} ticks {:>7.0} rows/s {:>6.1} us each, {:>5.1} of \
             the gateway's processor  {rss:>4} MiB",
            self.total.claimed,
            self.total.calls,
            self.total.claimed as f64 / self.total.calls as f64,
            self.ticks,
            self.total.claimed as f64 / self.took.as_secs_f64(),
            self.micros_each(),
            self.processor.as_secs_f64() * 1e6 / self.total.claimed as f64,
        );
    }
}

/// Measures one spread of operations, many and few; false without a database.
async fn part_of(far: &Far, part: &str, name: &str, rows: usize) -> bool {
    let mut costs = Vec::new();
    for (rows, parents) in [(FEW.min(rows), PARENTS * FEW / 100_000), (rows, PARENTS)] {
        let Some(database) = Database::postgres().await else { return false };
        let hand = Hand::new(&database, far, None).await;
        let sizes = if part == "zipf" { zipf(rows, parents) } else { vec![rows.div_ceil(parents); parents] };
        let name_of =
            |(n, size): (usize, usize)| (format!("projects/p/instances/{part}-{n}-{size}/operations"), size);
        let parents: Vec<_> = sizes.into_iter().enumerate().map(name_of).collect();
        hand.fill(&parents).await;
        // What is on record is nothing yet: the first look fills it in.
        hand.sweep().await.print(&format!("{name}, first look"), resident());
        let most = Arc::new(Most::default());
        let watching = most.clone().watch();
        let mut sweeps = Vec::new();
        for _ in 0..SWEEPS {
            sweeps.push(hand.sweep().await);
        }
        watching.abort();
        sweeps.sort_by_key(|sweep| sweep.took);
        let middle = &sweeps[SWEEPS / 2];
        middle.print(name, most.0.load(Ordering::Relaxed));
        costs.push(middle.micros_each());
        sqlx::raw_sql("DROP TABLE operations, events").execute(&hand.pool).await.unwrap();
    }
    println!("{name}: an operation among {rows} costs {:.2} times one among {FEW}", costs[1] / costs[0]);
    true
}

/// Sizes of parents of which the n-th has an n-th of what the first has.
fn zipf(rows: usize, parents: usize) -> Vec<usize> {
    let whole: f64 = (1..=parents).map(|n| 1.0 / n as f64).sum();
    (1..=parents).map(|n| ((rows as f64 / whole / n as f64).round() as usize).max(1)).collect()
}

/// From what the upstream answers to a poller until another replica's answer to whoever waits, over HTTP.
async fn waiting(far: &Far) {
    let redis = std::env::var("CAUSEWAY_TEST_REDIS").ok();
    for redis in [None, redis.as_deref()] {
        let Some(database) = Database::postgres().await else { return };
        let hand = Hand::new(&database, far, redis).await;
        let mut settings = vec![
            database.setting(),
            format!("secrets.key={}=", "A".repeat(43)),
            format!("upstreams.spanner.endpoint={}", far.endpoint),
            "operations.poll=false".to_owned(),
        ];
        settings.extend(redis.map(|url| format!("redis.url={url}")));
        let gateway = Gateway::start(&settings).await;
        // Ahead of the gateway, whose waiting makes operations due by its own clock.
        hand.clock.advance(Duration::from_secs(30));
        let mut took = Vec::new();
        for n in 0..WAITS {
            let parent = format!("projects/p/instances/ending-{n}-1/operations");
            hand.fill(&[(parent, 1)]).await;
            let name: Vec<u8> = sqlx::query_scalar("SELECT id FROM operations WHERE ended_at IS NULL")
                .fetch_one(&hand.pool)
                .await
                .unwrap();
            let name = name.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let name = [&name[..8], &name[8..12], &name[12..16], &name[16..20], &name[20..]].join("-");
            let mut connection = gateway.connect().await;
            let wait = async {
                let path = format!("/v1/projects/p/operations/{name}:wait");
                let headers = [("content-type", "application/json")];
                let answer = connection.send("POST", &path, &headers, r#"{"timeout":"10s"}"#).await;
                let came = SystemClock.now();
                let answer = answer.json();
                assert_eq!(answer["done"], true, "{answer}");
                let seen = &answer["metadata"]["value"]["upstreamMetadata"]["progress"]["endTime"];
                came.duration_since(seen.as_str().unwrap().parse().unwrap())
            };
            let end = async {
                // Long enough for the other to wait, and at no fixed point between two of its looks.
                tokio::time::sleep(Duration::from_millis(fastrand::u64(150..300))).await;
                hand.clock.advance(Duration::from_secs(1));
                assert_eq!(hand.poller.tick().await.unwrap().changed, 1);
            };
            took.push(tokio::join!(wait, end).0.as_secs_f64() * 1e3);
        }
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        println!(
            "from the upstream's answer to the end of a wait on another replica, {}: p50 {:.1} ms, p99 {:.1} ms, worst {:.1} ms",
            if redis.is_some() { "with Redis" } else { "without Redis" },
            at(0.5),
            at(0.99),
            at(1.0)
        );
        gateway.signal().await;
        gateway.ended().await.unwrap();
    }
}

/// The most memory that was seen, in MiB.
#[derive(Default)]
struct Most(AtomicU64);

impl Most {
    fn watch(self: Arc<Self>) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                self.0.fetch_max(resident(), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    }
}

/// Memory of this process, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Processor time of this process so far.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    Duration::from_millis((fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10)
}

/// Spanner's operations, as many as the name of their parent says.
#[derive(Default)]
struct Spanner {
    looks: AtomicI32,
}

impl Spanner {
    fn operation(&self, parent: &str, n: usize, percent: i32) -> longrunning::Operation {
        let ended = parent.contains("/ending-");
        let start_time = Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 });
        let now = SystemClock.now();
        let now = prost_types::Timestamp { seconds: now.as_second(), nanos: now.subsec_nanosecond() };
        let metadata = CreateBackupMetadata {
            name: format!("projects/p/instances/i/backups/nightly-{n}"),
            database: "projects/p/instances/i/databases/orders".to_owned(),
            progress: Some(OperationProgress {
                progress_percent: percent,
                start_time,
                end_time: ended.then_some(now),
            }),
            cancel_time: None,
        };
        let pack = |name: &str, value: Vec<u8>| prost_types::Any {
            type_url: format!("type.googleapis.com/{name}"),
            value,
        };
        let nothing = pack("google.protobuf.Empty", Vec::new());
        longrunning::Operation {
            name: format!("{parent}/{n}"),
            metadata: Some(pack(
                "google.spanner.admin.database.v1.CreateBackupMetadata",
                metadata.encode_to_vec(),
            )),
            done: ended,
            result: ended.then_some(operation::Result::Response(nothing)),
        }
    }
}

#[tonic::async_trait]
impl Operations for Spanner {
    async fn list_operations(
        &self,
        request: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        let ListOperationsRequest { name, page_size, page_token, .. } = request.into_inner();
        let instance = name.split('/').nth(3).unwrap_or_default();
        let size: usize = instance.rsplit('-').next().and_then(|size| size.parse().ok()).unwrap_or_default();
        let first = page_token.parse().unwrap_or(1);
        let last = size.min(first + usize::try_from(page_size).unwrap_or(1000) - 1);
        let moving = instance.starts_with("moving");
        let percent = if moving { self.looks.fetch_add(1, Ordering::Relaxed) % 97 } else { 10 };
        Ok(Response::new(ListOperationsResponse {
            operations: (first..=last).map(|n| self.operation(&name, n, percent)).collect(),
            next_page_token: if last < size { (last + 1).to_string() } else { String::new() },
            unreachable: Vec::new(),
        }))
    }

    async fn get_operation(
        &self,
        request: Request<GetOperationRequest>,
    ) -> Result<Response<longrunning::Operation>, Status> {
        let name = request.into_inner().name;
        let (parent, n) = name.rsplit_once('/').unwrap_or_default();
        Ok(Response::new(self.operation(parent, n.parse().unwrap_or_default(), 100)))
    }

    async fn delete_operation(&self, _: Request<DeleteOperationRequest>) -> Result<Response<()>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn cancel_operation(&self, _: Request<CancelOperationRequest>) -> Result<Response<()>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn wait_operation(
        &self,
        _: Request<WaitOperationRequest>,
    ) -> Result<Response<longrunning::Operation>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// Serves until its parent is gone.
async fn upstream() {
    std::thread::spawn(|| {
        let _end = std::io::stdin().lines().count();
        std::process::exit(0);
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    let service = OperationsServer::new(Spanner::default()).max_encoding_message_size(64 << 20);
    let serving = tonic::transport::Server::builder().add_service(service);
    serving.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
}
