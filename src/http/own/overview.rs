//! `/v1/projects/*:overview`.

use std::{collections::BTreeMap, time::Duration};

use http::Response;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{Asked, one_project};
use crate::{
    error::Result,
    gateway::{self, Overview, Section, Status},
    http::{Server, body::Body, edge::timeout, json, pages, proxied},
    identity::access,
    model::Role,
};

/// What it needs, on anything in the project.
pub(super) const PERMISSION: &str = "causeway.overview.get";
/// How long it may take, unless the caller says.
const TIME: Duration = Duration::from_secs(2);

/// Describes it.
#[derive(utoipa::OpenApi)]
#[openapi(paths(get), tags((name = TAG, description = "Everything of a project at a glance.")))]
pub(super) struct Described;

const TAG: &str = "overview";

/// What there is in a project.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = overview::Overview)]
struct Shown {
    /// The project, e.g. `projects/acme-data`.
    name: String,
    /// What was counted: `connections` by type, `streams` by state, `streamObjects` by the state of their backfill,
    /// `operations` by state, `tasks` by phase.
    #[serde(flatten)]
    sections: BTreeMap<&'static str, ShownSection>,
}

/// One section, whatever came of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = overview::Section)]
struct ShownSection {
    /// `OK`; `PARTIAL`: something did not answer, or there is too much to count; `DENIED`: you may see nothing of it;
    /// `NOT_CONFIGURED`; `UNAVAILABLE`: it could not be read in time, or at all.
    status: &'static str,
    /// When the oldest of what this says was read.
    as_of: String,
    /// Items in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// Items of each type.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_type: Option<BTreeMap<String, u64>>,
    /// Items in each state.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_state: Option<BTreeMap<String, u64>>,
    /// Items in each phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_phase: Option<BTreeMap<String, u64>>,
    /// What did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreachable: Vec<String>,
    /// Why there are no counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Shows everything of a project at a glance.
///
/// Connections by type, streams and their objects by state, operations by state, tasks by phase: all systems are asked at
/// once, through the page cache, for what you may see. Each section has a status and an age of its own; a slow system costs
/// its section and not the page. It takes two seconds at most, or as long as `X-Server-Timeout` says.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}:overview",
    tag = TAG,
    operation_id = "projects.Overview",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$")),
    responses((status = 200, description = "What there is.", body = Shown))
)]
pub(super) async fn get(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    asked.no_parameters()?;
    let project = asked.captures.first().map_or("", |project| project);
    let name = format!("projects/{project}");
    asked.notes.entry.resource_names = vec![name.clone()];
    one_project("project", project)?;
    let principal = asked.exchange.principal()?;
    if !access::may_within(principal, Role::Viewer, &name) {
        access::require(principal, PERMISSION, Role::Viewer, &name)?;
    }
    server.require_audit()?;
    let mut caller = proxied::caller(asked.head, asked.exchange)?;
    if timeout::of(&asked.head.headers)?.is_none() {
        caller.deadline = caller.deadline.min(Instant::now() + TIME);
    }
    let wish = pages::wish(&asked.head.headers);
    // Boxed: it holds five sections at once.
    let looked = Box::pin(gateway::overview(&server.gateway, project, caller, wish)).await;
    let Overview { sections } = looked;
    let sections = sections.into_iter().map(|(section, seen)| (section, show(seen))).collect();
    Ok(json(&Shown { name, sections }))
}

fn show(section: Section) -> ShownSection {
    let Section { status, as_of, by, counts, error } = section;
    let counts = counts.map(|counts| (counts.total, counts.each, counts.unreachable));
    let (total, each, unreachable) = match counts {
        Some((total, each, unreachable)) => (Some(total), Some(each), unreachable),
        None => (None, None, Vec::new()),
    };
    let each_by = |name| each.clone().filter(|_| by == name);
    ShownSection {
        status: match status {
            Status::Ok => "OK",
            Status::Partial => "PARTIAL",
            Status::Denied => "DENIED",
            Status::NotConfigured => "NOT_CONFIGURED",
            Status::Unavailable => "UNAVAILABLE",
        },
        as_of: as_of.to_string(),
        total,
        by_type: each_by("type"),
        by_state: each_by("state"),
        by_phase: each_by("phase"),
        unreachable,
        error: error.map(|error| error.message().to_owned()),
    }
}
