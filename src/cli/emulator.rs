//! `causeway emulator`: the emulated upstreams alone.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use tokio::runtime;

use super::{Outcome, say};
use crate::{
    clock::{Clock as _, SystemClock},
    emulator::{self, Scenario, Upstream},
    lifecycle,
};

/// Runs the emulated upstreams alone, on loopback: real gRPC, with health and reflection, on one port each.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  causeway emulator                 ports from 18061 up
  causeway emulator --port 0        free ports, printed
  causeway emulator --empty         without the sample data")]
pub(super) struct Emulator {
    /// The port of the first upstream; the others follow. 0 takes free ones.
    #[arg(long, default_value_t = 18061, value_name = "PORT")]
    port: u16,

    /// Start with nothing instead of the sample data.
    #[arg(long)]
    empty: bool,
}

impl Emulator {
    pub(super) fn run(self) -> Outcome {
        runtime::Builder::new_multi_thread().enable_all().build()?.block_on(self.emulate())
    }

    async fn emulate(self) -> Outcome {
        let mut signals = lifecycle::signals()?;
        let clock = Arc::new(SystemClock);
        let scenario = if self.empty { Scenario::empty() } else { Scenario::sample(clock.now()) };
        let emulator = emulator::Emulator::start(scenario, clock, &self.addresses()?).await?;
        let mut text =
            "Emulated upstreams are up. Point a gateway at them:\n  causeway serve --set identity.mode=none"
                .to_owned();
        for (upstream, address) in emulator.addresses() {
            text.push_str(&format!(" \\\n    --set upstreams.{upstream}.endpoint=http://{address}"));
        }
        text.push('\n');
        say(&text)?;
        signals.next().await;
        emulator.stop().await;
        Ok(())
    }

    fn addresses(&self) -> Result<Vec<(Upstream, SocketAddr)>, String> {
        let port = |place: usize| match self.port {
            0 => Some(0),
            first => u16::try_from(place).ok().and_then(|place| first.checked_add(place)),
        };
        Upstream::ALL
            .iter()
            .enumerate()
            .map(|(place, upstream)| {
                let port = port(place).ok_or("the ports after --port run past 65535")?;
                Ok((*upstream, SocketAddr::from(([127, 0, 0, 1], port))))
            })
            .collect()
    }
}
