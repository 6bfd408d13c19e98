//! The numbers of the process.

use http::Response;
use metrics::gauge;

use super::text;
use crate::{
    http::{Server, body::Body, openapi},
    upstream::BreakerState,
};

/// Tells the numbers.
///
/// Requests, latencies and upstreams, in the text format that Prometheus reads.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = openapi::GATEWAY,
    operation_id = "gateway.Metrics",
    responses((
        status = 200,
        description = "The numbers.",
        body = String,
        content_type = "text/plain",
        example = "causeway_requests_in_flight 1\n"
    ))
)]
pub(super) fn metrics(server: &Server) -> Response<Body> {
    for upstream in server.gateway.upstreams().iter() {
        let health = upstream.health();
        let key = upstream.key().to_owned();
        gauge!("causeway_upstream_in_flight", "upstream" => key.clone()).set(health.in_flight as f64);
        let breaker = match health.breaker {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        };
        gauge!("causeway_upstream_breaker_state", "upstream" => key).set(breaker);
    }
    text("text/plain; version=0.0.4; charset=utf-8", (server.about.metrics)())
}
