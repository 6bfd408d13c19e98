//! `causeway migrate`: brings the database's schema up to date.

use std::sync::Arc;

use clap::Args;
use tokio::runtime;

use super::{ConfigArgs, Outcome, say, table::Table};
use crate::{clock::SystemClock, config::Config, store::Store};

/// Brings the schema of database.url up to date, or shows what it lacks.
///
/// Several may run at once; each migration is applied once. Nothing is ever taken back: an older version refuses a
/// schema that is newer than itself.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  causeway migrate --config causeway.toml
  causeway migrate --config causeway.toml --status
  causeway migrate --set database.url=postgres://causeway@localhost/causeway")]
pub(super) struct Migrate {
    /// Changes nothing: lists every migration, and exits with 1 if one is missing.
    #[arg(long)]
    status: bool,

    #[command(flatten)]
    config: ConfigArgs,
}

impl Migrate {
    pub(super) fn run(self) -> Outcome {
        // Nothing here serves, so who may call does not matter.
        let presumed = vec![("identity.mode".to_owned(), "none".to_owned())];
        let config = self.config.load_and_log(presumed)?;
        if config.database.url.is_none() {
            return Err("database.url is not set: there is no database to migrate".into());
        }
        runtime::Builder::new_current_thread().enable_all().build()?.block_on(migrate(&config, self.status))
    }
}

async fn migrate(config: &Config, status: bool) -> Outcome {
    let clock = Arc::new(SystemClock);
    if status {
        let store = Store::connect_existing(&config.database, clock).await?;
        let mut table = Table::new(&["MIGRATION", "APPLIED"]);
        let all = store.migration_status().await?;
        for migration in &all {
            let applied = migration.applied.map(|at| at.to_string()).unwrap_or_default();
            table.row([migration.name.clone(), applied]);
        }
        say(&table.print())?;
        let missing = all.iter().filter(|migration| migration.applied.is_none()).count();
        return if missing == 0 { Ok(()) } else { Err(format!("{missing} not applied").into()) };
    }
    let done = Store::connect(&config.database, clock).await?.migrate().await?;
    let text =
        if done.is_empty() { "up to date\n".to_owned() } else { format!("applied {}\n", done.join(", ")) };
    Ok(say(&text)?)
}
