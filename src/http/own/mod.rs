//! The gateway's own endpoints. They stand in the same route table as the proxied bindings, and in the same document:
//! what is written above each of them here is what its users read there.

mod docs;
mod health;
mod landing;
mod page;
mod spec;

use http::{HeaderValue, Response, header, request::Parts};
use metrics::gauge;
use utoipa::{OpenApi as _, openapi::OpenApi};

use super::{Server, body::Body, openapi};
use crate::{error::Result, schema::Captures, upstream::BreakerState};

pub(super) use self::spec::Spec;

/// An endpoint that needs no upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Root,
    Live,
    Ready,
    Metrics,
    Spec,
    Docs,
    DocsFile,
}

/// Their whole URL space.
pub(super) const ALL: [(&str, &str, Own); 7] = [
    ("GET", "/", Own::Root),
    ("GET", "/healthz", Own::Live),
    ("GET", "/readyz", Own::Ready),
    ("GET", "/metrics", Own::Metrics),
    ("GET", "/openapi.json", Own::Spec),
    ("GET", "/docs", Own::Docs),
    ("GET", "/docs/{file}", Own::DocsFile),
];

/// Describes them.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(landing::root, health::live, health::ready, metrics, spec::spec, docs::docs, docs::file),
    tags((name = openapi::GATEWAY, description = "The gateway itself: what it serves, and how it is doing."))
)]
struct OwnEndpoints;

/// Returns their description.
pub(super) fn document() -> OpenApi {
    OwnEndpoints::openapi()
}

pub(super) fn answer(
    own: Own,
    server: &Server,
    captures: &Captures<'_>,
    head: &Parts,
) -> Result<Response<Body>> {
    Ok(match own {
        Own::Root => landing::root(server, head),
        Own::Live => health::live(),
        Own::Ready => health::ready(server),
        Own::Metrics => metrics(server),
        Own::Spec => spec::spec(server, head),
        Own::Docs => docs::docs(head),
        Own::DocsFile => docs::file(captures, head)?,
    })
}

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_endpoint_is_described_and_no_other() {
        let described: BTreeSet<String> = document().paths.paths.keys().cloned().collect();
        let served: BTreeSet<String> = ALL.iter().map(|(_, path, _)| (*path).to_owned()).collect();
        assert_eq!(described, served);
    }
}
