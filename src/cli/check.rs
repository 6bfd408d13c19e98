//! `causeway check`: is the configuration right, and what would be served?

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use super::table::Table;
use super::{ConfigArgs, Outcome, live::Live, say};
use crate::{
    app,
    config::{Config, Endpoint, KNOWN_UPSTREAMS, Loaded, Problem},
    error::nearest,
    http::Listener,
    kv::Kv,
    schema::{Binding, Catalog, Effect, Method},
    transcode::Transcoder,
    upstream::Upstreams,
};

/// Checks the configuration and prints what would be served: every path, the gRPC method behind it, and what is known
/// about the method.
///
/// All mistakes are listed, not only the first. Nothing is listened on, and no upstream is called unless --live says so.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  causeway check --config causeway.toml
  causeway check --config causeway.toml --upstream datastream
  causeway check --config causeway.toml --print      the values in force, secrets hidden
  causeway check --config causeway.toml --live --project acme-data      one harmless read of each upstream

Columns: KIND is list, read (changes nothing) or mutation; LRO marks methods that start a long-running operation;
PERMISSION is what a caller will need.")]
pub(super) struct Check {
    /// Print the configuration in force as TOML instead, secrets hidden.
    #[arg(long)]
    print: bool,

    /// Print the routes of this upstream only, and call no other.
    #[arg(long, value_name = "KEY")]
    upstream: Option<String>,

    #[command(flatten)]
    live: Live,

    #[command(flatten)]
    config: ConfigArgs,
}

impl Check {
    pub(super) fn run(self) -> Outcome {
        let loaded = self.config.load(Vec::new());
        if self.print {
            say(&loaded.print())?;
            return Ok(loaded.into_config().map(drop)?);
        }
        let only = self.upstream.as_deref();
        let stranger = only.and_then(|only| stranger(only, &loaded));
        let is_known = stranger.is_none();
        let lacking = lacking(&loaded);
        let mut problems: Vec<String> =
            loaded.problems.0.iter().chain(&lacking).map(ToString::to_string).collect();
        problems.extend(stranger);
        let catalog = match app::catalog(&loaded.config) {
            Ok(catalog) => {
                problems.extend(
                    app::servable(&catalog, &Transcoder::new(&catalog.pool))
                        .err()
                        .into_iter()
                        .flat_map(|error| error.0),
                );
                Some(catalog)
            }
            Err(error) => {
                problems.extend(error.0);
                None
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        problems.extend(runtime.block_on(unusable(&loaded.config)));
        match &catalog {
            // Who cannot be started is not to be called either.
            Some(catalog) if self.live.is_wanted() && problems.is_empty() => {
                problems.extend(runtime.block_on(self.live.look(&loaded.config, catalog, only))?);
            }
            Some(catalog) if is_known => {
                say(&format!("{}{}", routes(catalog, only), upstreams(&loaded, catalog)))?;
            }
            _ => {}
        }
        let count = problems.len();
        match count {
            0 => Ok(()),
            _ => Err(format!(
                "{count} {} found:\n  - {}",
                if count == 1 { "problem" } else { "problems" },
                problems.join("\n  - ")
            )
            .into()),
        }
    }
}

/// Finds what keeps the gateway from listening, and upstreams or Redis from being called at all: certificates, keys and
/// tokens that cannot be read. Tells the first of each.
async fn unusable(config: &Config) -> Vec<String> {
    let listener = config.http.tls.as_ref().and_then(|tls| Listener::try_tls(tls).err());
    let upstreams = config.upstreams.iter().filter_map(|(key, section)| {
        let alone = BTreeMap::from([(key.clone(), section.clone())]);
        Upstreams::build(&alone, |_| Vec::new()).err()
    });
    let redis = config.redis.url.as_ref().and_then(|url| Kv::new(url, &config.redis.tls).err());
    listener.into_iter().chain(upstreams).chain(redis).map(|error| error.told()).collect()
}

/// Finds what a gateway would lack, unless the same was said already or a source that may have it cannot be read.
fn lacking(loaded: &Loaded) -> Option<Problem> {
    let lacking = loaded.config.lacks_to_serve()?;
    let is_said = loaded.problems.0.iter().any(|problem| problem.key == lacking.key);
    (!is_said && is_whole(loaded)).then_some(lacking)
}

/// Says that there is no upstream with this key, unless there is, or a source that may have it cannot be read.
fn stranger(only: &str, loaded: &Loaded) -> Option<String> {
    let known = KNOWN_UPSTREAMS.iter().filter(|known| known.served).map(|known| known.key);
    let keys: BTreeSet<&str> = known.chain(loaded.config.upstreams.keys().map(String::as_str)).collect();
    if keys.contains(only) || !is_whole(loaded) {
        return None;
    }
    let hint = nearest(only, keys.iter().copied()).map(|key| format!(" Did you mean {key}?"));
    let keys: Vec<&str> = keys.into_iter().collect();
    let (hint, keys) = (hint.unwrap_or_default(), keys.join(", "));
    Some(format!("--upstream {only}: there is no upstream of that name, only {keys}.{hint}"))
}

/// Whether every source could be read.
fn is_whole(loaded: &Loaded) -> bool {
    loaded.problems.0.iter().all(|problem| !problem.key.is_empty())
}

/// Prints one row for each path.
fn routes(catalog: &Catalog, only: Option<&str>) -> String {
    let mut table = Table::new(&["UPSTREAM", "VERB", "PATH", "METHOD", "KIND", "LRO", "PERMISSION"]);
    let methods = catalog.methods.iter().filter(|method| only.is_none_or(|key| *method.upstream == *key));
    let rows = methods.flat_map(|method| method.bindings.iter().map(move |binding| row(method, binding)));
    rows.for_each(|cells| table.row(cells));
    format!("{}\nEach path is also served below its upstream's key: /datastream/v1/…\n", table.print())
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
        short(&method.full_name).to_owned(),
        kind.to_owned(),
        method.long_running.as_ref().map(|_| "yes".to_owned()).unwrap_or_default(),
        method.permission.clone(),
    ]
}

/// Leaves the package out of a method's name: the path and the upstream say as much.
fn short(full_name: &str) -> &str {
    let mut dots = full_name.rmatch_indices('.').skip(1);
    dots.next().map_or(full_name, |(at, _)| &full_name[at + 1..])
}

/// Prints where the upstreams are, and what somebody should know about them.
fn upstreams(loaded: &Loaded, catalog: &Catalog) -> String {
    let mut table = Table::new(&["UPSTREAM", "ENDPOINT", "CREDENTIALS"]);
    for (key, upstream) in &loaded.config.upstreams {
        let endpoints: Vec<&str> = upstream.endpoints.iter().map(Endpoint::as_str).collect();
        table.row([key.clone(), endpoints.join(", "), upstream.credentials.kind().to_owned()]);
    }
    let mut keys: Vec<&str> = catalog.methods.iter().map(|method| &*method.upstream).collect();
    keys.dedup();
    for key in keys.into_iter().filter(|key| !loaded.config.upstreams.contains_key(*key)) {
        table.row([key.to_owned(), "no section: its paths answer 501".to_owned(), String::new()]);
    }
    let mut text = format!("\n{}", table.print());
    for note in loaded.warnings.iter().chain(&catalog.notes) {
        text.push_str(&format!("\nnote: {note}"));
    }
    text.push('\n');
    text
}
