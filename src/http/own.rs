//! The gateway's own endpoints. They stand in the same route table as the proxied bindings.

use http::{HeaderValue, Response, StatusCode, header};
use metrics::gauge;
use serde_json::{Value, json};

use super::{Server, audit_entries, body::Body};
use crate::{error::Result, gateway::Notes, schema::Captures, store::Health, upstream::BreakerState};

/// An endpoint that needs no upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Root,
    Live,
    Ready,
    Metrics,
    AuditEntries,
    ExportAuditEntries,
}

impl Own {
    /// Whether it only looks at the process, and is not worth an entry in the audit log.
    pub(super) fn is_probe(self) -> bool {
        matches!(self, Self::Root | Self::Live | Self::Ready | Self::Metrics)
    }
}

/// Their whole URL space.
pub(super) const ALL: [(&str, &str, Own); 8] = [
    ("GET", "/", Own::Root),
    ("GET", "/healthz", Own::Live),
    ("GET", "/readyz", Own::Ready),
    ("GET", "/metrics", Own::Metrics),
    ("GET", "/v1/auditEntries", Own::AuditEntries),
    ("GET", "/v1/{parent=projects/*}/auditEntries", Own::AuditEntries),
    ("GET", "/v1/auditEntries:export", Own::ExportAuditEntries),
    ("GET", "/v1/{parent=projects/*}/auditEntries:export", Own::ExportAuditEntries),
];

/// Answers a request to an endpoint of ours.
pub(super) async fn answer(
    own: Own,
    server: &Server,
    captures: &Captures<'_>,
    query: &str,
    notes: &mut Notes,
) -> Result<Response<Body>> {
    match own {
        Own::Root => Ok(root(server)),
        Own::Live => Ok(text("text/plain; charset=utf-8", "ok\n".to_owned())),
        Own::Ready => Ok(ready(server)),
        Own::Metrics => Ok(metrics(server)),
        Own::AuditEntries => audit_entries::list(server, captures, query, notes).await,
        Own::ExportAuditEntries => audit_entries::export(server, captures, query, notes).await,
    }
}

fn root(server: &Server) -> Response<Body> {
    super::json(&json!({
        "name": "causeway",
        "version": env!("CARGO_PKG_VERSION"),
        "startTime": server.about.started.to_string(),
        "links": ALL
            .iter()
            .map(|(_, path, _)| *path)
            .filter(|path| *path != "/" && !path.contains('{'))
            .collect::<Vec<_>>(),
    }))
}

/// Ready as long as the store is and we are not stopping. An upstream that is down is named, but the other upstreams can still be served,
/// so it takes no replica out of rotation.
fn ready(server: &Server) -> Response<Body> {
    let upstreams: Vec<Value> = server
        .gateway
        .upstreams()
        .iter()
        .map(|upstream| {
            let health = upstream.health();
            json!({
                "name": upstream.key(),
                "state": health.status.name(),
                "breaker": health.breaker.name(),
                "inFlight": health.in_flight,
                "endpointsUp": health.endpoints_up,
                "endpointsDown": health.endpoints_down,
            })
        })
        .collect();
    let stopping = server.soft.is_cancelled();
    let store = server.store.health();
    let status = match (stopping, store) {
        (true, _) => "STOPPING",
        (false, Health::Ready) => "READY",
        (false, Health::Away | Health::ClockJumped) => "NOT_READY",
    };
    let mut response = super::json(&json!({"status": status, "store": store.name(), "upstreams": upstreams}));
    if status != "READY" {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

fn metrics(server: &Server) -> Response<Body> {
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

fn text(kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
