//! `causeway check`: is the configuration right, and what would be served?

use clap::Args;

use super::table::Table;
use super::{ConfigArgs, Outcome, say};
use crate::{
    app,
    config::Loaded,
    schema::{Binding, Catalog, Effect, Method},
};

/// Checks the configuration and prints what would be served: every path, the gRPC method behind it, and what is known
/// about the method.
///
/// All mistakes are listed, not only the first. Nothing is listened on and no upstream is called.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  causeway check --config causeway.toml
  causeway check --config causeway.toml --upstream datastream
  causeway check --config causeway.toml --print      the values in force, secrets hidden

Columns: KIND is list, read (changes nothing) or mutation; LRO marks methods that start a long-running operation;
PERMISSION is what a caller will need. A line without an upstream's section in the configuration answers 501.")]
pub(super) struct Check {
    /// Print the configuration in force as TOML instead, secrets hidden.
    #[arg(long)]
    print: bool,

    /// Print the routes of this upstream only.
    #[arg(long, value_name = "KEY")]
    upstream: Option<String>,

    #[command(flatten)]
    config: ConfigArgs,
}

impl Check {
    pub(super) fn run(self) -> Outcome {
        let loaded = self.config.load(Vec::new());
        if self.print {
            say(&loaded.print())?;
        } else {
            let catalog = app::catalog(&loaded.config);
            if let Ok(catalog) = &catalog {
                say(&routes(catalog, self.upstream.as_deref()))?;
                say(&notes(&loaded, catalog))?;
            }
            if let (Err(error), true) = (catalog, loaded.problems.is_empty()) {
                return Err(error.into());
            }
        }
        loaded.into_config()?;
        Ok(())
    }
}

/// Prints one row for each path.
fn routes(catalog: &Catalog, only: Option<&str>) -> String {
    let mut table = Table::new(&["UPSTREAM", "VERB", "PATH", "METHOD", "KIND", "LRO", "PERMISSION"]);
    let mut paths = 0;
    let methods = catalog.methods.iter().filter(|method| only.is_none_or(|key| *method.upstream == *key));
    for method in methods {
        for binding in &method.bindings {
            paths += 1;
            table.row(row(method, binding));
        }
    }
    format!("{}\n{paths} paths, each also below its upstream's key: /datastream/v1/… \n", table.print())
}

fn row(method: &Method, binding: &Binding) -> [String; 7] {
    let kind = match (&method.list, method.effect) {
        (Some(_), Effect::ReadOnly) => "list",
        (_, Effect::ReadOnly) => "read",
        (_, Effect::Mutation) => "mutation",
    };
    [
        method.upstream.to_string(),
        binding.verb.clone(),
        binding.template.to_string(),
        method.full_name.clone(),
        kind.to_owned(),
        method.long_running.as_ref().map(|_| "yes".to_owned()).unwrap_or_default(),
        method.permission.clone(),
    ]
}

/// Prints which upstreams are configured, and what somebody should know.
fn notes(loaded: &Loaded, catalog: &Catalog) -> String {
    let mut text = String::new();
    let mut table = Table::new(&["UPSTREAM", "ENDPOINT", "CREDENTIALS"]);
    for (key, upstream) in &loaded.config.upstreams {
        let endpoints: Vec<&str> = upstream.endpoints.iter().map(crate::config::Endpoint::as_str).collect();
        table.row([key.clone(), endpoints.join(", "), upstream.credentials.kind().to_owned()]);
    }
    if !loaded.config.upstreams.is_empty() {
        text.push_str(&format!("\n{}", table.print()));
    }
    for note in loaded.warnings.iter().chain(&catalog.notes) {
        text.push_str(&format!("\nnote: {note}"));
    }
    if !loaded.warnings.is_empty() || !catalog.notes.is_empty() {
        text.push('\n');
    }
    text
}
