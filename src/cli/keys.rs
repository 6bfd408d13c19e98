//! `causeway keys`: the first key, and all others, from a shell on a machine that reaches the database.

use std::sync::Arc;

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use tokio::runtime;

use super::{ConfigArgs, Outcome, say, table::Table};
use crate::{
    clock::SystemClock,
    config::Config,
    identity::keys::{Keys, NewKey},
    model::{Pattern, Role},
    store::Store,
};

/// Who is said to have made a key that was made here.
const MAKER: &str = "cli";
/// Keys that are read at a time.
const PAGE: u32 = 500;

/// Makes, lists and revokes API keys, in the database of the configuration.
///
/// A running gateway knows a new key at once, and a revoked one within five seconds.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  causeway keys create --config causeway.toml --principal alice --role editor --resources 'projects/acme-*'
  causeway keys list --config causeway.toml
  causeway keys revoke --config causeway.toml 4f0c9s8d7a6b")]
pub(super) struct KeysCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes a key and prints it, last, once and never again.
    Create(Create),
    /// Lists keys, the newest first. Their secrets are not kept, so they are not shown.
    List(List),
    /// Revokes a key, by its id: what stands between the first and the second underscore.
    Revoke(Revoke),
}

#[derive(Args, Debug)]
struct Create {
    /// Who will have it: the name in the audit log. Make a second key for the same name to replace the first without a
    /// gap.
    #[arg(long, value_name = "NAME")]
    principal: String,

    /// What its owner may do: viewer, operator, editor or admin.
    #[arg(long, value_parser = role)]
    role: Role,

    /// On which resources, and all below them; may be repeated. * means everything.
    #[arg(long, value_name = "PATTERN", required = true, num_args = 1.., value_delimiter = ',')]
    resources: Vec<Pattern>,

    /// When it ends by itself: a time such as 2030-01-31T00:00:00Z, or a number of days such as 90d.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,

    /// What it is for.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,

    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Args, Debug)]
struct List {
    /// Only the keys of this principal.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,

    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Args, Debug)]
struct Revoke {
    /// The key's id, or its name: apiKeys/{id}.
    id: String,

    #[command(flatten)]
    config: ConfigArgs,
}

impl KeysCommand {
    pub(super) fn run(self) -> Outcome {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        match self.verb {
            Verb::Create(create) => runtime.block_on(create.run()),
            Verb::List(list) => runtime.block_on(list.run()),
            Verb::Revoke(revoke) => runtime.block_on(revoke.run()),
        }
    }
}

impl Create {
    async fn run(self) -> Outcome {
        let keys = open(self.config, true).await?;
        let expires = self.expires.as_deref().map(|text| time(text, keys.now())).transpose()?;
        let new = NewKey {
            principal: self.principal,
            role: self.role,
            resources: self.resources,
            note: self.note,
            expires,
        };
        let (kept, key) = keys.create(new, MAKER).await?;
        let resources: Vec<&str> = kept.resources.iter().map(Pattern::as_str).collect();
        let ends = kept.expires.map(|time| format!(", until {time}")).unwrap_or_default();
        Ok(say(&format!(
            "apiKeys/{}: {} is {} on {}{ends}. The key, shown this once:\n{}\n",
            kept.id,
            kept.principal,
            kept.role.name(),
            resources.join(", "),
            key.expose()
        ))?)
    }
}

impl List {
    async fn run(self) -> Outcome {
        let keys = open(self.config, false).await?;
        let mut table =
            Table::new(&["ID", "PRINCIPAL", "ROLE", "RESOURCES", "STATE", "CREATED", "LAST USED", "NOTE"]);
        let shown = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        let mut after: Option<(Timestamp, String)> = None;
        loop {
            let position = after.as_ref().map(|(created, id)| (*created, id.as_str()));
            let page = keys.list(position, PAGE).await?;
            let now = keys.now();
            let wanted = |principal: &str| self.principal.as_deref().is_none_or(|only| only == principal);
            for key in page.iter().filter(|key| wanted(&key.principal)) {
                let state = match (key.revoked, key.is_live(now)) {
                    (Some(_), _) => "revoked",
                    (None, true) => "active",
                    (None, false) => "expired",
                };
                let resources: Vec<&str> = key.resources.iter().map(Pattern::as_str).collect();
                table.row([
                    key.id.clone(),
                    key.principal.clone(),
                    key.role.name().to_owned(),
                    resources.join(", "),
                    state.to_owned(),
                    key.created.to_string(),
                    shown(key.last_used),
                    key.note.clone(),
                ]);
            }
            after = page.last().map(|key| (key.created, key.id.clone()));
            if page.len() < PAGE as usize {
                return Ok(say(&table.print())?);
            }
        }
    }
}

impl Revoke {
    async fn run(self) -> Outcome {
        let id = self.id.strip_prefix("apiKeys/").unwrap_or(&self.id);
        if id.starts_with("cw_") {
            return Err(
                "this is a whole key; name it by its id, which stands after cw_, and no more of it".into()
            );
        }
        let keys = open(self.config, false).await?;
        match keys.revoke(id).await? {
            Some(key) => Ok(say(&format!("apiKeys/{} of {} is revoked\n", key.id, key.principal))?),
            None => Err(format!("there is no key with the id {id}").into()),
        }
    }
}

/// Opens the database of a configuration, one that is there already unless it may be made; who may call is none of its
/// business.
async fn open(args: ConfigArgs, may_make: bool) -> Result<Keys, Box<dyn std::error::Error + Send + Sync>> {
    let presumed = vec![("identity.mode".to_owned(), "keys".to_owned())];
    let config: Config = args.load(presumed).into_config()?;
    if config.database.url.is_none() {
        return Err("database.url is not set: keys are kept in a database".into());
    }
    let clock = Arc::new(SystemClock);
    let store = match may_make {
        true => Store::open(&config.database, clock).await?,
        false => Store::open_existing(&config.database, clock).await?,
    };
    Ok(Keys::new(store))
}

fn role(name: &str) -> Result<Role, String> {
    Role::find(name).ok_or_else(|| "expected viewer, operator, editor or admin".to_owned())
}

fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong =
        || format!("--expires {text}: expected a time such as 2030-01-31T00:00:00Z, or days such as 90d");
    match text.strip_suffix('d').map(str::parse::<u32>) {
        Some(Ok(days)) => {
            now.checked_add(SignedDuration::from_hours(i64::from(days) * 24)).map_err(|_| wrong())
        }
        _ => text.parse().map_err(|_| wrong()),
    }
}
