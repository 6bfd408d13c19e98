//! The front door: what this is, for people and for programs.

use std::fmt::Write as _;

use http::{HeaderValue, Response, header, request::Parts};
use serde::Serialize;
use utoipa::ToSchema;

use super::{health::UpstreamHealth, page, page::escape};
use crate::{
    http::{Server, body::Body, json, negotiate, openapi},
    schema::{Catalog, Method},
};

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = include_str!("landing.html");

/// Where one can go from here.
const LINKS: &[&str] = &["/docs", "/openapi.json", "/healthz", "/readyz", "/metrics"];

/// What this is.
#[derive(Serialize, ToSchema)]
#[schema(as = gateway::About)]
#[serde(rename_all = "camelCase")]
pub(super) struct About {
    /// `causeway`.
    #[schema(example = "causeway")]
    name: &'static str,
    /// Its version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// When this process started.
    #[schema(format = "date-time", example = "2026-05-04T08:30:00Z")]
    start_time: String,
    /// Where to go on.
    #[schema(example = json!(["/docs", "/openapi.json"]))]
    links: &'static [&'static str],
}

/// Says what this is.
///
/// A page for browsers, JSON for everybody else.
#[utoipa::path(
    get,
    path = "/",
    tag = openapi::GATEWAY,
    operation_id = "gateway.About",
    responses((
        status = 200,
        description = "What this is, and where to go on.",
        content((About = "application/json"), (String = "text/html", example = "<!doctype html>"))
    ))
)]
pub(super) fn root(server: &Server, head: &Parts) -> Response<Body> {
    let mut response = if negotiate::prefers_html(&head.headers) {
        let mut response = super::text("text/html; charset=utf-8", html(server));
        page::dress(&mut response, POLICY, "no-store");
        response
    } else {
        json(&About {
            name: "causeway",
            version: env!("CARGO_PKG_VERSION"),
            start_time: server.about.started.to_string(),
            links: LINKS,
        })
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn html(server: &Server) -> String {
    let catalog = server.gateway.catalog();
    let mut rows = String::new();
    for key in keys(catalog) {
        let upstream = server.gateway.upstreams().get(key).map(|upstream| UpstreamHealth::of(upstream));
        let methods: Vec<&Method> =
            catalog.methods.iter().filter(|method| *method.upstream == *key).collect();
        let (class, state) = match upstream.as_ref().map(|upstream| upstream.state) {
            Some("READY") => ("up", "up"),
            Some("UNKNOWN") => ("idle", "idle, connects on first call"),
            Some("CONNECT_FAILED") => ("down", "cannot be reached"),
            Some("BREAKER_OPEN") => ("down", "failing, held back"),
            Some(other) => ("idle", other),
            None => ("off", "not configured"),
        };
        writeln!(
            rows,
            "<tr><td><b>{}</b><br><small>{}</small></td><td>{}</td><td><span class=\"{class}\">{}</span></td></tr>",
            escape(key),
            escape(&about(catalog, &methods)),
            methods.len(),
            escape(state),
        )
        .expect("writing to a string does not fail");
    }
    PAGE.replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{started}}", &escape(&server.about.started.strftime("%Y-%m-%d %H:%M UTC").to_string()))
        .replace("{{upstreams}}", &rows)
}

/// Lists the upstreams that have methods, in the order of the catalog.
fn keys(catalog: &Catalog) -> Vec<&str> {
    let mut keys: Vec<&str> = Vec::new();
    for method in &catalog.methods {
        if !keys.contains(&&*method.upstream) {
            keys.push(&method.upstream);
        }
    }
    keys
}

/// Says what an upstream is for: the first sentence about the service that its first method belongs to.
fn about(catalog: &Catalog, methods: &[&Method]) -> String {
    let service = methods.first().map(|method| catalog.pool.service(method.service));
    let text = service.and_then(|service| service.comment.as_deref()).unwrap_or_default();
    let text = text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    text.split_inclusive(". ").next().unwrap_or_default().trim().to_owned()
}
