//! The configuration: one section per file, read whole, checked at start, never re-read.
//!
//! Values come, in rising order of precedence, from what a command sets itself, a TOML file, `CAUSEWAY__SECTION__KEY`
//! in the environment, and `--set section.key=value`. They are merged as one TOML tree ([`source`]) and then read key by
//! key ([`section`]).
//!
//! What holds:
//! - Every mistake is reported at once, each with its key, where it came from, what was found and what is expected.
//! - An unknown key is a mistake; the nearest known one is named.
//! - A [`Config`] that a caller got from [`Loaded::into_config`] has passed every check: no component checks again.
//! - Secrets are [`Secret`], and nothing here prints one: not a message, not `Debug`, not [`Loaded::print`].
//! - This is the only module that reads the process environment, and it is handed the pairs: tests hand it a map.
//!
//! It deliberately opens no file but the configuration itself: certificates and descriptor sets are read by whoever
//! uses them. Relative paths are relative to the working directory, wherever they were written.

mod audit;
mod cache;
mod check;
mod cidr;
mod database;
mod endpoint;
mod forwarded;
mod host_name;
mod http;
mod identity;
mod limits;
mod operations;
mod problem;
mod redis;
mod schema;
mod secret;
mod secrets;
mod section;
mod setting;
mod source;
mod telemetry;
mod upstream_parts;
mod upstreams;
mod webhooks;

use std::collections::BTreeMap;

pub use self::audit::Audit;
pub use self::cache::Cache;
pub use self::cidr::Cidr;
pub use self::database::Database;
pub use self::endpoint::Endpoint;
pub use self::host_name::HostName;
pub use self::http::{Http, HttpTls};
pub use self::identity::{Algorithm, Grant, Identity, Issuer, Mode, Role};
pub use self::limits::{Limits, Rate};
pub use self::operations::Operations;
pub use self::problem::{Origin, Problem, Problems};
pub use self::redis::{Redis, RedisTls, RedisUrl};
pub use self::schema::Schema;
pub use self::secret::{Secret, SecretUrl};
pub use self::secrets::{Secrets, SecretsKey};
pub use self::source::{ENVIRONMENT_PREFIX, Sources, process_environment};
pub use self::telemetry::{Log, LogFormat, Telemetry};
pub use self::upstream_parts::{
    Breaker, ClientCertificate, Credentials, Retry, Token, UnknownFields, UpstreamTls,
};
pub use self::upstreams::{KNOWN_UPSTREAMS, KnownUpstream, Upstream};
pub use self::webhooks::Webhooks;

use self::section::Section;

/// Everything that can be set, typed and complete.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[http]`: where and how requests come in.
    pub http: Http,
    /// `[upstreams.<key>]`: the gRPC services behind the gateway, by key. One without a section is not called.
    pub upstreams: BTreeMap<String, Upstream>,
    /// `[schema]`: what is known about services beyond those built in.
    pub schema: Schema,
    /// `[identity]`: who may call.
    pub identity: Identity,
    /// `[limits]`: how much callers may ask for.
    pub limits: Limits,
    /// `[database]`: where records are kept.
    pub database: Database,
    /// `[audit]`: what is kept of requests.
    pub audit: Audit,
    /// `[operations]`: what takes long.
    pub operations: Operations,
    /// `[redis]`: what replicas share besides the database.
    pub redis: Redis,
    /// `[secrets]`: what encrypts and signs.
    pub secrets: Secrets,
    /// `[webhooks]`: where events may be pushed to.
    pub webhooks: Webhooks,
    /// `[cache]`: whether list pages are kept.
    pub cache: Cache,
    /// `[telemetry]`: what the process says about itself.
    pub telemetry: Telemetry,
}

/// What came of reading the sources.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration; a value that could not be read stands at its default, so use this only when
    /// [`Self::problems`] is empty, or to show what there is.
    pub config: Config,
    /// Every mistake.
    pub problems: Problems,
    /// What is set and has no effect, or is legal and doubtful: one sentence each.
    pub warnings: Vec<String>,
    effective: toml::Table,
}

impl Config {
    /// Reads all sources. Never fails: mistakes are in [`Loaded::problems`].
    pub fn load(sources: Sources) -> Loaded {
        let (tree, mut report) = sources.merge();
        let mut effective = toml::Table::new();
        let mut root = Section::root(tree, &mut report);
        let config = Self {
            http: root.section("http", Http::read),
            upstreams: root.section("upstreams", upstreams::read),
            schema: root.section("schema", Schema::read),
            identity: root.section("identity", Identity::read),
            limits: root.section("limits", Limits::read),
            database: root.section("database", Database::read),
            audit: root.section("audit", Audit::read),
            operations: root.section("operations", Operations::read),
            redis: root.section("redis", Redis::read),
            secrets: root.section("secrets", Secrets::read),
            webhooks: root.section("webhooks", Webhooks::read),
            cache: root.section("cache", Cache::read),
            telemetry: root.section("telemetry", Telemetry::read),
        };
        effective.extend(root.finish());
        check::across_sections(&config, &mut report);
        let (problems, warnings) = report.into_parts();
        Loaded { config, problems, warnings, effective }
    }
}

impl Loaded {
    /// Returns the configuration if it has no mistake.
    pub fn into_config(self) -> Result<Config, Problems> {
        if self.problems.is_empty() { Ok(self.config) } else { Err(self.problems) }
    }

    /// Prints every value in force, defaults too, as TOML with secrets hidden.
    pub fn print(&self) -> String {
        toml::to_string_pretty(&self.effective).expect("a table of plain values always prints")
    }
}

#[cfg(test)]
mod tests;
