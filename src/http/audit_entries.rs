//! `auditEntries`: the audit log as those read it who may.
//!
//! Newest first, or oldest first with `orderBy=time`. Pages follow the numbers that the sealer gave, so no entry is ever
//! skipped: one that is sealed later has a larger number. What was asked before a list is in it, since the log is brought
//! up to date first.

use http::{HeaderValue, Response, header};
use serde_json::{Value, json};

use super::{Server, body::Body};
use crate::{
    audit::filter,
    crypto,
    error::{Error, Result},
    gateway::Notes,
    model::{Entry, Outcome},
    schema::Captures,
    store::{
        Cursor,
        audit::{Filter, Sealed, Walk},
    },
    transcode::Query,
};

/// Entries of a page, if nobody says, and at most.
const PAGE_SIZES: [u32; 2] = [50, 1000];
/// Entries of one answer to an export; a token says where to go on.
const EXPORT_ROWS_MAX: u32 = 10_000;
/// Says where an export goes on.
const NEXT: &str = "causeway-next-page-token";

/// What somebody wants to see.
struct Wanted<'c> {
    parent: &'c str,
    filter_text: String,
    filter: Filter,
    walk: Walk,
}

/// Answers with a page.
pub(super) async fn list(
    server: &Server,
    captures: &Captures<'_>,
    query: &str,
    notes: &mut Notes,
) -> Result<Response<Body>> {
    let wanted = wanted(server, captures, query, PAGE_SIZES[1], false)?;
    note(notes, &wanted, "list");
    let (rows, token) = page(server, wanted).await?;
    let entries: Vec<Value> = rows.iter().map(show).collect();
    let mut answer = json!({"auditEntries": entries});
    if !token.is_empty() {
        answer["nextPageToken"] = json!(token);
    }
    Ok(super::json(&answer))
}

/// Answers with one entry on each line, oldest first.
pub(super) async fn export(
    server: &Server,
    captures: &Captures<'_>,
    query: &str,
    notes: &mut Notes,
) -> Result<Response<Body>> {
    let wanted = wanted(server, captures, query, EXPORT_ROWS_MAX, true)?;
    note(notes, &wanted, "export");
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

fn note(notes: &mut Notes, wanted: &Wanted<'_>, verb: &str) {
    notes.entry.permission = format!("causeway.auditEntries.{verb}");
    if !wanted.parent.is_empty() {
        notes.entry.resource_names = vec![wanted.parent.to_owned()];
    }
}

fn wanted<'c>(
    server: &Server,
    captures: &'c Captures<'_>,
    query: &str,
    rows_max: u32,
    export: bool,
) -> Result<Wanted<'c>> {
    let parent = captures.first().map(AsRef::as_ref).unwrap_or_default();
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
    let mut filter = filter::parse(&filter_text)?;
    if !matches!(parent, "" | "projects/-") {
        filter.project = Some(parent.to_owned());
    }
    let direction = if ascending { "time" } else { "time desc" };
    let cursor =
        Cursor::read(&token, &server.audit.tokens, &["auditEntries", parent, &filter_text, direction])?;
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
            .token(&server.audit.tokens, &["auditEntries", wanted.parent, &wanted.filter_text, direction])
    });
    Ok((rows, token))
}

/// Prints an entry as callers read it, on one line.
pub fn audit_line(row: &Sealed) -> String {
    show(row).to_string()
}

/// Prints an entry as callers read it.
fn show(row: &Sealed) -> Value {
    let entry: Entry = serde_json::from_str(&row.entry).unwrap_or_default();
    let outcome: Outcome = serde_json::from_str(&row.outcome).unwrap_or_default();
    let time =
        |micros| jiff::Timestamp::from_microsecond(micros).map(|at| at.to_string()).unwrap_or_default();
    let id: [u8; 16] = row.id.as_slice().try_into().unwrap_or_default();
    let prefix = if entry.project().is_empty() { String::new() } else { format!("{}/", entry.project()) };
    let request: Value = serde_json::from_str(&entry.request).unwrap_or(Value::Null);
    let mut shown = json!({
        "name": format!("{prefix}auditEntries/{}", crypto::uuid_text(&id)),
        "sequence": row.seq.to_string(),
        "time": time(row.opened_at),
        "endTime": time(row.closed_at),
        "requestId": entry.request_id,
        "traceId": entry.trace_id,
        "principal": entry.principal,
        "authentication": entry.authentication,
        "method": entry.method,
        "upstream": entry.upstream,
        "resourceNames": entry.resource_names,
        "permission": entry.permission,
        "granted": entry.granted,
        "result": outcome.ending,
        "httpStatus": outcome.status,
        "grpcCode": outcome.code,
        "reason": outcome.reason,
        "latencySeconds": outcome.latency_us as f64 / 1e6,
        "callerAddress": entry.caller,
        "userAgent": entry.user_agent,
        "target": entry.target,
        "operation": outcome.operation,
        "replayed": outcome.replayed,
        "furtherRequests": outcome.further.to_string(),
        "request": request,
        "digest": base64_simd::STANDARD.encode_to_string(&row.digest),
    });
    if let Some(members) = shown.as_object_mut() {
        members.retain(|name, value| {
            let empty = value.is_null() || *value == json!("") || *value == json!([]);
            let absent = name == "furtherRequests" && *value == json!("0")
                || name == "replayed" && *value == json!(false);
            !empty && !absent
        });
    }
    shown
}
