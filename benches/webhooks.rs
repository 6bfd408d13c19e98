//! How many deliveries a second, and how long from the commit of an event to its arrival.
//!
//! Run with a private Postgres:
//!
//! ```text
//! tests/services/with cargo bench --bench webhooks [-- --quick]
//! ```
//!
//! A thousand endpoints in ten projects; each event is for one of them. Courier, receiver, whoever writes the events, and
//! Postgres share the machine, so throughput and times are of all of them together; processor time is told apart. Two
//! loads, five times each: everything at once, for the throughput; and half of what is demanded, for the time to arrive.
//! Then the same while a hundred endpoints accept and never answer; what is for them is written too and not counted.
//! `--quick` only shows that it works.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench that cannot go on has failed, it prints, and is told where the server is by whoever started it"
)]

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use causeway::{
    clock::{Clock as _, SystemClock},
    config::{Config, Sources},
    crypto::{Keys, Purpose},
    egress::{self, Egress, Policy, Roots, SystemResolver},
    store::Store,
    webhooks::{Courier, Draft, Endpoints},
};
use jiff::Timestamp;
use tokio::{net::TcpListener, runtime::Runtime, time::Instant};
use tokio_util::sync::CancellationToken;

#[path = "shared/postgres.rs"]
mod postgres;
use postgres::Postgres;

const PROJECTS: usize = 10;
const ENDPOINTS: usize = 100;
/// Endpoints of each project that never answer.
const DEAD: usize = 10;
/// Events of one load, and of one commit.
const EVENTS: usize = 15_000;
const EVENTS_QUICK: usize = 1000;
const BATCH: usize = 50;
const RUNS: usize = 5;
/// What is demanded, in deliveries a second, milliseconds, and shares.
const RATE_MIN: f64 = 1500.0;
const P99_MAX: f64 = 150.0;
const RATE_SHARE_MIN: f64 = 0.85;
const P99_TIMES_MAX: f64 = 2.0;

/// Key of the upstream whose events one endpoint of each project wants.
fn upstream(n: usize) -> String {
    format!("u{n}")
}

#[derive(Default)]
struct Arrivals {
    count: AtomicUsize,
    waits_us: Mutex<Vec<i64>>,
}

async fn arrive(State(arrivals): State<Arc<Arrivals>>, body: Bytes) -> &'static str {
    let now = SystemClock.now();
    let text = std::str::from_utf8(&body).unwrap();
    let at = text.split(r#""timestamp":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let at: Timestamp = at.parse().unwrap();
    arrivals.waits_us.lock().unwrap().push(now.as_microsecond() - at.as_microsecond());
    arrivals.count.fetch_add(1, Ordering::Relaxed);
    "ok"
}

/// A runtime whose threads carry this name, so that their time can be told apart.
fn runtime(name: &str, workers: usize) -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.thread_name(name).worker_threads(workers).enable_all().build().unwrap()
}

/// Processor time of this process's threads of a name.
fn threads(name: &str) -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let of_name =
        tasks.filter(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(|it| it.trim() == name));
    let nanos = of_name.filter_map(|task| {
        let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// What a load came to: deliveries a second, milliseconds to arrive, and microseconds of processor time for each.
#[derive(Clone, Copy)]
struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
    courier: f64,
    postgres: f64,
}

struct Bench {
    endpoints: Endpoints,
    /// For whoever writes events, on a runtime of its own.
    store: Store,
    writer: Runtime,
    arrivals: Arc<Arrivals>,
    server: Postgres,
    address: SocketAddr,
    silent: SocketAddr,
    events: usize,
    runs: usize,
}

impl Bench {
    /// Makes the endpoints of one part, `dead` of each project at an address that never answers.
    async fn endpoints(&self, part: &str, dead: usize) {
        for project in 0..PROJECTS {
            for n in 0..ENDPOINTS {
                let address = if n < dead { self.silent } else { self.address };
                let draft = Draft {
                    url: Some(format!("http://{address}/")),
                    upstreams: Some(vec![upstream(n)]),
                    ..Draft::default()
                };
                self.endpoints.create(&format!("{part}{project}"), draft, None).await.unwrap();
            }
        }
    }

    /// Writes events, as fast as possible or so many in a second, and waits until those for the living have arrived.
    async fn load(&self, part: &str, per_second: Option<usize>, dead: usize) -> Figures {
        let expected = self.events / ENDPOINTS * (ENDPOINTS - dead);
        self.arrivals.count.store(0, Ordering::Relaxed);
        self.arrivals.waits_us.lock().unwrap().clear();
        let (began, courier, postgres) = (Instant::now(), threads("courier"), self.server.processor_time());
        let (store, part, count) = (self.store.clone(), part.to_owned(), self.events);
        let written = self.writer.spawn(async move {
            for first in (0..count).step_by(BATCH) {
                if let Some(per_second) = per_second {
                    let due = Duration::from_secs_f64(first as f64 / per_second as f64);
                    tokio::time::sleep_until(began + due).await;
                }
                let event = |n: usize| {
                    let data =
                        format!(r#"{{"operation":{{"name":"projects/p/operations/{n}","done":true}}}}"#);
                    let mut event =
                        store.new_event(&format!("{part}{}", n % PROJECTS), "operation.succeeded", data);
                    event.upstream = upstream(n / PROJECTS % ENDPOINTS);
                    event
                };
                let events: Vec<_> = (first..first + BATCH).map(event).collect();
                store.insert_events(&events).await.unwrap();
            }
        });
        while self.arrivals.count.load(Ordering::Relaxed) < expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let took = began.elapsed().as_secs_f64();
        written.await.unwrap();
        let each = |time: Duration| time.as_secs_f64() * 1e6 / expected as f64;
        let mut waits = self.arrivals.waits_us.lock().unwrap().clone();
        waits.sort_unstable();
        let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize] as f64 / 1e3;
        Figures {
            rate: expected as f64 / took,
            p50: at(0.5),
            p99: at(0.99),
            courier: each(threads("courier").saturating_sub(courier)),
            postgres: each(self.server.processor_time().saturating_sub(postgres)),
        }
    }

    /// Repeats a load and prints the median of each figure.
    async fn median(&self, name: &str, part: &str, per_second: Option<usize>, dead: usize) -> Figures {
        let mut all = Vec::new();
        for _ in 0..self.runs {
            all.push(self.load(part, per_second, dead).await);
        }
        let median = |of: fn(&Figures) -> f64| {
            let mut values: Vec<f64> = all.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let it = Figures {
            rate: median(|it| it.rate),
            p50: median(|it| it.p50),
            p99: median(|it| it.p99),
            courier: median(|it| it.courier),
            postgres: median(|it| it.postgres),
        };
        println!(
            "{name:<36} {:>6.0} deliveries/s   p50 {:>7.1} ms   p99 {:>7.1} ms   processor {:>4.0} us and {:>4.0} us of Postgres",
            it.rate, it.p50, it.p99, it.courier, it.postgres
        );
        it
    }
}

fn verdict(what: &str, value: f64, met: bool, demanded: &str) {
    println!("  {what}: {value:.2}, {demanded}: {}", if met { "met" } else { "MISSED" });
}

fn main() {
    let Ok(url) = std::env::var("CAUSEWAY_TEST_POSTGRES") else {
        println!("CAUSEWAY_TEST_POSTGRES is not set: run with tests/services/with");
        return;
    };
    let quick = std::env::args().any(|argument| argument == "--quick");
    let receiver = runtime("receiver", 1);
    let arrivals = Arc::<Arrivals>::default();
    let routes = Router::new().route("/", post(arrive)).with_state(arrivals.clone());
    let (listener, silence) = receiver.block_on(async {
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap())
    });
    let (address, silent) = (listener.local_addr().unwrap(), silence.local_addr().unwrap());
    receiver.spawn(async move { axum::serve(listener, routes).await.unwrap() });
    receiver.spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silence.accept().await {
            held.push(stream);
        }
    });
    let set = vec!["identity.mode=none".to_owned(), format!("database.url={url}")];
    let config = Config::load(Sources { set, ..Sources::default() }).into_config().unwrap();
    let writer = runtime("writer", 1);
    let store = writer.block_on(Store::open(&config.database, Arc::new(SystemClock))).unwrap();
    let courier = runtime("courier", 2);
    courier.block_on(async {
        let deliverer = Store::open(&config.database, Arc::new(SystemClock)).await.unwrap();
        let policy = Policy { allow: vec!["127.0.0.0/8".parse().unwrap()], allow_http: true };
        let time_max = egress::limits::EXCHANGE_TIME_MAX;
        let egress =
            Egress::new(policy, Arc::new(SystemResolver), &Roots::Only(Vec::new()), time_max).unwrap();
        let sealer = Keys::new(&[7; 32], &[]).sealer(Purpose::WebhookSecret);
        let stop = CancellationToken::new();
        let running =
            tokio::spawn(Courier::new(deliverer.clone(), egress.clone(), sealer.clone()).run(stop.clone()));
        let (events, runs) = if quick { (EVENTS_QUICK, 1) } else { (EVENTS, RUNS) };
        let endpoints = Endpoints::new(deliverer, egress, sealer, (0..ENDPOINTS).map(upstream).collect());
        let server = Postgres::find(&url).await.unwrap();
        let bench = Bench { endpoints, store, writer, arrivals, server, address, silent, events, runs };
        measure(&bench).await;
        stop.cancel();
        running.await.unwrap();
        // A runtime may not be dropped where tasks run.
        bench.writer.shutdown_background();
    });
}

async fn measure(bench: &Bench) {
    let paced = Some(RATE_MIN as usize / 2);
    bench.endpoints("all", 0).await;
    bench.load("all", None, 0).await;
    let whole = bench.median("all at once", "all", None, 0).await;
    let calm = bench.median("750 in a second", "all", paced, 0).await;
    bench.endpoints("some", DEAD).await;
    let others = bench.median("all at once, 100 of 1000 silent", "some", None, DEAD).await;
    let calm_others = bench.median("750 in a second, 100 of 1000 silent", "some", paced, DEAD).await;
    // What the others had while all answered: their part of the whole.
    let before = whole.rate * (ENDPOINTS - DEAD) as f64 / ENDPOINTS as f64;
    let (share, times) = (others.rate / before, calm_others.p99 / calm.p99);
    verdict("deliveries a second", whole.rate, whole.rate >= RATE_MIN, "at least 1500");
    verdict("p99 to arrive, in ms", calm.p99, calm.p99 <= P99_MAX, "at most 150");
    verdict("throughput to the others", share, share >= RATE_SHARE_MIN, "at least 0.85");
    verdict("their p99", times, times <= P99_TIMES_MAX, "at most 2.00 times that without silent ones");
}
