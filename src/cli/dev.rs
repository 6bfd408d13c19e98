//! `causeway dev`: everything in one process, to try and to develop against.

use std::net::{SocketAddr, TcpListener};
use std::{io, sync::Arc};

use clap::Args;

use super::{ConfigArgs, Outcome, receiver::Receiver, say, serve};
use crate::{
    app::App,
    clock::{Clock as _, SystemClock},
    config::Config,
    emulator::{Emulator, Scenario, Upstream},
    lifecycle,
};

/// Where `dev` listens unless told otherwise.
const LISTEN: &str = "127.0.0.1:8080";

/// Where most of the sample data is.
const PARENT: &str = "projects/acme-data/locations/europe-west1";

/// Runs the gateway with emulated upstreams and sample data, on loopback.
///
/// Nothing is installed, configured or kept: what is created is gone when the command ends. An upstream with a section
/// in the configuration is not emulated.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  causeway dev
  causeway dev --listen 127.0.0.1:0        takes a free port and prints it
  causeway dev --set upstreams.datastream.endpoint=http://127.0.0.1:9090")]
pub(super) struct Dev {
    /// Address and port to listen on, loopback only; port 0 takes a free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,

    #[command(flatten)]
    config: ConfigArgs,
}

impl Dev {
    pub(super) fn run(mut self) -> Outcome {
        if let Some(listen) = self.listen {
            self.config.set.push(format!("http.listen={listen}"));
        }
        let presume = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let presumed = vec![
            presume("identity.mode", "none"),
            presume("http.listen", LISTEN),
            presume("telemetry.log.filter", "warn"),
            presume("webhooks.allow_http", "true"),
            presume("webhooks.allow_cidrs", "[\"127.0.0.0/8\", \"::1\"]"),
        ];
        let first = self.config.clone().load_and_log(presumed.clone())?;
        look_for_room(first.http.listen)?;
        serve::runtime(&first)?.block_on(dev(self.config, presumed, first))
    }
}

/// Where the sample data has connections: their service cannot list its locations.
const CONNECTION_LOCATIONS: &str = r#"["aws-us-east-1", "azure-eastus2", "eu", "europe-west1", "us"]"#;

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("expected an address and port, such as {LISTEN}"))
}

/// Says early, and in better words than the system's, that a port is taken.
fn look_for_room(listen: SocketAddr) -> Result<(), String> {
    match TcpListener::bind(listen) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(format!(
            "{listen} is taken by another process; choose another: causeway dev --listen {}:0 takes a free one",
            listen.ip()
        )),
        Err(error) => Err(format!("cannot listen on {listen}: {error}")),
    }
}

async fn dev(args: ConfigArgs, mut presumed: Vec<(String, String)>, first: Config) -> Outcome {
    let mut signals = lifecycle::signals()?;
    let clock = Arc::new(SystemClock);
    let scenario = Scenario::sample(clock.now());
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let emulated: Vec<_> = Upstream::ALL
        .iter()
        .filter(|upstream| !first.upstreams.contains_key(upstream.key()))
        .map(|upstream| (*upstream, loopback))
        .collect();
    let emulator = Emulator::start(scenario, clock.clone(), &emulated).await?;
    for (upstream, address) in emulator.addresses() {
        presumed.push((format!("upstreams.{upstream}.endpoint"), format!("http://{address}")));
        if upstream == Upstream::BigQueryConnection {
            presumed.push((format!("upstreams.{upstream}.locations"), CONNECTION_LOCATIONS.to_owned()));
        }
    }
    let config = args.load(presumed).into_config()?;
    let receiver = Receiver::start().await?;
    let app = Box::pin(App::build(config, clock)).await?;
    say(&banner(app.local_addr(), &emulator, &receiver))?;
    let ended = app.run(async move || signals.next().await).await;
    emulator.stop().await;
    Ok(ended?)
}

/// Says where everything is, and what to try.
fn banner(listen: SocketAddr, emulator: &Emulator, receiver: &Receiver) -> String {
    let base = format!("http://{listen}");
    let mut text = format!("Causeway listens on {base}, with emulated upstreams:\n");
    for (upstream, address) in emulator.addresses() {
        text.push_str(&format!("  {:<20} {address}\n", upstream.key()));
    }
    text.push_str("\nTry:\n");
    let tries = tries(&base);
    let is_there = |upstream: &Upstream| emulator.endpoint(*upstream).is_some();
    for (_, line) in tries.iter().filter(|(upstream, _)| upstream.as_ref().is_none_or(is_there)) {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str(&format!(
        r#"
Be called when something happens: a receiver at {url} verifies what it gets, and prints it here.
  curl --json '{{"url": "{url}", "secret": "{secret}"}}' {base}/v1/projects/acme-data/webhookEndpoints
  curl -X POST {base}/v1/projects/acme-data/webhookEndpoints/ID:ping
  curl {base}/v1/projects/acme-data/webhookEndpoints/ID/deliveries

Stop it with Ctrl-C; nothing is kept.
"#,
        url = receiver.url(),
        secret = receiver.secret(),
    ));
    text
}

/// What to try, with the upstream whose sample data it needs.
fn tries(base: &str) -> [(Option<Upstream>, String); 5] {
    let project = "projects/acme-data";
    let job = "streams/shop-to-bigquery/objects/public-orders:startBackfillJob";
    let operations =
        "projects/acme-shop/instances/ledger/databaseOperations?$fields=operations(name,done,error)";
    let connection = r#"{"friendlyName": "Web logs", "cloudResource": {}}"#;
    [
        (
            Some(Upstream::Datastream),
            format!("curl '{base}/v1/{PARENT}/streams?$fields=streams(name,state)'"),
        ),
        (Some(Upstream::Datastream), format!("curl -X POST {base}/v1/{PARENT}/{job}")),
        (None, format!("curl {base}/v1/{project}:overview")),
        (Some(Upstream::Spanner), format!("curl '{base}/v1/{operations}'")),
        (
            Some(Upstream::BigQueryConnection),
            format!("curl --json '{connection}' '{base}/v1/{PARENT}/connections?connectionId=web-logs'"),
        ),
    ]
}
