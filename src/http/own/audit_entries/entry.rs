//! An entry of the audit log as callers read it.

use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    crypto,
    model::{Entry, Outcome},
    store::audit::Sealed,
};

/// One request, as the audit log has it. What does not apply is left out.
#[expect(dead_code, reason = "it describes what is printed field by field")]
#[derive(ToSchema)]
#[schema(as = audit::Entry)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuditEntry {
    /// Name of the entry, below its project if it has one.
    #[schema(example = "projects/acme-data/auditEntries/0198c5b2-6d1e-7c44-9a3f-5b0f4a1c2d3e")]
    name: String,
    /// Its number in the log; a 64-bit integer.
    #[schema(example = "42", format = "int64")]
    sequence: String,
    /// When the request came.
    #[schema(format = "date-time", example = "2026-05-04T08:30:00Z")]
    time: String,
    /// When it was answered.
    #[schema(format = "date-time", example = "2026-05-04T08:30:00.120Z")]
    end_time: String,
    /// Its id, as in `X-Request-Id`.
    #[schema(required = false, example = "0a8af425842aa95403d5c6998ec6ebbe")]
    request_id: String,
    /// Trace that it belongs to.
    #[schema(required = false)]
    trace_id: String,
    /// Who asked.
    #[schema(required = false, example = "anonymous")]
    principal: String,
    /// How they proved it.
    #[schema(required = false, example = "none")]
    authentication: String,
    /// What was called.
    #[schema(required = false, example = "google.cloud.datastream.v1.Datastream.ListStreams")]
    method: String,
    /// Key of the upstream that it was for.
    #[schema(required = false, example = "datastream")]
    upstream: String,
    /// What it was about, and behind it what came of it below that, as far as the answer told.
    #[schema(required = false, example = json!(["projects/acme-data/locations/europe-west1"]))]
    resource_names: Vec<String>,
    /// What one had to be allowed.
    #[schema(required = false, example = "datastream.streams.list")]
    permission: String,
    /// Whether it was allowed.
    #[schema(required = false, example = true)]
    granted: bool,
    /// How it ended, in a word.
    #[schema(required = false, example = "SUCCESS")]
    result: String,
    /// HTTP status of the answer.
    #[schema(required = false, example = 200)]
    http_status: u16,
    /// Canonical code of the answer, as a number.
    #[schema(required = false, example = 0)]
    grpc_code: i32,
    /// Why the gateway refused, if it did.
    #[schema(required = false)]
    reason: String,
    /// How long it took, in seconds.
    #[schema(required = false, example = 0.12)]
    latency_seconds: f64,
    /// Address that it came from.
    #[schema(required = false, example = "127.0.0.1")]
    caller_address: String,
    /// Program that sent it, by its own account.
    #[schema(required = false, example = "curl/8.5.0")]
    user_agent: String,
    /// Path that was asked for.
    #[schema(required = false, example = "/v1/projects/acme-data/locations/europe-west1/streams")]
    target: String,
    /// Operation that it started.
    #[schema(required = false)]
    operation: String,
    /// Whether the answer was that of an earlier request with the same `Idempotency-Key`.
    #[schema(required = false)]
    replayed: bool,
    /// Requests that this entry stands for besides its own; a 64-bit integer.
    #[schema(required = false, format = "int64")]
    further_requests: String,
    /// Name of the entry that this one corrects: the gateway at work on it was cut off from its database, and another one closed
    /// it as well as it could.
    #[schema(required = false)]
    corrects: String,
    /// The request, without its secrets.
    #[schema(required = false)]
    request: serde_json::Value,
    /// What chains it to the entry before it, as base64.
    #[schema(required = false, example = "ZHVtbXk=")]
    digest: String,
}

/// Prints an entry as callers read it, on one line.
pub fn audit_line(row: &Sealed) -> String {
    show(row).to_string()
}

/// Prints an entry as callers read it.
pub(super) fn show(row: &Sealed) -> Value {
    let entry: Entry = serde_json::from_str(&row.entry).unwrap_or_default();
    let outcome: Outcome = serde_json::from_str(&row.outcome).unwrap_or_default();
    let time =
        |micros| jiff::Timestamp::from_microsecond(micros).map(|at| at.to_string()).unwrap_or_default();
    let id: [u8; 16] = row.id.as_slice().try_into().unwrap_or_default();
    let created = Some(&outcome.created).filter(|name| !name.is_empty());
    let names: Vec<&String> = entry.resource_names.iter().chain(created).collect();
    let prefix = if entry.project().is_empty() { String::new() } else { format!("{}/", entry.project()) };
    let request: Value = serde_json::from_str(&entry.request).unwrap_or(Value::Null);
    let name = |id: &str| format!("{prefix}auditEntries/{id}");
    let corrects = if outcome.corrects.is_empty() { String::new() } else { name(&outcome.corrects) };
    let mut shown = json!({
        "name": name(&crypto::uuid_text(&id)),
        "sequence": row.seq.to_string(),
        "time": time(row.opened_at),
        "endTime": time(row.closed_at),
        "requestId": entry.request_id,
        "traceId": entry.trace_id,
        "principal": entry.principal,
        "authentication": entry.authentication,
        "method": entry.method,
        "upstream": entry.upstream,
        "resourceNames": names,
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
        "corrects": corrects,
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
