//! What is counted per binding. Handles are made once and kept: counting a request touches no name.

use std::{sync::OnceLock, time::Duration};

use http::StatusCode;
use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, histogram};

/// The statuses we answer, the usual one first.
const STATUSES: [u16; 20] =
    [200, 404, 400, 204, 401, 403, 405, 409, 413, 414, 415, 422, 429, 431, 499, 500, 501, 502, 503, 504];

/// Says once what the numbers mean.
pub(super) fn describe() {
    describe_counter!("causeway_requests_total", "Requests answered, by binding, upstream and HTTP status.");
    describe_histogram!(
        "causeway_request_duration_seconds",
        metrics::Unit::Seconds,
        "Time from the request's head to the answer's."
    );
    describe_gauge!("causeway_requests_in_flight", "Requests whose answer is not yet sent in full.");
    describe_gauge!("causeway_connections_open", "Connections that clients have open.");
    describe_gauge!("causeway_upstream_in_flight", "Calls to an upstream that are under way.");
    describe_gauge!(
        "causeway_upstream_breaker_state",
        "Circuit breaker of an upstream: 0 closed, 1 half open, 2 open."
    );
}

/// The numbers of one binding. Each series appears with its first request.
#[derive(Debug)]
pub(super) struct BindingMetrics {
    binding: String,
    upstream: String,
    duration: OnceLock<Histogram>,
    answered: [OnceLock<Counter>; STATUSES.len()],
}

impl BindingMetrics {
    pub(super) fn new(binding: impl Into<String>, upstream: impl Into<String>) -> Self {
        Self {
            binding: binding.into(),
            upstream: upstream.into(),
            duration: OnceLock::new(),
            answered: Default::default(),
        }
    }

    /// Returns the binding's verb and template.
    pub(super) fn binding(&self) -> &str {
        &self.binding
    }

    /// Returns the upstream's key; empty for what we answer ourselves.
    pub(super) fn upstream(&self) -> &str {
        &self.upstream
    }

    /// Counts an answer.
    pub(super) fn record(&self, status: StatusCode, took: Duration) {
        match STATUSES.iter().position(|known| *known == status.as_u16()) {
            Some(index) => self.answered[index].get_or_init(|| self.counter(status)).increment(1),
            None => self.counter(status).increment(1),
        }
        self.duration.get_or_init(|| self.histogram()).record(took.as_secs_f64());
    }

    fn counter(&self, status: StatusCode) -> Counter {
        counter!(
            "causeway_requests_total",
            "binding" => self.binding.clone(),
            "upstream" => self.upstream.clone(),
            "status" => status.as_str().to_owned(),
        )
    }

    fn histogram(&self) -> Histogram {
        histogram!(
            "causeway_request_duration_seconds",
            "binding" => self.binding.clone(),
            "upstream" => self.upstream.clone(),
        )
    }
}
