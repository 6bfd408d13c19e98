//! The options that every command with a configuration takes.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, Loaded, Problems, Sources, process_environment};

/// Where the configuration comes from.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Configuration")]
pub(super) struct ConfigArgs {
    /// The configuration file, in TOML; causeway.example.toml has every key.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Sets one key over file and environment; may be repeated. The value is TOML, else text.
    ///
    /// Every key can also come from the environment: http.listen is CAUSEWAY__HTTP__LISTEN.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(super) set: Vec<String>,
}

impl ConfigArgs {
    /// Reads all sources; `presumed` is what the command takes for granted, as `--set` takes it.
    pub(super) fn load(self, presumed: Vec<(String, String)>) -> Loaded {
        Config::load(Sources {
            command: presumed,
            file: self.config,
            environment: process_environment(),
            set: self.set,
        })
    }

    /// Reads all sources for a command that runs the gateway: starts the log and says there what is doubtful.
    pub(super) fn load_and_log(self, presumed: Vec<(String, String)>) -> Result<Config, Problems> {
        let mut loaded = self.load(presumed);
        let warnings = std::mem::take(&mut loaded.warnings);
        let config = loaded.into_config()?;
        crate::telemetry::start_log(&config.telemetry.log);
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(config)
    }
}
