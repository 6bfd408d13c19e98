//! `causeway serve`: the gateway, for real upstreams.

use std::sync::Arc;

use clap::Args;
use tokio::runtime;

use super::{ConfigArgs, Outcome};
use crate::{
    app::App,
    clock::SystemClock,
    config::{Config, Mode},
    lifecycle,
};

/// Runs the gateway until it is told to stop.
///
/// The first SIGTERM or SIGINT lets requests under way finish (http.drain_timeout); a second one ends them.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  causeway serve --config causeway.toml
  causeway serve --set identity.mode=none --set upstreams.datastream.endpoint=http://127.0.0.1:9090
  CAUSEWAY__IDENTITY__MODE=none CAUSEWAY__HTTP__LISTEN=127.0.0.1:9000 causeway serve

Without callers that are known (identity.mode = \"none\") it serves loopback only.")]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
}

impl Serve {
    pub(super) fn run(self) -> Outcome {
        let config = self.config.load_and_log(Vec::new())?;
        if config.identity.mode == Some(Mode::None) {
            tracing::warn!("identity.mode is none: whoever reaches {} may do everything", config.http.listen);
        }
        runtime(&config)?.block_on(serve(config))
    }
}

/// Builds the runtime of all that is nobody's request; those are served by [`crate::workers`].
pub(super) fn runtime(config: &Config) -> std::io::Result<runtime::Runtime> {
    runtime::Builder::new_multi_thread()
        .worker_threads(config.http.worker_threads)
        .thread_name("causeway")
        .enable_all()
        .build()
}

async fn serve(config: Config) -> Outcome {
    let mut signals = lifecycle::signals()?;
    // Boxed: it is needed once, and larger than a stack should have to hold.
    let app = Box::pin(App::build(config, Arc::new(SystemClock))).await?;
    Ok(app.run(async move || signals.next().await).await?)
}
