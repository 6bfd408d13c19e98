//! `causeway audit`: checks the audit log, and writes it out.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use clap::{Args, Subcommand};
use tokio::runtime;

use super::{ConfigArgs, Outcome, is_read, say};
use crate::{
    app,
    audit::{filter, verify},
    clock::SystemClock,
    config::Config,
    http::audit_line,
    store::{Store, audit::Walk},
};

/// Entries read at once.
const ROWS_MAX: u32 = 1000;

/// Checks the audit log, or writes it out.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  causeway audit verify --config causeway.toml
  causeway audit export --config causeway.toml --filter 'principal = \"alice\"' > alice.ndjson")]
pub(super) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(Verify),
    Export(Export),
}

/// Tells whether the log is as it was sealed, and names the first entry that is not.
///
/// Prints the number and the digest of the last entry: noted elsewhere, they show later that nothing was cut off.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  causeway audit verify --config causeway.toml")]
struct Verify {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Writes entries to standard output, one JSON object on each line, oldest first.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  causeway audit export --config causeway.toml --filter 'httpStatus >= 400' > refused.ndjson"
)]
struct Export {
    /// Which entries, as the API takes it: principal, method, resourceNames, httpStatus, time, requestId, joined by AND.
    #[arg(long, default_value = "", value_name = "FILTER")]
    filter: String,

    /// Begins behind the entry with this number.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: i64,

    #[command(flatten)]
    config: ConfigArgs,
}

impl Audit {
    pub(super) fn run(self) -> Outcome {
        let args = match &self.command {
            Command::Verify(verify) => verify.config.clone(),
            Command::Export(export) => export.config.clone(),
        };
        // Nothing here serves, so who may call does not matter.
        let presumed = ["identity.mode=none", "telemetry.log.filter=warn"]
            .map(|setting| setting.split_once('=').expect("a key and a value"))
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let config = args.load_and_log(presumed.to_vec())?;
        if config.database.url.is_none() {
            return Err("database.url is not set: there is no audit log".into());
        }
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let store = Store::connect_existing(&config.database, Arc::new(SystemClock)).await?;
            match self.command {
                Command::Verify(_) => verify_log(&config, &store).await,
                Command::Export(export) => export_log(&export, &store).await,
            }
        })
    }
}

async fn verify_log(config: &Config, store: &Store) -> Outcome {
    store.require_current().await?;
    let keys = app::keys_to_verify(&config.secrets, store).await?;
    match verify(store, &keys, config.audit.retention).await? {
        Ok(found) => {
            let root: String = found.root.iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(say(&format!(
                "{} entries are as they were sealed, {} to {}\nroot {root}\n",
                found.entries, found.first_seq, found.last_seq
            ))?)
        }
        Err(altered) => Err(altered.to_string().into()),
    }
}

async fn export_log(export: &Export, store: &Store) -> Outcome {
    let filter = filter::parse(&export.filter)?;
    // A log that another version wrote is read as it is. Where nothing was ever made there is none to read.
    if !store.has_schema().await? {
        store.require_current().await?;
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut after = export.after;
    loop {
        let walk = Walk { ascending: true, after: Some(after), rows_max: ROWS_MAX };
        let rows = store.audit_page(&filter, walk).await?;
        let Some(last) = rows.last() else { break };
        after = last.seq;
        for row in &rows {
            if !is_read(writeln!(out, "{}", audit_line(row)))? {
                return Ok(());
            }
        }
    }
    is_read(out.flush())?;
    Ok(())
}
