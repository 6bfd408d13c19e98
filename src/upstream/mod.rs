//! The gRPC services behind the gateway: bytes go out, bytes or an [`Error`] come back.
//!
//! # Cast
//!
//! - [`Upstreams`]: one [`Upstream`] per section of the configuration.
//! - [`Call`] → [`Reply`], or → [`Streaming`]: one call and its answer. `attempt` walks it through the stages below.
//! - `limit` → `gate` around `breaker` → `endpoints` → `frame` → `status`, and `retry` around the last four: a place, leave
//!   to call, an endpoint, messages, the verdict, another try.
//! - `way` → `connector` → `tls`, `gathered` → `connection`: which connections of an endpoint there are, how one is made,
//!   what it writes together, and how calls take their streams of it. `pulse`: how many calls are on one, who waits, and
//!   whether anything was heard.
//! - `credentials` (`adc`, `token_file`), `metadata`, `deadline`: what a call carries. `failure`: what the caller
//!   is told when there is no answer. [`Health`]: what operators are told.
//!
//! # Invariants
//!
//! - One deadline is around everything: waiting for a place, connecting, every try. It travels as `grpc-timeout`.
//! - Only a call that its maker marks as harmless is sent twice, and only on `UNAVAILABLE`. A call that the upstream did not
//!   begin with is offered again, on another connection or to another endpoint: nothing was done.
//! - An answer of the upstream, even `UNAVAILABLE`, shows that it lives and never opens the breaker. Neither does a
//!   caller with little patience.
//! - What the caller reads names the upstream by its key, never by its address. Tokens are in no `Debug` and no log.
//! - A call that has no token waits for one within its deadline and holds up nobody else's; without one nothing is sent.
//! - No bytes of an upstream can make us panic, hang, or hold more than one message of the limit per call.
//!
//! # Not here
//!
//! Which method is harmless, what `x-goog-request-params` says and whose credential may be forwarded is decided by those
//! who know the method and the caller. Messages are opaque here. There are no metrics per call (`http` has them), no
//! service discovery, no client streams. HTTP/2 is the `h2` crate's, and nothing stands between it and a call: see
//! `connection` for why.

mod adc;
mod attempt;
mod backoff;
mod breaker;
mod call;
mod connection;
mod connector;
mod credentials;
mod deadline;
mod endpoints;
mod failure;
mod frame;
mod gate;
mod gathered;
mod health;
mod limit;
mod metadata;
mod pulse;
mod retry;
mod scrub;
mod status;
mod stream;
mod tls;
mod token_file;
mod upstreams;
mod way;

pub use self::breaker::BreakerState;
pub use self::call::{Call, Reply};
pub use self::deadline::Timeout;
pub use self::health::{Health, HealthStatus};
pub use self::status::raised_by;
pub use self::stream::Streaming;
pub use self::upstreams::Upstreams;

#[cfg(test)]
pub(crate) use self::status::failed_with;

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use self::backoff::Backoff;
use self::breaker::Breaker;
use self::credentials::Credentials;
use self::endpoints::Endpoints;
use self::gate::Gate;
use self::limit::Limit;
use self::retry::Retry;
use crate::config::Upstream as Section;
use crate::error::{Error, Result};

/// The first time that a breaker opens it does so for this share of `breaker.open_for`, which is the longest.
const OPEN_FIRST_SHARE: u32 = 8;

/// One gRPC service, or several behind one address.
#[derive(Debug)]
pub struct Upstream {
    key: String,
    deadline: Duration,
    message_size_max: usize,
    credentials: Credentials,
    quota_project: Option<HeaderValue>,
    /// Headers of the caller that go up too.
    forward_headers: Vec<HeaderName>,
    limit: Limit,
    gate: Gate,
    retry: Retry,
    endpoints: Endpoints,
}

impl Upstream {
    fn build(key: &str, config: &Section, scopes: Vec<String>) -> Result<Self> {
        let wrong = |(sub, why): (&str, String)| Error::invalid_field(format!("upstreams.{key}.{sub}"), why);
        let open_for = config.breaker.open_for;
        let breaker =
            Breaker::new(config.breaker.failures, Backoff::new(open_for / OPEN_FIRST_SHARE, open_for));
        Ok(Self {
            key: key.to_owned(),
            deadline: config.deadline,
            message_size_max: config.message_size_max,
            credentials: Credentials::new(&config.credentials, scopes).map_err(wrong)?,
            quota_project: config.quota_project.as_deref().map(project).transpose().map_err(wrong)?,
            forward_headers: config.forward_headers.clone(),
            limit: Limit::new(config.concurrency_max),
            gate: Gate::new(key, breaker),
            retry: Retry::new(&config.retry, fastrand::f64),
            endpoints: Endpoints::new(config).map_err(wrong)?,
        })
    }

    /// Returns the key of its section.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether what it answers may depend on headers of callers that the configuration names.
    pub fn is_given_headers(&self) -> bool {
        !self.forward_headers.is_empty()
    }

    /// Tells how it is doing. Calls nobody.
    pub fn health(&self) -> Health {
        let breaker = self.gate.state();
        let endpoints = self.endpoints.census();
        let status = if breaker != BreakerState::Closed {
            HealthStatus::BreakerOpen
        } else if self.credentials.are_missing() {
            HealthStatus::NoToken
        } else if endpoints.up > 0 {
            HealthStatus::Ready
        } else if endpoints.down > 0 {
            HealthStatus::ConnectFailed
        } else {
            HealthStatus::Unknown
        };
        Health {
            status,
            breaker,
            in_flight: self.limit.running(),
            in_flight_max: self.limit.running_max(),
            endpoints_up: endpoints.up,
            endpoints_down: endpoints.down,
        }
    }
}

fn project(name: &str) -> Result<HeaderValue, (&'static str, String)> {
    HeaderValue::from_str(name).map_err(|error| ("quota_project", error.to_string()))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]
mod tests;
