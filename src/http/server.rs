//! What all requests share, and what is done with each of them at the end.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Response, StatusCode, request};
use jiff::Timestamp;
use metrics::{Gauge, gauge};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    body::Body,
    details::Details,
    edge::{Exchange, body::Bodies, request_id, seats::Seats, share::Shares},
    error::{self, Style},
    in_flight::Unread,
    limits::{UNREAD_BYTES_MAX, WATCHERS_MAX},
    metrics::{self as numbers, BindingMetrics},
    own::{self, Own, Spec},
    repeats::Repeats,
    status,
};
use crate::{
    audit::{Recorder, Sealer},
    config::{self, Cidr, HostName},
    crypto,
    error::{Code, Error, Reason, Result},
    gateway::{Gateway, Notes, Route},
    identity::{Identity, Limits},
    model::{Ending, Outcome},
    operations::Desk,
    schema::{RouteTable, Template},
    store::{Health, Store},
    transcode::System,
    webhooks::Endpoints,
};

/// Everything that answering needs.
pub struct Server {
    pub(super) gateway: Gateway,
    pub(super) store: Store,
    pub(super) audit: Audit,
    pub(super) operations: Arc<Desk>,
    pub(super) routes: RouteTable<Target>,
    pub(super) about: About,
    pub(super) identity: Arc<Identity>,
    pub(super) limits: Arc<Limits>,
    pub(super) webhooks: Endpoints,
    /// The `RateLimit-Policy` of answers that only a principal is counted for, and of those that a project is too.
    pub(super) policies: [HeaderValue; 2],
    /// Places for requests that are worked on.
    pub(super) places: Semaphore,
    pub(super) trusted_proxies: Vec<Cidr>,
    /// Names that are ours while nobody is asked who they are; `None` where a certificate says who we are.
    pub(super) hosts: Option<Vec<HostName>>,
    pub(super) soft: CancellationToken,
    pub(super) in_flight: Gauge,
    /// Answers that nobody takes: of those who are known, and of all others.
    pub(super) unread: [Arc<Unread>; 2],
    pub(super) bodies: Arc<Bodies>,
    /// What of the places each principal has.
    pub(super) shares: Shares,
    /// Places for those who watch.
    pub(super) seats: Seats,
    pub(super) body_bytes_max: usize,
    pub(super) request_timeout: Duration,
    pub(super) details: Details,
    /// Made when it is first asked for.
    pub(super) spec: OnceLock<Spec>,
    unrouted: BindingMetrics,
    failures: Repeats,
}

/// What others built for it.
pub struct Parts {
    /// What is behind the gateway.
    pub gateway: Gateway,
    /// The database.
    pub store: Store,
    /// Who calls.
    pub identity: Identity,
    /// How much of it.
    pub limits: Arc<Limits>,
    /// What the audit log needs.
    pub audit: Audit,
    /// What takes long.
    pub operations: Desk,
    /// Who is told what.
    pub webhooks: Endpoints,
    /// What is known of the process.
    pub about: About,
}

/// What our own endpoints tell about the process.
pub struct About {
    /// When it started.
    pub started: Timestamp,
    /// Prints all metrics in the Prometheus text format.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
}

/// What the audit log needs of `http`.
pub struct Audit {
    /// Keeps what changed nothing.
    pub recorder: Recorder,
    /// Brings the log up to date for whoever reads it.
    pub sealer: Sealer,
    /// Authenticates page tokens.
    pub tokens: crypto::Sealer,
    /// Its section of the configuration.
    pub config: config::Audit,
}

/// What is bound to a verb and a path.
pub(super) enum Target {
    /// An endpoint of ours.
    Own(Own, Box<BindingMetrics>),
    /// A method of an upstream.
    Proxied(Arc<Proxied>),
}

impl Target {
    fn numbers(&self) -> &BindingMetrics {
        match self {
            Self::Own(_, numbers) => numbers,
            Self::Proxied(proxied) => &proxied.numbers,
        }
    }
}

impl Server {
    /// Fills the route table: every binding of the catalog, then our own endpoints. `soft` tells when to stop.
    ///
    /// # Errors
    /// Two bindings claim one path, or one does not fit its method: a sentence for each.
    pub fn new(
        parts: Parts,
        config: &config::Http,
        bounds: &config::Limits,
        soft: CancellationToken,
    ) -> Result<Self, Vec<String>> {
        numbers::describe();
        let Parts { gateway, store, identity, limits, audit, operations, webhooks, about } = parts;
        let policy = |both| HeaderValue::try_from(limits.policy(both)).expect("names and numbers are plain");
        Ok(Self {
            routes: routes(&gateway)?,
            details: Details::new(gateway.transcoder()),
            gateway,
            store,
            audit,
            operations: Arc::new(operations),
            policies: [policy(false), policy(true)],
            identity: Arc::new(identity),
            limits,
            webhooks,
            places: Semaphore::new(bounds.concurrency_max),
            trusted_proxies: config.trusted_proxies.clone(),
            hosts: config.tls.is_none().then(|| config.hosts.clone()),
            about,
            soft,
            in_flight: gauge!("causeway_requests_in_flight"),
            unread: UNREAD_BYTES_MAX.map(Unread::new),
            bodies: Arc::new(Bodies::new()),
            shares: Shares::new(bounds.concurrency_max),
            seats: Seats::new(WATCHERS_MAX),
            body_bytes_max: config.body_size_max,
            request_timeout: config.request_timeout,
            spec: OnceLock::new(),
            unrouted: BindingMetrics::new("", ""),
            failures: Repeats::default(),
        })
    }

    /// Prints an error as the caller reads it, and logs its cause if it is ours to mend.
    pub(super) fn refuse(&self, error: &Error, head: &request::Parts, exchange: &Exchange) -> Response<Body> {
        self.log(error, exchange);
        if own::grpc::is_call(head) {
            return own::grpc::refusal(error);
        }
        let style = head.uri.query().map_or_else(Style::default, style);
        let envelope = error::envelope(error, exchange.id(), style, |detail| self.details.print(detail));
        error::response(error, envelope)
    }

    pub(super) fn log(&self, error: &Error, exchange: &Exchange) {
        let status = status::of(error).as_u16();
        let ours = error.reason().is_some_and(|reason| reason != Reason::UpstreamNotConfigured);
        // A cause is what the caller is not told: such as an upstream's stack trace.
        let is_failure = status >= 500 && (ours || std::error::Error::source(error).is_some());
        let id = exchange.id();
        if !is_failure {
            return tracing::debug!(request.id = id, status, error = error.told(), "a request was refused");
        }
        let words = error.told();
        match self.failures.may_say(&words, Instant::now()) {
            Some(0) => tracing::warn!(request.id = id, status, error = words, "a request failed"),
            Some(alike) => {
                tracing::warn!(
                    request.id = id,
                    status,
                    error = words,
                    alike,
                    "a request failed, as others did before"
                );
            }
            None => tracing::debug!(request.id = id, status, error = words, "a request failed"),
        }
    }

    /// Counts an answer to what could not be read, and returns its id. There is nobody and nothing that the audit log could
    /// name.
    pub(super) fn note_unread(&self, status: u16) -> HeaderValue {
        let id = request_id::of(&HeaderMap::new(), self.store.now());
        self.unrouted.record(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), Duration::ZERO);
        tracing::debug!(request.id = id.to_str().unwrap_or_default(), status, "a request cannot be read");
        id
    }

    /// Counts an answer.
    pub(super) fn note(&self, reached: Option<&Target>, exchange: &Exchange, status: StatusCode) {
        let numbers = reached.map_or(&self.unrouted, Target::numbers);
        let took = exchange.arrived.elapsed();
        numbers.record(status, took);
        tracing::debug!(
            request.id = exchange.id(),
            route = numbers.binding(),
            upstream = numbers.upstream(),
            status = status.as_u16(),
            latency_ms = took.as_secs_f64() * 1e3,
            "answered"
        );
    }
}

pub(super) fn style(query: &str) -> Style {
    let system = System::parse_lenient(query);
    Style { pretty: system.pretty, legacy: system.error_v1 }
}

impl Server {
    /// Gives a request to the audit log, unless the journal has it or it only looked at the process.
    pub(super) fn record(
        &self,
        reached: Option<&Target>,
        notes: Notes,
        status: StatusCode,
        failure: Option<&Error>,
    ) {
        let probe = matches!(reached, Some(Target::Own(own, _)) if own.is_probe());
        let unwanted = failure.is_none() && !self.audit.config.reads;
        if notes.journaled || probe || unwanted {
            return;
        }
        let ending = match failure.map(Error::code) {
            None => Ending::Success,
            Some(Code::Unauthenticated | Code::PermissionDenied) => Ending::Denied,
            Some(_) => Ending::Error,
        };
        let outcome = Outcome {
            ending,
            status: status.as_u16(),
            code: failure.map_or(0, |error| error.code().number()),
            reason: failure
                .and_then(Error::reason)
                .map(|reason| reason.name().to_owned())
                .unwrap_or_default(),
            latency_us: u64::try_from(notes.arrived.elapsed().as_micros()).unwrap_or(u64::MAX),
            replayed: notes.replayed,
            ..Outcome::default()
        };
        self.audit.recorder.record(notes.entry, outcome);
    }

    /// Refuses what changes nothing while the audit log cannot be written, where that is wanted.
    pub(super) fn require_audit(&self) -> Result<()> {
        if self.audit.config.reads_without_store || self.store.health() != Health::Away {
            return Ok(());
        }
        let text = "The audit log cannot be written, and reads are not answered without it. Try again later.";
        Err(Error::new(Code::Unavailable, Reason::AuditUnavailable, text)
            .with_retry_after(Duration::from_secs(2)))
    }
}

/// One binding and its numbers.
pub(super) struct Proxied {
    pub(super) route: Arc<Route>,
    numbers: BindingMetrics,
}

fn routes(gateway: &Gateway) -> Result<RouteTable<Target>, Vec<String>> {
    let methods = &gateway.catalog().methods;
    let trespasses = gateway.catalog().trespasses(own_paths());
    let mut problems: Vec<String> = trespasses.iter().map(ToString::to_string).collect();
    // A binding is in the table under several paths; it is one binding all the same.
    let mut made: HashMap<(usize, usize), Arc<Proxied>> = HashMap::new();
    for (m, method) in methods.iter().enumerate() {
        for (b, binding) in method.bindings.iter().enumerate() {
            match gateway.route(method, binding) {
                Ok(route) => {
                    let numbers = BindingMetrics::new(&*route.label, &*route.upstream_key);
                    made.insert((m, b), Arc::new(Proxied { route: Arc::new(route), numbers }));
                }
                Err(error) => problems.push(format!("{}: {}", method.full_name, error.told())),
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut table = gateway
        .catalog()
        .routes(|m, b| Target::Proxied(made[&(m, b)].clone()))
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    for (verb, path, own) in endpoints() {
        let numbers = BindingMetrics::new(format!("{verb} {path}"), "");
        let free = table.insert(verb, &template(path), Target::Own(own, Box::new(numbers))).is_ok();
        debug_assert!(free, "who trespasses is told apart above as the table tells places apart");
    }
    Ok(table)
}

/// Returns the endpoints of the gateway itself.
fn endpoints() -> impl Iterator<Item = (&'static str, &'static str, Own)> {
    let rpcs = own::grpc::ALL.map(|(path, rpc)| ("POST", path, Own::Grpc(rpc)));
    own::ALL.iter().copied().chain(rpcs)
}

/// Returns the verbs and paths that are the gateway's own, which no upstream may have.
pub fn own_paths() -> impl Iterator<Item = (&'static str, Template)> {
    endpoints().map(|(verb, path, _)| (verb, template(path)))
}

fn template(path: &str) -> Template {
    path.parse().expect("our own templates are well formed")
}
