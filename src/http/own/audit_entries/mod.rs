//! `auditEntries`: the audit log as those read it who may.
//!
//! Newest first, or oldest first with `orderBy=time`. Pages follow the numbers that the sealer gave, so no entry is ever
//! skipped: one that is sealed later has a larger number. What was asked before a list is in it, since the log is brought
//! up to date first. Each entry can be read again by the name that a list gives it: see `entry` for how it looks.

mod entry;

use http::{HeaderValue, Response, header};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

pub use self::entry::audit_line;

use self::entry::{AuditEntry, show};
use super::Asked;
use crate::{
    audit::filter,
    crypto,
    error::{Code, Error, Reason, Result},
    http::{Server, body::Body, json},
    identity::access,
    model::Role,
    store::{
        Cursor, Projects,
        audit::{Filter, Sealed, Walk},
    },
    transcode::Query,
};

/// What is needed, and by which least role.
pub(super) const GET: (&str, Role) = ("causeway.auditEntries.get", Role::Admin);
pub(super) const LIST: (&str, Role) = ("causeway.auditEntries.list", Role::Admin);
pub(super) const EXPORT: (&str, Role) = ("causeway.auditEntries.export", Role::Admin);

/// Stands for every project.
const ALL: &str = "projects/-";
/// Where they are.
const COLLECTION: &str = "auditEntries";
/// Entries of a page, if nobody says, and at most.
const PAGE_SIZES: [u32; 2] = [50, 1000];
/// Entries of one answer to an export; a token says where to go on.
const EXPORT_ROWS_MAX: u32 = 10_000;
/// Says where an export goes on.
const NEXT: &str = "causeway-next-page-token";

/// Letters of a name that an error repeats.
const NAME_CHARS_MAX: usize = 120;

/// Tag of these endpoints.
const TAG: &str = "audit";

/// Describes them.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(list, list_of_project, get, get_of_project, export, export_of_project),
    tags((name = TAG, description = "Who did what, when, and how it ended: one entry for each request."))
)]
pub(super) struct Described;

/// One page of the audit log.
#[expect(dead_code, reason = "it describes what is printed field by field")]
#[derive(ToSchema)]
#[schema(as = audit::Page)]
#[serde(rename_all = "camelCase")]
struct AuditPage {
    /// The entries.
    audit_entries: Vec<AuditEntry>,
    /// Send it as `pageToken` for the next page; absent on the last.
    #[schema(nullable = false)]
    next_page_token: Option<String>,
}

/// What one can ask the log for.
#[expect(dead_code, reason = "it describes what is read by name")]
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct Parameters {
    /// Which entries, such as `principal="anonymous" AND httpStatus>=400`. `resourceNames="projects/acme-data"` finds what is
    /// below it too, and `resourceNames="projects/acme-*"` what begins so.
    filter: Option<String>,
    /// `time desc`, newest first, or `time`.
    order_by: Option<String>,
    /// How many at most.
    #[param(minimum = 0)]
    page_size: Option<i32>,
    /// Where to go on: the token of the page before.
    page_token: Option<String>,
}

/// What somebody wants to see.
struct Wanted<'c> {
    parent: &'c str,
    filter_text: String,
    filter: Filter,
    walk: Walk,
}

/// Lists the requests of one project.
///
/// Newest first. What was asked before the list is in it.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/auditEntries",
    tag = TAG,
    operation_id = "audit.ListOfProject",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), Parameters),
    responses(
        (status = 200, description = "A page of entries.", body = AuditPage),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn list_of_project(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    list(server, asked).await
}

/// Shows one request of a project.
///
/// By the name that lists give it. With `-` for the project it is looked for in all of yours.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/auditEntries/{auditEntry}",
    tag = TAG,
    operation_id = "audit.GetOfProject",
    params(
        ("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"),
        ("auditEntry" = String, Path, description = "Id of the entry.", example = "0198c5b2-6d1e-7c44-9a3f-5b0f4a1c2d3e", pattern = "^[^/]+$")
    ),
    responses(
        (status = 200, description = "The entry.", body = AuditEntry),
        (status = 404, description = "There is no such entry in this project."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn get_of_project(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let name = asked.captures.first().map(AsRef::as_ref).unwrap_or_default();
    let (parent, id) = name.rsplit_once("/auditEntries/").unwrap_or_default();
    asked.no_parameters()?;
    asked.notes.entry.resource_names = vec![name.to_owned()];
    let projects = access::projects(asked.exchange.principal()?, GET, parent, COLLECTION)?;
    // `-` stands for any project, and not for none.
    let found = find(server, id, &projects).await?.filter(|row| !row.columns.project.is_empty());
    found.map(|row| json(&show(&row))).ok_or_else(|| missing(name))
}

/// Exports the requests of one project.
///
/// Oldest first, one entry on each line, 10000 at most; `Causeway-Next-Page-Token` says where to go on.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/auditEntries:export",
    tag = TAG,
    operation_id = "audit.ExportOfProject",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), Parameters),
    responses(
        (status = 200, description = "Entries as lines of JSON.", body = String, content_type = "application/x-ndjson"),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn export_of_project(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    export(server, asked).await
}

/// Lists the requests to the gateway.
///
/// Those that are about projects of yours; all of them, if everything is. Newest first. What was asked before the list is in it.
#[utoipa::path(
    get,
    path = "/v1/auditEntries",
    tag = TAG,
    operation_id = "audit.List",
    params(Parameters),
    responses(
        (status = 200, description = "A page of entries.", body = AuditPage),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn list(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let wanted = wanted(server, asked, LIST, PAGE_SIZES[1])?;
    let (rows, token) = page(server, wanted).await?;
    let entries: Vec<Value> = rows.iter().map(show).collect();
    let mut answer = json!({"auditEntries": entries});
    if !token.is_empty() {
        answer["nextPageToken"] = json!(token);
    }
    Ok(json(&answer))
}

/// Shows one request that was about no project.
///
/// By the name that lists give it, to those who may see everything.
#[utoipa::path(
    get,
    path = "/v1/auditEntries/{auditEntry}",
    tag = TAG,
    operation_id = "audit.Get",
    params(("auditEntry" = String, Path, description = "Id of the entry.", example = "0198c5b2-6d1e-7c44-9a3f-5b0f4a1c2d3e", pattern = "^[^/]+$")),
    responses(
        (status = 200, description = "The entry.", body = AuditEntry),
        (status = 404, description = "There is no such entry for you."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn get(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let id = asked.captures.first().map(AsRef::as_ref).unwrap_or_default();
    let name = format!("{COLLECTION}/{id}");
    asked.no_parameters()?;
    asked.notes.entry.resource_names = vec![name.clone()];
    let projects = access::projects(asked.exchange.principal()?, GET, ALL, COLLECTION)?;
    let found = find(server, id, &projects).await?.filter(|row| row.columns.project.is_empty());
    found.map(|row| json(&show(&row))).ok_or_else(|| missing(&name))
}

/// Finds an entry. What was asked before is found, even if it is not written yet.
async fn find(server: &Server, id: &str, projects: &Projects) -> Result<Option<Sealed>> {
    let Some(id) = crypto::uuid_of(id) else { return Ok(None) };
    if let Some(found) = server.store.audit_entry(&id, projects).await? {
        return Ok(Some(found));
    }
    server.audit.sealer.catch_up(&server.audit.recorder).await?;
    server.store.audit_entry(&id, projects).await
}

/// Exports the requests to the gateway.
///
/// Those that are about projects of yours; all of them, if everything is. Oldest first, one entry on each line, 10000 at most; `Causeway-Next-Page-Token` says where to go on.
#[utoipa::path(
    get,
    path = "/v1/auditEntries:export",
    tag = TAG,
    operation_id = "audit.Export",
    params(Parameters),
    responses(
        (status = 200, description = "Entries as lines of JSON.", body = String, content_type = "application/x-ndjson"),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn export(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let wanted = wanted(server, asked, EXPORT, EXPORT_ROWS_MAX)?;
    let (rows, token) = page(server, wanted).await?;
    let mut lines = String::new();
    for row in &rows {
        lines.push_str(&audit_line(row));
        lines.push('\n');
    }
    let mut response = Response::new(Body::full(lines));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    if let Some(token) = HeaderValue::from_str(&token).ok().filter(|token| !token.is_empty()) {
        headers.insert(NEXT, token);
    }
    Ok(response)
}

fn wanted<'c>(
    server: &Server,
    asked: Asked<'c>,
    needed: (&'static str, Role),
    rows_max: u32,
) -> Result<Wanted<'c>> {
    let Asked { captures, query, exchange, notes, .. } = asked;
    let (parent, export) = (captures.first().map(AsRef::as_ref).unwrap_or_default(), needed == EXPORT);
    if !parent.is_empty() {
        notes.entry.resource_names = vec![parent.to_owned()];
    }
    // Without a parent it is everybody's entries that are asked for.
    let all = if parent.is_empty() { ALL } else { parent };
    let projects = access::projects(exchange.principal()?, needed, all, COLLECTION)?;
    let mut rows = if export { rows_max } else { PAGE_SIZES[0] };
    let (mut filter_text, mut order, mut token) = (String::new(), String::new(), String::new());
    for (name, value) in Query::parse(query, |_| false)?.pairs {
        match &*name {
            "filter" => filter_text = value.into_owned(),
            "orderBy" | "order_by" => order = value.into_owned(),
            "pageToken" | "page_token" => token = value.into_owned(),
            "pageSize" | "page_size" => {
                let size: i32 =
                    value.parse().map_err(|_| Error::invalid_field("pageSize", "expected a number"))?;
                match u32::try_from(size) {
                    Ok(0) => {}
                    Ok(size) => rows = size.min(rows_max),
                    Err(_) => return Err(Error::invalid_field("pageSize", "must not be negative")),
                }
            }
            other => return Err(Error::unknown_field(other, "there is no such parameter here")),
        }
    }
    let ascending = match order.trim() {
        "" if export => true,
        "" | "time desc" => false,
        "time" | "time asc" => true,
        _ => return Err(Error::invalid_field("orderBy", "expected time or time desc")),
    };
    let filter = Filter { projects, ..filter::parse(&filter_text)? };
    let direction = if ascending { "time" } else { "time desc" };
    let cursor = Cursor::read(&token, &server.audit.tokens, &[COLLECTION, parent, &filter_text, direction])?;
    let after = cursor.and_then(|cursor| cursor.keys.first()?.parse().ok());
    Ok(Wanted { parent, filter_text, filter, walk: Walk { ascending, after, rows_max: rows } })
}

/// Returns the rows of a page, and the token of the next one if there is one.
async fn page(server: &Server, wanted: Wanted<'_>) -> Result<(Vec<Sealed>, String)> {
    if wanted.walk.after.is_none() || wanted.walk.ascending {
        server.audit.sealer.catch_up(&server.audit.recorder).await?;
    }
    // One more than is shown tells whether there are more.
    let walk = Walk { rows_max: wanted.walk.rows_max + 1, ..wanted.walk };
    let mut rows = server.store.audit_page(&wanted.filter, walk).await?;
    let more = rows.len() > wanted.walk.rows_max as usize;
    rows.truncate(wanted.walk.rows_max as usize);
    let last = rows.last().filter(|_| more);
    let token = last.map_or_else(String::new, |last| {
        let direction = if wanted.walk.ascending { "time" } else { "time desc" };
        Cursor { keys: vec![last.seq.to_string()] }
            .token(&server.audit.tokens, &[COLLECTION, wanted.parent, &wanted.filter_text, direction])
    });
    Ok((rows, token))
}

fn missing(name: &str) -> Error {
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    Error::new(Code::NotFound, Reason::ResourceNotFound, format!("There is no {name} for you."))
}
