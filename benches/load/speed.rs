//! The table: each case against each peer, in slices that take turns, so that a noisy neighbour hurts all alike.

use std::{path::PathBuf, time::Duration};

use http::Uri;
use serde_json::Value;

use super::{
    cached::median,
    client::{Ask, CONNECTIONS, Line, drive},
    payload::{Case, Outcome, Payload},
    peers::{self, Peer},
    process::Process,
    targets,
};

/// How long each peer is driven before its first slice counts, and before the others do.
const WARM_UPS: [Duration; 2] = [Duration::from_secs(1), Duration::from_millis(100)];
/// How long a slice is. Short, so that many rounds are seen: what disturbs the machine lasts for some of them, and a figure
/// is the middle one.
const SLICE: Duration = Duration::from_millis(250);
/// Slices of a second of load.
const SLICES_PER_SECOND: usize = 4;

/// What is measured, and how often.
pub(crate) struct Plan {
    /// Seconds of load for each case and peer.
    pub(crate) seconds: usize,
    /// Only cases with this in their name.
    pub(crate) case: String,
    /// Only peers with this in their name; the floor is always there.
    pub(crate) peer: String,
    /// Connections with a request under way.
    pub(crate) connections: usize,
    /// Where a gateway can keep its log as a team's does.
    pub(crate) postgres: Option<String>,
    /// An executable of the gateway to be measured beside the one of this run.
    pub(crate) other: Option<PathBuf>,
}

#[derive(Default)]
struct Numbers {
    took: Vec<Duration>,
    /// Processor time for each request, a number per slice: the peer's and the upstream's.
    cpu: Vec<[f64; 2]>,
}

/// Measures and prints.
pub(crate) async fn run(plan: &Plan, say: impl Fn(&str)) -> Outcome {
    let payload = Payload::load()?;
    say(&format!("{}, {} connections", machine(), plan.connections));
    let upstream = peers::upstream().await?;
    let peers = peers::all(upstream.address, plan.postgres.as_deref(), plan.other.as_deref(), &say).await?;
    let peers: Vec<Peer> = peers
        .into_iter()
        .filter(|peer| peer.name == peers::FLOOR || peer.name.contains(&plan.peer))
        .collect();
    for case in payload.cases.iter().filter(|case| case.name.contains(&plan.case)) {
        say(&format!(
            "\n{:<35} {:>8} {:>11} {:>8} {:>12} {:>8} {:>8} {:>8}",
            format!("{}, {} B", case.name, case.json.len()),
            "req/s",
            "CPU µs/req",
            "× floor",
            "upstream µs",
            "p50 ms",
            "p99 ms",
            "RSS MiB"
        ));
        measure(plan, case, &peers, &upstream, &say).await?;
    }
    Ok(())
}

/// Says what it ran on.
fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores, {}, Linux {}", model.unwrap_or("unknown processor"), kernel.trim())
}

async fn measure(
    plan: &Plan,
    case: &Case,
    peers: &[Peer],
    upstream: &Process,
    say: impl Fn(&str),
) -> Outcome {
    let mut numbers: Vec<Result<Numbers, String>> = Vec::new();
    for peer in peers {
        numbers.push(match check(peer, case).await {
            Ok(()) => Ok(Numbers::default()),
            Err(error) if peer.is_ours => return Err(format!("{}, {}: {error}", peer.name, case.name).into()),
            Err(error) => Err(error.to_string()),
        });
    }
    let slices = plan.seconds * SLICES_PER_SECOND;
    for slice in 0..slices {
        for (peer, numbers) in peers.iter().zip(&mut numbers) {
            let Ok(numbers) = numbers else { continue };
            let ask = Ask { connections: plan.connections, ..ask(peer, case)? };
            drive(&ask, WARM_UPS[slice.min(1)]).await?;
            let before = [peer.process.cpu()?, upstream.cpu()?];
            let took = drive(&ask, SLICE).await?;
            let after = [peer.process.cpu()?, upstream.cpu()?];
            let micros = |i: usize| (after[i] - before[i]).as_secs_f64() * 1e6 / took.len() as f64;
            numbers.cpu.push([micros(0), micros(1)]);
            numbers.took.extend(took);
        }
    }
    let floor = numbers.first().and_then(|n| n.as_ref().ok()).map(Numbers::cpu).unwrap_or_default();
    for (peer, numbers) in peers.iter().zip(&mut numbers) {
        match numbers {
            Ok(numbers) => say(&numbers.line(peer, &floor, slices)?),
            Err(why) => say(&format!("  {:<33} {why}", peer.name)),
        }
    }
    let cpu = |name: &str| {
        let at = peers.iter().position(|peer| peer.name == name)?;
        numbers[at].as_ref().ok().map(Numbers::cpu)
    };
    for target in targets::of(case.name) {
        let alike = [peers::GATEWAY_NAME, peers::TEAM_NAME, peers::BARE_NAME]
            .into_iter()
            .flat_map(|name| [name.to_owned(), peers::other(name)])
            .map(|name| (name, target.of.to_owned()));
        let by_default = (peers::by_default(peers::GATEWAY_NAME), peers::by_default(target.of));
        for (name, of) in alike.into_iter().chain([by_default]) {
            if let (Some(ours), Some(theirs)) = (cpu(&name), cpu(&of)) {
                say(&target.judge(&name, &of, ratio(&ours, &theirs)));
            }
        }
    }
    Ok(())
}

/// The middle one of the ratios within each round: whatever slows a round slows both.
fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(&ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
}

/// Asks once: a wrong answer that is fast is worth nothing.
async fn check(peer: &Peer, case: &Case) -> Outcome {
    let (status, body) = Line::open(ask(peer, case)?).await?.fetch().await?;
    if status != case.status {
        let text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        return Err(format!("status {status}: {text}").into());
    }
    let expected: Value = serde_json::from_slice(&case.json)?;
    if peer.is_ours && serde_json::from_slice::<Value>(&body)? != expected {
        return Err(format!("answers differently: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(())
}

pub(crate) fn ask(peer: &Peer, case: &Case) -> Outcome<Ask> {
    let path: Uri = if peer.is_floor { format!("/{}", case.mark).parse()? } else { case.path.parse()? };
    Ok(Ask { address: peer.process.address, path, case: case.clone(), key: None, connections: CONNECTIONS })
}

impl Numbers {
    /// What a request cost the peer, slice by slice.
    fn cpu(&self) -> Vec<f64> {
        self.cpu.iter().map(|[peer, _upstream]| *peer).collect()
    }

    /// What it cost the upstream.
    fn upstream_cpu(&self) -> Vec<f64> {
        self.cpu.iter().map(|[_peer, upstream]| *upstream).collect()
    }

    fn line(&mut self, peer: &Peer, floor: &[f64], slices: usize) -> Outcome<String> {
        self.took.sort_unstable();
        let at = |share: f64| {
            let index = (self.took.len() as f64 * share) as usize;
            self.took.get(index).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
        };
        Ok(format!(
            "  {:<33} {:>8.0} {:>11.1} {:>8.2} {:>12.1} {:>8.2} {:>8.2} {:>8.1}",
            peer.name,
            self.took.len() as f64 / (SLICE.as_secs_f64() * slices as f64),
            median(&self.cpu()),
            ratio(&self.cpu(), floor),
            median(&self.upstream_cpu()),
            at(0.5),
            at(0.99),
            peer.process.memory()?.now as f64 / 1024.0,
        ))
    }
}
