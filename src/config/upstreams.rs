//! `[upstreams.<key>]`: the gRPC services behind the gateway.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use ::http::HeaderName;

use super::endpoint::Endpoint;
use super::forwarded;
use super::section::Section;
use super::setting::Size;
use super::upstream_parts::{Breaker, Credentials, Retry, UnknownFields, UpstreamTls, read_credentials};

/// An upstream that needs no `services`: its descriptors are part of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownUpstream {
    /// The key of its section and its path prefix.
    pub key: &'static str,
    /// Where it listens when no endpoint is set.
    pub endpoint: Option<&'static str>,
    /// Whether this version has its descriptors.
    pub served: bool,
}

/// The upstreams that are known by name.
pub const KNOWN_UPSTREAMS: [KnownUpstream; 4] = [
    KnownUpstream {
        key: "bigqueryconnection",
        endpoint: Some("https://bigqueryconnection.googleapis.com"),
        served: true,
    },
    KnownUpstream { key: "datastream", endpoint: Some("https://datastream.googleapis.com"), served: true },
    KnownUpstream { key: "spanner", endpoint: Some("https://spanner.googleapis.com"), served: true },
    KnownUpstream { key: "flyte", endpoint: None, served: true },
];

/// The longest key, in characters.
const KEY_CHARS_MAX: usize = 63;

/// The longest project, in characters: an id of 30 behind a domain of 253 and a colon.
const PROJECT_CHARS_MAX: usize = 284;

/// Keys that would hide our own paths.
const RESERVED: [&str; 7] = ["v1", "healthz", "readyz", "metrics", "docs", "openapi", "google"];

/// One upstream.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// `endpoint`: one URL or several, balanced. Never empty.
    pub endpoints: Vec<Endpoint>,
    /// `credentials`, `token`, `token_file`: what is shown to the upstream. Default none.
    pub credentials: Credentials,
    /// `poll_credentials`: what is shown when operations are looked after and no caller is there, with
    /// `credentials = "caller"`. Without it nothing is looked after.
    pub poll_credentials: Option<Credentials>,
    /// `quota_project`: the project whose quota calls use and which is billed for them. Default what the credential
    /// says. With `credentials = "caller"` the caller's own word wins.
    pub quota_project: Option<String>,
    /// `services`: full names, e.g. `acme.v1.Library`. Empty for a known upstream, which brings its own, and where
    /// `service_config` names them.
    pub services: Vec<String>,
    /// `service_config`: a service YAML with further rules.
    pub service_config: Option<PathBuf>,
    /// `unknown_fields`: what becomes of a field or parameter that the message does not have. Default reject.
    pub unknown_fields: UnknownFields,
    /// `locations`: what `-` stands for where the upstream cannot list its locations.
    pub locations: Vec<String>,
    /// `forward_headers`: names of headers that go up as callers send them, beside those that always do. Default none.
    pub forward_headers: Vec<HeaderName>,
    /// `primary`: wins the bare path when two upstreams claim the same template. Default false.
    pub primary: bool,
    /// `deadline`: the longest a call may take; a caller can only shorten it. Default 60 s.
    pub deadline: Duration,
    /// `connect_timeout`: the longest a connection may take to be made. Default 5 s.
    pub connect_timeout: Duration,
    /// `message_size_max`: the largest message in bytes, either way. Default 64 MiB.
    pub message_size_max: usize,
    /// `concurrency_max`: calls in flight at once; a few more wait, others are refused. Default 1024.
    pub concurrency_max: usize,
    /// `calls_per_minute`: the quota of the gateway there, of which looking after operations takes a share. Default 1200.
    pub calls_per_minute: u32,
    /// `tls`: how the upstream and the gateway prove to each other who they are.
    pub tls: UpstreamTls,
    /// `allow_clear_text`: whether credentials may travel to an `http://` endpoint that is not this machine. Default
    /// false.
    pub allow_clear_text: bool,
    /// `retry`: when a failed call is tried again.
    pub retry: Retry,
    /// `breaker`: when a failing upstream is left alone.
    pub breaker: Breaker,
}

/// Reads every section below `[upstreams]`.
pub(super) fn read(s: &mut Section<'_>) -> BTreeMap<String, Upstream> {
    s.keys().into_iter().map(|key| (key.clone(), read_one(s, &key))).collect()
}

fn read_one(s: &mut Section<'_>, key: &str) -> Upstream {
    if let Some(why) = wrong_key(key) {
        s.wrong(key, why);
    }
    let known = KNOWN_UPSTREAMS.iter().find(|known| known.key == key);
    let upstream = s.section(key, |s| Upstream::read(s, known));
    if known.is_some() && !upstream.has_services(key) {
        s.warn(key, "no services of this upstream are known yet, so nothing is routed to it");
    }
    upstream
}

fn wrong_key(key: &str) -> Option<String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if key.len() > KEY_CHARS_MAX
        || !key.starts_with(|c: char| c.is_ascii_lowercase())
        || !key.chars().all(legal)
    {
        return Some(format!(
            "an upstream's key is also its path prefix: a lower-case letter, then at most {} of a-z, 0-9, _ and -",
            KEY_CHARS_MAX - 1
        ));
    }
    RESERVED.contains(&key).then(|| format!("/{key} is a path of the gateway itself; choose another key"))
}

impl Upstream {
    /// Says whether anything is known that the upstream, with this key, could serve. One that has nothing is a known
    /// upstream whose descriptors this version lacks, or another that names no services, which is a mistake.
    pub fn has_services(&self, key: &str) -> bool {
        !self.services.is_empty()
            || self.service_config.is_some()
            || KNOWN_UPSTREAMS.iter().any(|known| known.key == key && known.served)
    }

    fn read(s: &mut Section<'_>, known: Option<&KnownUpstream>) -> Self {
        let endpoints = read_endpoints(s, known);
        let (credentials, poll_credentials) = read_credentials(s);
        let no_services = s.names_nothing("services");
        let upstream = Self {
            credentials,
            poll_credentials,
            quota_project: read_quota_project(s),
            services: s.value("services", Vec::new()),
            service_config: s.optional("service_config"),
            unknown_fields: s.value("unknown_fields", UnknownFields::Reject),
            locations: s.value("locations", Vec::new()),
            forward_headers: forwarded::read(s),
            primary: s.value("primary", false),
            deadline: s.bounded(
                "deadline",
                Duration::from_secs(60),
                Duration::from_millis(10)..=Duration::from_secs(3600),
            ),
            connect_timeout: s.bounded(
                "connect_timeout",
                Duration::from_secs(5),
                Duration::from_millis(10)..=Duration::from_secs(60),
            ),
            message_size_max: s.bounded("message_size_max", Size::mib(64), Size::kib(1)..=Size::mib(1024)).0,
            calls_per_minute: s.bounded("calls_per_minute", 1200, 1..=10_000_000),
            concurrency_max: s.bounded("concurrency_max", 1024, 1..=1_000_000),
            tls: s.section("tls", UpstreamTls::read),
            allow_clear_text: s.value("allow_clear_text", false),
            retry: s.section("retry", Retry::read),
            breaker: s.section("breaker", Breaker::read),
            endpoints,
        };
        if known.is_none() && no_services {
            s.wrong(
                "services",
                r#"missing; name what the upstream serves, e.g. services = ["acme.v1.Library"]"#,
            );
        }
        upstream.look_twice(s);
        upstream
    }

    /// Refuses to give away credentials, and points out what is legal and probably not meant.
    fn look_twice(&self, s: &mut Section<'_>) {
        let whose = match &self.credentials {
            Credentials::Token(_) | Credentials::Adc => Some("the gateway's own credential"),
            Credentials::Caller => Some("callers' credentials"),
            Credentials::None => None,
        };
        let open = self.endpoints.iter().find(|endpoint| !endpoint.is_tls() && !endpoint.is_loopback());
        match whose.zip(open) {
            Some((whose, open)) if self.allow_clear_text => {
                s.warn("endpoint", &format!("{whose} will travel in clear text to {open}"));
            }
            Some((whose, open)) => s.wrong(
                "endpoint",
                format!(
                    "{whose} would travel in clear text to {open}; use https://, a proxy on loopback that does, or allow_clear_text = true where the network itself encrypts"
                ),
            ),
            None => {}
        }
        let encrypted = self.endpoints.iter().any(Endpoint::is_tls);
        if !encrypted && self.tls != UpstreamTls::default() {
            s.warn("tls", "has no effect: no endpoint is https://");
        }
    }
}

fn read_endpoints(s: &mut Section<'_>, known: Option<&KnownUpstream>) -> Vec<Endpoint> {
    let public = known.and_then(|known| known.endpoint);
    let default: Vec<Endpoint> = public
        .map(|url| Endpoint::parse(url).expect("the table of known upstreams holds URLs"))
        .into_iter()
        .collect();
    let nothing = toml::Value::Array(Vec::new());
    if s.is(&nothing, "endpoint") || (default.is_empty() && !s.is_set("endpoint")) {
        s.wrong(
            "endpoint",
            r#"missing; say where the upstream listens, e.g. endpoint = "http://127.0.0.1:9090""#,
        );
    }
    s.value("endpoint", default)
}

fn read_quota_project(s: &mut Section<'_>) -> Option<String> {
    let project: String = s.optional("quota_project")?;
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if project.len() > PROJECT_CHARS_MAX || !project.chars().all(legal) {
        s.wrong("quota_project", "expected the id or the number of a project, e.g. \"acme-data\"");
        return None;
    }
    Some(project)
}
