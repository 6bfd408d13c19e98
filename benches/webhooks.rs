//! How many deliveries a second, and how long from the commit of an event to its arrival.
//!
//! Run with a private Postgres:
//!
//! ```text
//! tests/services/with cargo bench --bench webhooks
//! ```
//!
//! A thousand endpoints in ten projects; each event is for one of them. Courier, receiver, whoever writes the events, and
//! Postgres share the machine, so the figures are of all of them together. Three parts: everything at once, for the
//! throughput; half of that, for the time to arrive; and the first again while a hundred endpoints accept and never answer.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot go on has failed, and it prints"
)]

use std::{
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
    model::WebhookEvent,
    store::Store,
    webhooks::{Courier, Draft, Endpoints},
};
use jiff::Timestamp;
use tokio::{net::TcpListener, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

const PROJECTS: usize = 10;
const ENDPOINTS: usize = 100;
const DEAD: usize = 10;
const EVENTS: usize = 15_000;
const BATCH: usize = 50;

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

/// Processor time of this process so far: courier, receiver and whoever writes the events.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

struct Bench {
    store: Store,
    endpoints: Endpoints,
    arrivals: Arc<Arrivals>,
    address: SocketAddr,
    silent: SocketAddr,
    prefix: String,
    tasks: JoinSet<()>,
}

impl Bench {
    /// Makes the endpoints of one part, `dead` of each project at an address that never answers.
    async fn endpoints(&mut self, part: &str, dead: usize) {
        self.prefix = part.to_owned();
        for project in 0..PROJECTS {
            for n in 0..ENDPOINTS {
                let address = if n < dead { self.silent } else { self.address };
                let draft = Draft {
                    url: Some(format!("http://{address}/")),
                    kinds: Some(vec![format!("k{n}")]),
                    ..Draft::default()
                };
                self.endpoints.create(&format!("{part}{project}"), draft, None).await.unwrap();
            }
        }
    }

    fn event(&self, n: usize) -> WebhookEvent {
        let data = format!(r#"{{"operation":{{"name":"projects/p/operations/{n}","done":true}}}}"#);
        let project = format!("{}{}", self.prefix, n % PROJECTS);
        let mut event = self.store.new_event(&project, "operation.succeeded", data);
        event.source = format!("k{}", n / PROJECTS % ENDPOINTS);
        event
    }

    /// Writes events, as fast as possible or so many in a second, and waits until `expected` have arrived.
    async fn run(&self, name: &str, per_second: Option<usize>, expected: usize) -> (f64, f64) {
        self.arrivals.count.store(0, Ordering::Relaxed);
        self.arrivals.waits_us.lock().unwrap().clear();
        let (began, processor) = (Instant::now(), processor_time());
        for first in (0..EVENTS).step_by(BATCH) {
            if let Some(per_second) = per_second {
                let due = Duration::from_secs_f64(first as f64 / per_second as f64);
                tokio::time::sleep_until(began + due).await;
            }
            let events: Vec<_> = (first..first + BATCH).map(|n| self.event(n)).collect();
            self.store.insert_events(&events).await.unwrap();
        }
        while self.arrivals.count.load(Ordering::Relaxed) < expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let took = began.elapsed().as_secs_f64();
        let cost = (processor_time() - processor).as_secs_f64() * 1e6 / expected as f64;
        let mut waits = self.arrivals.waits_us.lock().unwrap().clone();
        waits.sort_unstable();
        let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize] as f64 / 1e3;
        let rate = expected as f64 / took;
        println!(
            "{name:<34} {rate:>7.0} deliveries/s   p50 {:>8.1} ms   p99 {:>8.1} ms   {cost:>5.0} us of processor each",
            at(0.5),
            at(0.99)
        );
        (rate, at(0.99))
    }
}

#[tokio::main]
async fn main() {
    #[expect(
        clippy::disallowed_methods,
        reason = "benches are told where the server is by whoever started it"
    )]
    let Ok(url) = std::env::var("CAUSEWAY_TEST_POSTGRES") else {
        println!("CAUSEWAY_TEST_POSTGRES is not set: run with tests/services/with");
        return;
    };
    let set = vec!["identity.mode=none".to_owned(), format!("database.url={url}")];
    let config = Config::load(Sources { set, ..Sources::default() }).into_config().unwrap();
    let store = Store::open(&config.database, Arc::new(SystemClock)).await.unwrap();
    let policy = Policy { allow: vec!["127.0.0.0/8".parse().unwrap()], allow_http: true };
    let time_max = egress::limits::EXCHANGE_TIME_MAX;
    let egress = Egress::new(policy, Arc::new(SystemResolver), &Roots::Only(Vec::new()), time_max).unwrap();
    let sealer = Keys::new(&[7; 32], &[]).sealer(Purpose::WebhookSecret);

    let arrivals = Arc::<Arrivals>::default();
    let routes = Router::new().route("/", post(arrive)).with_state(arrivals.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Accepts, in the queue of the system, and never answers.
    let silence = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silence.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });
    tasks.spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silence.accept().await {
            held.push(stream);
        }
    });
    let stop = CancellationToken::new();
    let courier = Courier::new(store.clone(), egress.clone(), sealer.clone());
    tasks.spawn(courier.run(stop.clone()));

    let endpoints = Endpoints::new(store.clone(), egress, sealer);
    let mut bench = Bench { store, endpoints, arrivals, address, silent, prefix: String::new(), tasks };
    bench.endpoints("warm", 0).await;
    bench.run("warming up", None, EVENTS).await;
    let mut whole = Vec::new();
    for _ in 0..5 {
        whole.push(bench.run("all at once", None, EVENTS).await.0);
    }
    let (_, p99) = bench.run("750 in a second", Some(750), EVENTS).await;
    bench.endpoints("dead", DEAD).await;
    let alive = EVENTS / ENDPOINTS * (ENDPOINTS - DEAD);
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(bench.run("all at once, 100 of 1000 silent", None, alive).await.0);
    }
    let (_, p99_others) = bench.run("750 in a second, 100 silent", Some(750), alive).await;
    whole.sort_by(f64::total_cmp);
    others.sort_by(f64::total_cmp);
    println!(
        "median of five: {:.0} and with the silent ones {:.0} ({:.0} %); p99 {p99:.0} and {p99_others:.0} ms",
        whole[2],
        others[2],
        others[2] / whole[2] * 100.0
    );
    stop.cancel();
    bench.tasks.shutdown().await;
}
