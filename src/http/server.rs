//! What all requests share, and what is done with each of them at the end.

use std::{sync::Arc, time::Duration};

use http::{Response, StatusCode, request::Parts};
use metrics::{Gauge, gauge};
use tokio_util::sync::CancellationToken;

use super::{
    body::Body,
    details::Details,
    edge::Exchange,
    error::{self, Style},
    metrics::{self as numbers, BindingMetrics},
    own::{self, Own},
    status,
};
use crate::{
    config,
    error::{Error, Reason, Result},
    gateway::{Gateway, Route},
    schema::{RouteTable, Template},
    telemetry::Metrics,
    transcode::System,
};

/// Everything that answering needs.
pub struct Server {
    pub(super) gateway: Arc<Gateway>,
    pub(super) routes: RouteTable<Target>,
    pub(super) metrics: Metrics,
    pub(super) soft: CancellationToken,
    pub(super) in_flight: Gauge,
    pub(super) body_bytes_max: usize,
    pub(super) request_timeout: Duration,
    pub(super) details: Details,
    unrouted: BindingMetrics,
}

/// What is bound to a verb and a path.
pub(super) enum Target {
    /// An endpoint of ours.
    Own(Own, BindingMetrics),
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
    /// Two bindings claim one path, or one does not fit its method; all such problems are named.
    pub fn new(
        gateway: Arc<Gateway>,
        config: &config::Http,
        metrics: Metrics,
        soft: CancellationToken,
    ) -> Result<Self> {
        numbers::describe();
        Ok(Self {
            routes: routes(&gateway)?,
            details: Details::new(gateway.transcoder()),
            gateway,
            metrics,
            soft,
            in_flight: gauge!("causeway_requests_in_flight"),
            body_bytes_max: config.body_size_max,
            request_timeout: config.request_timeout,
            unrouted: BindingMetrics::new("", ""),
        })
    }

    /// Prints an error as the caller reads it, and logs its cause if it is ours to mend.
    pub(super) fn refuse(&self, error: &Error, head: &Parts, exchange: &Exchange) -> Response<Body> {
        self.log(error, exchange);
        let style = head.uri.query().map_or_else(Style::default, style);
        let envelope = error::envelope(error, exchange.id(), style, |detail| self.details.print(detail));
        error::response(error, envelope)
    }

    pub(super) fn log(&self, error: &Error, exchange: &Exchange) {
        let status = status::of(error).as_u16();
        let ours = error.reason().is_some_and(|reason| reason != Reason::UpstreamNotConfigured);
        if ours && status >= 500 {
            tracing::warn!(request.id = exchange.id(), status, error = error.chain(), "a request failed");
        } else {
            tracing::debug!(request.id = exchange.id(), status, error = error.chain(), "a request was refused");
        }
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

/// One binding and its numbers.
pub(super) struct Proxied {
    pub(super) route: Route,
    numbers: BindingMetrics,
}

fn routes(gateway: &Gateway) -> Result<RouteTable<Target>> {
    let mut table = gateway
        .catalog()
        .routes(|method, binding| unimplemented!())
        .map_err(|problems| Error::internal(format!("{problems:?}")))?;
    for (verb, path, own) in own::ALL {
        let template: Template = path.parse().expect("our own templates are well formed");
        let numbers = BindingMetrics::new(format!("{verb} {path}"), "");
        if table.insert(verb, &template, Target::Own(own, numbers)).is_err() {
            return Err(Error::internal(format!("{verb} {path} is ours; an upstream's binding claims it too")));
        }
    }
    Ok(table)
}
