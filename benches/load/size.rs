//! What the gateway weighs: memory when idle, with many connections, and while a long answer passes through; and how
//! soon it is ready.

use std::{fs, time::Duration};

use http::Uri;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    client::{Ask, Line, drain},
    payload::{Case, Outcome, Payload, Reply, STREAM_PAGES, descriptor_set},
    peers::{self, Peer},
    process::{Process, scratch},
    speed, targets,
};

/// Starts whose times are taken.
const STARTS: usize = 5;
/// Connections that are kept open.
const CONNECTIONS: usize = 10_000;
/// Connections that are opened at once.
const AT_ONCE: usize = 50;
/// How long to leave connections alone before their memory is counted.
const SETTLE: Duration = Duration::from_secs(2);
/// How long a reader pauses in the middle of the long answer.
const PAUSE: Duration = Duration::from_secs(2);
/// How long the long answer may take.
const STREAM_TIME_MAX: Duration = Duration::from_secs(60);

/// Measures and prints. `idle` is how long the gateway is left alone at first.
pub(crate) async fn run(idle: Duration, say: impl Fn(&str)) -> Outcome {
    let payload = Payload::load()?;
    let upstream = peers::upstream().await?;
    ready_time(&upstream, &say).await?;

    let gateway = peers::gateway("causeway", &[], upstream.address).await?;
    sleep(idle).await;
    let idle_kib = gateway.process.memory()?.now;
    say(&format!("memory after {idle:?} without requests: {}", against(idle_kib, targets::IDLE_KIB_MAX)));
    connections(&gateway, &payload.cases[0], idle_kib, &say).await?;
    drop(gateway);
    large(&upstream, &payload.large, &say).await?;
    stream(&upstream, &payload.stream, &say).await
}

async fn ready_time(upstream: &Process, say: impl Fn(&str)) -> Outcome {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        times.push(peers::gateway_start_time(upstream.address).await?);
    }
    times.sort_unstable();
    let [median, slowest] = [times[STARTS / 2], times[STARTS - 1]].map(|time| time.as_secs_f64() * 1e3);
    say(&format!(
        "ready {median:.0} ms after its start, slowest of {STARTS} {slowest:.0} ms; at most {} ms: {}",
        targets::READY_MS_MAX,
        targets::verdict(slowest <= targets::READY_MS_MAX)
    ));
    Ok(())
}

async fn connections(gateway: &Peer, case: &Case, before_kib: u64, say: impl Fn(&str)) -> Outcome {
    let ask = speed::ask(gateway, case)?;
    let mut lines = Vec::with_capacity(CONNECTIONS);
    while lines.len() < CONNECTIONS {
        let mut opening = JoinSet::new();
        for _ in 0..AT_ONCE {
            opening.spawn(open(ask.clone()));
        }
        while let Some(opened) = opening.join_next().await {
            match opened? {
                Ok(line) => lines.push(line),
                Err(error) => {
                    let open = lines.len();
                    return Err(format!(
                        "the connection after {open} failed: {error}. Raise the limit of open files: ulimit -n 20000"
                    )
                    .into());
                }
            }
        }
    }
    sleep(SETTLE).await;
    let kib = gateway.process.memory()?.now;
    say(&format!(
        "memory with {CONNECTIONS} idle connections: {}, {:.1} KiB for each",
        against(kib, targets::CONNECTED_KIB_MAX),
        kib.saturating_sub(before_kib) as f64 / CONNECTIONS as f64
    ));
    Ok(())
}

/// Opens a connection that has had one answer.
async fn open(ask: Ask) -> Outcome<Line> {
    let mut line = Line::open(ask).await?;
    line.fetch().await?;
    Ok(line)
}

/// Asks a gateway that has answered nothing large yet for one large page.
async fn large(upstream: &Process, case: &Case, say: impl Fn(&str)) -> Outcome {
    let gateway = peers::gateway("causeway", &[], upstream.address).await?;
    let Reply::Message(message) = &case.reply else { return Err("the large page is none".into()) };
    let before = gateway.process.memory()?.now;
    gateway.process.forget_peak()?;
    let mut line = Line::open(speed::ask(&gateway, case)?).await?;
    let json = drain(line.send().await?.into_body()).await?;
    let more = gateway.process.memory()?.peak.saturating_sub(before);
    let copies = (more * 1024) as f64 / message.len() as f64;
    say(&format!(
        "memory for one page of {:.1} MB ({:.1} MB of JSON): {}, {copies:.2} times the message; at most {}: {}",
        message.len() as f64 / 1e6,
        json as f64 / 1e6,
        mib(more),
        targets::MESSAGE_COPIES_MAX,
        targets::verdict(copies <= targets::MESSAGE_COPIES_MAX)
    ));
    Ok(())
}

async fn stream(upstream: &Process, case: &Case, say: impl Fn(&str)) -> Outcome {
    let set = scratch("bench.binpb");
    fs::write(&set, descriptor_set()?)?;
    let keys = [
        format!("schema.descriptor_sets=[\"{}\"]", set.display()),
        "upstreams.flood.services=[\"causeway.bench.v1.Flood\"]".to_owned(),
        format!("upstreams.flood.endpoint=http://{}", upstream.address),
    ];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let gateway = peers::gateway("causeway", &keys, upstream.address).await?;
    let path: Uri = case.path.parse()?;
    let ask = Ask { address: gateway.process.address, path, case: case.clone(), key: None, connections: 1 };

    let before = gateway.process.memory()?;
    let response = Line::open(ask.clone()).await?;
    let (mut line, mut paused) = (response, Line::open(ask).await?);
    let read = timeout(STREAM_TIME_MAX, async {
        let held = paused.send().await?;
        sleep(PAUSE).await;
        let bytes = drain(line.send().await?.into_body()).await?;
        drop(held);
        Outcome::Ok(bytes)
    })
    .await??;
    let after = gateway.process.memory()?;
    let Reply::Stream(page) = &case.reply else { return Err("the stream is not one".into()) };
    say(&format!(
        "memory for a stream of {} MB ({} MB of JSON), another one left unread: {}, on top of {}",
        (page.len() * STREAM_PAGES) / 1_000_000,
        read / 1_000_000,
        against(after.peak.saturating_sub(before.now), targets::STREAMS_KIB_MAX),
        mib(before.now),
    ));
    Ok(())
}

/// Tells a size and whether it is within a limit, both in KiB.
fn against(kib: u64, max: u64) -> String {
    format!("{}; at most {}: {}", mib(kib), mib(max), targets::verdict(kib <= max))
}

fn mib(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}
