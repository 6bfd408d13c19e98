//! Is it alive, and should it be sent requests?

use http::{Response, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::text;
use crate::{
    http::{Server, body::Body, json, openapi},
    store::Health,
    upstream::Upstream,
};

/// Whether the gateway takes requests, and how its upstreams are.
#[derive(Serialize, ToSchema)]
#[schema(as = gateway::Readiness)]
pub(super) struct Readiness {
    /// `READY`; `STOPPING` once it was told to stop; `NOT_READY` while the store cannot be used.
    #[schema(example = "READY")]
    status: &'static str,
    /// The gateway's own database: `READY`, `AWAY`, or `CLOCK_JUMPED` while its clock and ours disagree.
    #[schema(example = "READY")]
    store: &'static str,
    /// Those that the configuration names, by key.
    upstreams: Vec<UpstreamHealth>,
}

/// How one upstream is.
#[derive(Serialize, ToSchema)]
#[schema(as = gateway::Upstream)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpstreamHealth {
    /// Its key in the configuration.
    #[schema(example = "datastream")]
    pub(super) name: String,
    /// `READY` if the last call got an answer; `UNKNOWN` before the first; `CONNECT_FAILED` if no endpoint could be
    /// reached; `BREAKER_OPEN` while calls are held back because the last ones failed.
    #[schema(example = "READY")]
    pub(super) state: &'static str,
    /// The circuit breaker: `closed`, `open` or `half_open`.
    #[schema(example = "closed")]
    breaker: &'static str,
    /// Calls that run now.
    #[schema(example = 0)]
    in_flight: usize,
    /// Endpoints that answered the last call sent to them.
    #[schema(example = 1)]
    endpoints_up: usize,
    /// Endpoints that could not be connected to.
    #[schema(example = 0)]
    endpoints_down: usize,
}

impl UpstreamHealth {
    pub(super) fn of(upstream: &Upstream) -> Self {
        let health = upstream.health();
        Self {
            name: upstream.key().to_owned(),
            state: health.status.name(),
            breaker: health.breaker.name(),
            in_flight: health.in_flight,
            endpoints_up: health.endpoints_up,
            endpoints_down: health.endpoints_down,
        }
    }
}

/// Tells whether the process is alive.
///
/// Answers as long as it can answer at all, whatever the upstreams do.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = openapi::GATEWAY,
    operation_id = "gateway.Live",
    responses((status = 200, description = "It is.", body = String, content_type = "text/plain", example = "ok\n"))
)]
pub(super) fn live() -> Response<Body> {
    text("text/plain; charset=utf-8", "ok\n".to_owned())
}

/// Tells whether the gateway should be sent requests.
///
/// It should, unless it is stopping or its store cannot be used. An upstream that is down is named, but the others can still be served, so it takes no
/// gateway out of rotation.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = openapi::GATEWAY,
    operation_id = "gateway.Ready",
    responses(
        (status = 200, description = "It should.", body = Readiness),
        (
            status = 503,
            description = "It is stopping, or its store cannot be used.",
            body = Readiness,
            example = json!({"status": "STOPPING", "store": "READY", "upstreams": []})
        )
    )
)]
pub(super) fn ready(server: &Server) -> Response<Body> {
    let stopping = server.soft.is_cancelled();
    let store = server.store.health();
    let status = match (stopping, store) {
        (true, _) => "STOPPING",
        (false, Health::Ready) => "READY",
        (false, Health::Away | Health::ClockJumped) => "NOT_READY",
    };
    let upstreams = server.gateway.upstreams().iter().map(|upstream| UpstreamHealth::of(upstream)).collect();
    let mut response = json(&Readiness { status, store: store.name(), upstreams });
    if status != "READY" {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
