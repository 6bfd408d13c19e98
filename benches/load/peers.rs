//! What is measured: the floor, the gateway, and the peers that are installed.

use std::{fs, io, net::SocketAddr, path::Path, process::Command, time::Duration};

use serde_json::json;
use sqlx::Connection as _;

use super::{
    payload::{Outcome, descriptor_set},
    process::{Process, free_address, scratch},
};

/// What the table calls what nobody who converts nothing can do much better.
pub(crate) const FLOOR: &str = "floor";

/// What the table calls structured-proxy, with one worker.
pub(crate) const PROXY: &str = "structured-proxy";

/// The gateway that cargo built for this run.
pub(crate) const GATEWAY: &str = env!("CARGO_BIN_EXE_causeway");

/// What the table calls the gateway that is judged: `causeway serve` with one worker, as all others have one.
pub(crate) const GATEWAY_NAME: &str = "causeway";

/// The same with its audit log in Postgres, where there is one: what a team runs.
pub(crate) const TEAM_NAME: &str = "causeway, Postgres";

/// The same without an entry for each read. The floor and the peers keep no log, so for reads this is what they do.
pub(crate) const BARE_NAME: &str = "causeway, not recording";

/// What the table calls the same of another build of the gateway.
pub(crate) fn other(name: &str) -> String {
    name.replacen(GATEWAY_NAME, "other build", 1)
}

/// What the table calls a process that is started as by somebody who says nothing about workers: one for each core.
pub(crate) fn by_default(name: &str) -> String {
    format!("{name}, default workers")
}

/// One process that answers the cases.
pub(crate) struct Peer {
    /// What the table calls it.
    pub(crate) name: String,
    /// The process.
    pub(crate) process: Process,
    /// Whether its paths are marks and not those of the API.
    pub(crate) is_floor: bool,
    /// Whether a wrong answer ends the run.
    pub(crate) is_ours: bool,
}

/// Starts the upstream.
pub(crate) async fn upstream() -> Outcome<Process> {
    let address = free_address().await?;
    let mut process = Process::start("upstream", role("upstream", address)?, address)?;
    process.ready(None).await?;
    Ok(process)
}

/// Starts all that are there; says which are not.
pub(crate) async fn all(
    upstream: SocketAddr,
    postgres: Option<&str>,
    other_build: Option<&Path>,
    say: impl Fn(&str),
) -> Outcome<Vec<Peer>> {
    let set = scratch("bench.binpb");
    fs::write(&set, descriptor_set()?)?;
    let set = set.display().to_string();
    let mut peers = vec![
        floor(FLOOR, &[], upstream).await?,
        gateway(GATEWAY_NAME, &["http.worker_threads=1"], upstream).await?,
        gateway(BARE_NAME, &["http.worker_threads=1", "audit.reads=false"], upstream).await?,
        floor("floor + prost-reflect", &["--reflect"], upstream).await?,
        floor("floor, on one thread", &["--runtime", "current-thread"], upstream).await?,
        floor(&by_default(FLOOR), &["--runtime", "default-workers"], upstream).await?,
        gateway(&by_default(GATEWAY_NAME), &[], upstream).await?,
    ];
    match postgres {
        Some(url) => {
            let database = format!("database.url={url}");
            let set = ["http.worker_threads=1", &database];
            peers.insert(2, gateway(TEAM_NAME, &set, upstream).await?);
        }
        None => say("no Postgres, see tests/services/with: the gateway with its log there is left out"),
    }
    if let Some(executable) = other_build {
        let mut kinds = vec![(GATEWAY_NAME, None), (BARE_NAME, Some("audit.reads=false".to_owned()))];
        if let Some(url) = postgres {
            kinds.insert(1, (TEAM_NAME, Some(format!("database.url={}", schema(url).await?))));
        }
        for (name, key) in &kinds {
            let set: Vec<&str> = ["http.worker_threads=1"].into_iter().chain(key.as_deref()).collect();
            peers.push(served(&other(name), executable, &set, upstream).await?);
        }
    }
    let proxies = [
        (PROXY.to_owned(), structured_proxy(PROXY, Some(1), upstream, &set).await),
        (by_default(PROXY), structured_proxy(&by_default(PROXY), None, upstream, &set).await),
        ("envoy".to_owned(), envoy(upstream, &set).await),
    ];
    for (name, started) in proxies {
        match started {
            Ok(peer) => peers.push(peer),
            Err(error) if is_absent(error.as_ref()) => say(&format!("{name} is not on the PATH: left out")),
            Err(error) => say(&format!("{name} does not start, left out: {error}")),
        }
    }
    Ok(peers)
}

/// Makes a schema of its own for another build: two that share one would do each other's work.
async fn schema(url: &str) -> Outcome<String> {
    let mut connection = sqlx::PgConnection::connect(url).await?;
    sqlx::query("CREATE SCHEMA IF NOT EXISTS other_build").execute(&mut connection).await?;
    let separator = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{separator}options=-csearch_path%3Dother_build"))
}

fn is_absent(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

async fn floor(name: &str, more: &[&str], upstream: SocketAddr) -> Outcome<Peer> {
    let address = free_address().await?;
    let mut command = role("floor", address)?;
    command.args(["--upstream", &format!("http://{upstream}")]).args(more);
    start(name, command, address, None, true).await
}

/// Starts `causeway serve` as an operator would, with a few keys set.
pub(crate) async fn gateway(name: &str, set: &[&str], upstream: SocketAddr) -> Outcome<Peer> {
    served(name, GATEWAY.as_ref(), set, upstream).await
}

async fn served(name: &str, executable: &Path, set: &[&str], upstream: SocketAddr) -> Outcome<Peer> {
    let address = free_address().await?;
    start(name, serve(executable, set, address, upstream), address, Some("/healthz"), false).await
}

/// Starts it and returns how long it took to be ready.
pub(crate) async fn gateway_start_time(upstream: SocketAddr) -> Outcome<Duration> {
    let address = free_address().await?;
    Process::start("causeway", serve(GATEWAY.as_ref(), &[], address, upstream), address)?
        .ready(Some("/healthz"))
        .await
}

fn serve(executable: &Path, set: &[&str], address: SocketAddr, upstream: SocketAddr) -> Command {
    let mut command = Command::new(executable);
    command.arg("serve");
    let listen = format!("http.listen={address}");
    let [connection, datastream] =
        ["bigqueryconnection", "datastream"].map(|key| format!("upstreams.{key}.endpoint=http://{upstream}"));
    // What is measured here is forwarding; who measures kept pages says so in `set`.
    let first = ["identity.mode=none", "cache.enabled=false", &listen, &connection, &datastream];
    for key in first.iter().chain(set) {
        command.args(["--set", key]);
    }
    command
}

async fn structured_proxy(name: &str, workers: Option<u8>, upstream: SocketAddr, set: &str) -> Outcome<Peer> {
    let address = free_address().await?;
    let mut config = json!({
        "listen": { "http": address.to_string() },
        "upstream": { "default": format!("http://{upstream}") },
        "descriptors": [{ "file": set }],
        "service": { "name": "bench" },
        "transcode": { "only": ["causeway.bench.v1.Pages"] },
    });
    if let Some(workers) = workers {
        config["runtime"] = json!({ "worker_threads": workers });
    }
    let file = scratch(&format!("structured-proxy-{}.yaml", address.port()));
    fs::write(&file, config.to_string())?;
    let mut command = Command::new("structured-proxy");
    command.arg("--config").arg(file);
    start(name, command, address, None, false).await
}

async fn envoy(upstream: SocketAddr, set: &str) -> Outcome<Peer> {
    let address = free_address().await?;
    let socket = |address: SocketAddr| json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } });
    let of = |name: &str| format!("type.googleapis.com/envoy.extensions.{name}");
    let transcoder = json!({
        "@type": of("filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"),
        "proto_descriptor": set,
        "services": ["causeway.bench.v1.Pages"],
        "convert_grpc_status": true,
        "max_response_body_size": 64 << 20,
    });
    let manager = json!({
        "@type": of("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "bench",
        "route_config": { "virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "upstream" } }],
        }] },
        "http_filters": [
            { "name": "transcoder", "typed_config": transcoder },
            { "name": "router", "typed_config": { "@type": of("filters.http.router.v3.Router") } },
        ],
    });
    let http2 = json!({
        "@type": of("upstreams.http.v3.HttpProtocolOptions"),
        "explicit_http_config": { "http2_protocol_options": {} },
    });
    let config = json!({ "static_resources": {
        "listeners": [{
            "address": socket(address),
            "filter_chains": [{ "filters": [{ "name": "http", "typed_config": manager }] }],
        }],
        "clusters": [{
            "name": "upstream",
            "type": "STATIC",
            "per_connection_buffer_limit_bytes": 64 << 20,
            "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2 },
            "load_assignment": {
                "cluster_name": "upstream",
                "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": socket(upstream) } }] }],
            },
        }],
    } });
    let file = scratch("envoy.json");
    fs::write(&file, config.to_string())?;
    let mut command = Command::new("envoy");
    command.arg("--config-path").arg(file).args([
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "warn",
    ]);
    start("envoy", command, address, None, false).await
}

pub(crate) async fn start(
    name: &str,
    command: Command,
    address: SocketAddr,
    ready: Option<&str>,
    is_floor: bool,
) -> Outcome<Peer> {
    let is_ours = is_floor || ready.is_some();
    let mut process = Process::start(&name.replace([' ', ','], "-"), command, address)?;
    process.ready(ready).await?;
    Ok(Peer { name: name.to_owned(), process, is_floor, is_ours })
}

pub(crate) fn role(role: &str, listen: SocketAddr) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--role", role, "--listen", &listen.to_string()]);
    Ok(command)
}
