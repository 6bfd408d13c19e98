//! Lists that are kept: what a hit costs beside a handler that returns constant bytes, what a Redis that hangs costs
//! requests, and how long the overview takes in front of upstreams that are slow.
//!
//! All peers return the same page. The gateway has authentication, metrics and the audit log on; the handler has nothing.
//! nginx, where it is installed, keeps the page of a gateway that keeps none.

use std::{fs, net::SocketAddr, process::Command, sync::Arc, time::Duration};

use axum::{Router, extract::State, http::header, response::IntoResponse as _, routing::any};
use bytes::Bytes;
use causeway::{
    clock::{Clock as _, SystemClock},
    emulator::{Emulator, Fault, Scenario, Upstream},
};
use http::{HeaderValue, Method};
use tokio::{net::TcpListener, time::Instant};

use super::{
    client::{Ask, CONNECTIONS, Line, drive},
    payload::{Case, Outcome, Payload},
    peers::{self, Peer},
    process::{Process, free_address, scratch},
    targets::verdict,
};

/// The case that is asked for.
const CASE: &str = "50 connections";
/// How long each peer is driven before a slice counts, and how long a slice is.
const WARM_UP: Duration = Duration::from_millis(500);
const SLICE: Duration = Duration::from_secs(1);
/// What a hit may cost, as a multiple of the handler: without Redis, and validated there.
const MEMORY_MAX: f64 = 3.0;
const REDIS_MAX: f64 = 6.0;
/// What a Redis that hangs may add to the 99th percentile.
const HANG_MAX: Duration = Duration::from_millis(60);
/// How long each upstream of the overview thinks, and what the overview may take, cold and warm.
const THINK: Duration = Duration::from_millis(20);
const COLD_MAX: Duration = Duration::from_millis(75);
const WARM_MAX: Duration = Duration::from_millis(35);
const OVERVIEWS: usize = 20;

/// Serves one page until killed.
pub(crate) async fn constant(listen: SocketAddr) -> Outcome {
    let page = case(&Payload::load()?)?.json.clone();
    async fn answer(State(page): State<Bytes>) -> axum::response::Response {
        ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], page).into_response()
    }
    let router = Router::new().route("/{*path}", any(answer)).with_state(page);
    Ok(axum::serve(TcpListener::bind(listen).await?, router).await?)
}

/// Measures and prints.
pub(crate) async fn run(slices: usize, say: impl Fn(&str)) -> Outcome {
    let payload = Payload::load()?;
    let case = case(&payload)?;
    let upstream = peers::upstream().await?;
    let redis = redis().await;
    let mut peers = vec![(handler().await?, None)];
    peers.push(filed("causeway, in process", &[], upstream.address).await?);
    match &redis {
        Ok(redis) => {
            let url = format!("redis.url=redis://{}", redis.address);
            peers.push(filed("causeway, Redis", &[&url], upstream.address).await?);
        }
        Err(why) => say(&format!("no Redis, left out: {why}")),
    }
    let plain = filed("causeway, nothing kept", &["cache.enabled=false"], upstream.address).await?;
    let proxy = nginx(plain.0.process.address).await;
    match proxy {
        Ok(peer) => peers.push((peer, plain.1.clone())),
        Err(why) => say(&format!("no nginx, left out: {why}")),
    }
    peers.push(plain);

    say(&format!(
        "{:<27} {:>8} {:>11} {:>9} {:>8} {:>8}",
        "a kept page", "req/s", "CPU µs/req", "× axum", "p50 ms", "p99 ms"
    ));
    let mut costs: Vec<(Vec<f64>, Vec<Duration>)> = peers.iter().map(|_| Default::default()).collect();
    for _ in 0..slices {
        for ((peer, key), (cpu, all)) in peers.iter().zip(&mut costs) {
            let ask = ask(peer, key.as_ref(), case)?;
            drive(&ask, WARM_UP).await?;
            let before = peer.process.cpu()?;
            let took = drive(&ask, SLICE).await?;
            cpu.push((peer.process.cpu()? - before).as_secs_f64() * 1e6 / took.len() as f64);
            all.extend(took);
        }
    }
    let floor = median(&costs[0].0);
    for ((peer, _), (cpu, took)) in peers.iter().zip(&mut costs) {
        took.sort_unstable();
        let cost = median(cpu);
        say(&format!(
            "  {:<25} {:>8.0} {cost:>11.1} {:>9.2} {:>8.2} {:>8.2}",
            peer.name,
            took.len() as f64 / (SLICE.as_secs_f64() * slices as f64),
            cost / floor,
            at(took, 0.5).as_secs_f64() * 1e3,
            at(took, 0.99).as_secs_f64() * 1e3,
        ));
        let most = match peer.name.as_str() {
            "causeway, in process" => MEMORY_MAX,
            "causeway, Redis" => REDIS_MAX,
            _ => continue,
        };
        say(&format!("    at most {most:.2} × axum: {}", verdict(cost / floor <= most)));
    }
    if let Ok(redis) = &redis
        && let Some((peer, key)) = peers.iter().find(|(peer, _)| peer.name == "causeway, Redis")
    {
        hang(peer, key.as_ref(), case, redis, &say).await?;
    }
    overview(&say).await
}

/// Drives the gateway while Redis hangs, beside the same while it does not.
async fn hang(
    peer: &Peer,
    key: Option<&HeaderValue>,
    case: &Case,
    redis: &Process,
    say: impl Fn(&str),
) -> Outcome {
    let ask = ask(peer, key, case)?;
    let mut before = drive(&ask, SLICE).await?;
    let signal = |name: &str| Command::new("kill").args([name, &redis.id().to_string()]).status();
    signal("-STOP")?;
    let mut during = drive(&ask, SLICE * 3).await?;
    signal("-CONT")?;
    before.sort_unstable();
    during.sort_unstable();
    let added = at(&during, 0.99).saturating_sub(at(&before, 0.99));
    say(&format!(
        "  a Redis that hangs adds {:.1} ms to the 99th percentile, {:.1} ms at most; at most {:.0} ms: {}",
        added.as_secs_f64() * 1e3,
        at(&during, 1.0).as_secs_f64() * 1e3,
        HANG_MAX.as_secs_f64() * 1e3,
        verdict(added <= HANG_MAX)
    ));
    Ok(())
}

/// Times the overview in front of emulated upstreams that think.
async fn overview(say: impl Fn(&str)) -> Outcome {
    let clock = Arc::new(SystemClock);
    let mut scenario = Scenario::sample(clock.now());
    scenario.faults.push(Fault::delay("*", THINK));
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let listens: Vec<_> = Upstream::ALL.iter().map(|upstream| (*upstream, loopback)).collect();
    let emulator = Emulator::start(scenario, clock, &listens).await?;
    let mut set: Vec<String> = emulator
        .addresses()
        .map(|(upstream, address)| format!("upstreams.{upstream}.endpoint=http://{address}"))
        .collect();
    set.push("upstreams.bigqueryconnection.locations=[\"eu\", \"europe-west1\", \"us\"]".to_owned());
    set.push("cache.enabled=true".to_owned());
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    let peer = peers::gateway("overview", &set, loopback).await?;
    let mut get = plain("/v1/projects/acme-data:overview", Method::GET)?;
    get.address = peer.process.address;
    let mut forget = plain("/v1/projects/acme-data/cache", Method::DELETE)?;
    forget.address = peer.process.address;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..OVERVIEWS {
        Line::open(forget.clone()).await?.fetch().await?;
        for times in [&mut cold, &mut warm] {
            let mut line = Line::open(get.clone()).await?;
            let sent = Instant::now();
            let (status, body) = line.fetch().await?;
            times.push(sent.elapsed());
            let text = String::from_utf8_lossy(&body);
            if status != 200 || text.contains("UNAVAILABLE") {
                return Err(format!("overview: {status}: {text}").into());
            }
        }
    }
    for (name, times, most) in [("cold", &mut cold, COLD_MAX), ("warm", &mut warm, WARM_MAX)] {
        times.sort_unstable();
        let median = at(times, 0.5);
        say(&format!(
            "  overview, {name}: {:.1} ms, {:.1} ms at most; target {} ms: {}",
            median.as_secs_f64() * 1e3,
            at(times, 1.0).as_secs_f64() * 1e3,
            most.as_millis(),
            verdict(median <= most)
        ));
    }
    emulator.stop().await;
    Ok(())
}

fn case(payload: &Payload) -> Outcome<&Case> {
    payload.cases.iter().find(|case| case.name == CASE).ok_or_else(|| "no such case".into())
}

pub(crate) fn ask(peer: &Peer, key: Option<&HeaderValue>, case: &Case) -> Outcome<Ask> {
    Ok(Ask {
        address: peer.process.address,
        path: case.path.parse()?,
        case: case.clone(),
        key: key.cloned(),
        connections: CONNECTIONS,
    })
}

fn plain(path: &str, verb: Method) -> Outcome<Ask> {
    let payload = Payload::load()?;
    let case = Case { verb, ..case(&payload)?.clone() };
    Ok(Ask {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        path: path.parse()?,
        case,
        key: None,
        connections: CONNECTIONS,
    })
}

async fn handler() -> Outcome<Peer> {
    let address = free_address().await?;
    let command = peers::role("constant", address)?;
    peers::start("axum, constant bytes", command, address, None, true).await
}

/// Starts a gateway with a worker, a database and a key of its own.
async fn filed(name: &str, set: &[&str], upstream: SocketAddr) -> Outcome<(Peer, Option<HeaderValue>)> {
    let file = scratch(&format!("{}.db", name.replace([' ', ','], "-")));
    for end in ["", "-wal", "-shm"] {
        // It may not be there.
        let _ = fs::remove_file(format!("{}{end}", file.display()));
    }
    let set: Vec<&str> = ["cache.enabled=true"].into_iter().chain(set.iter().copied()).collect();
    keyed(name, &format!("database.url=sqlite://{}", file.display()), &set, upstream).await
}

/// Starts a gateway with a worker and a key in a database.
pub(crate) async fn keyed(
    name: &str,
    database: &str,
    set: &[&str],
    upstream: SocketAddr,
) -> Outcome<(Peer, Option<HeaderValue>)> {
    let made = Command::new(peers::GATEWAY)
        .args(["keys", "create", "--principal", "bench", "--role", "viewer", "--resources", "*"])
        .args(["--set", "identity.mode=keys", "--set", database])
        .output()?;
    let printed = String::from_utf8(made.stdout)?;
    let key = printed.lines().last().ok_or("no key was made")?.trim();
    let all = [
        "identity.mode=keys",
        database,
        "http.worker_threads=1",
        "limits.principal_rate=1000000",
        "limits.principal_burst=1000000",
        "limits.project_rate=1000000",
        "limits.project_burst=1000000",
        "secrets.key=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ];
    let set: Vec<&str> = all.into_iter().chain(set.iter().copied()).collect();
    Ok((peers::gateway(name, &set, upstream).await?, Some(HeaderValue::from_str(key)?)))
}

async fn redis() -> Outcome<Process> {
    let address = free_address().await?;
    let mut command = Command::new("redis-server");
    command.args([
        "--port",
        &address.port().to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ]);
    let mut process = Process::start("redis", command, address)?;
    process.ready(None).await?;
    Ok(process)
}

/// Starts nginx with a cache in front of a gateway that keeps nothing.
async fn nginx(gateway: SocketAddr) -> Outcome<Peer> {
    let address = free_address().await?;
    let folder = scratch("nginx");
    fs::create_dir_all(folder.join("logs"))?;
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid {0}/pid; error_log {0}/logs/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; keepalive_requests 100000000; proxy_cache_path {0}/cache keys_zone=pages:8m;\n\
         client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;\n\
         uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;\n\
         server {{ listen {address}; location / {{ proxy_pass http://{gateway}; proxy_cache pages; proxy_cache_valid 200 1h;\n\
         proxy_cache_key $request_uri$http_x_goog_api_key; proxy_ignore_headers Cache-Control Vary; }} }} }}\n",
        folder.display()
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&folder).arg("-c").arg(&file);
    peers::start("nginx proxy_cache", command, address, None, false).await
}

pub(crate) fn median(all: &[f64]) -> f64 {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Returns what this share of a sorted list does not pass.
fn at(sorted: &[Duration], share: f64) -> Duration {
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
