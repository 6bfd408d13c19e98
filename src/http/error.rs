//! The error envelope of AIP-193: the only JSON of ours that a Google client must be able to read.

use std::{collections::BTreeSet, time::Duration};

use http::{HeaderValue, Response, header};
use serde::Serialize;
use serde_json::{Value, json};

use super::{body::Body, status};
use crate::error::{Code, Detail, Error, Reason};

/// Domain of the `ErrorInfo` of our own errors.
const DOMAIN: &str = "causeway";

/// Says how callers prove who they are (RFC 9110, RFC 6750).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"causeway\"");

/// How the caller wants the envelope printed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    /// Print over several lines.
    pub(super) pretty: bool,
    /// Add the legacy `error.errors[]` (`$.xgafv=1`).
    pub(super) legacy: bool,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Fault<'a>,
}

#[derive(Serialize)]
struct Fault<'a> {
    code: u16,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<[Legacy<'a>; 1]>,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Value>,
}

#[derive(Serialize)]
struct Legacy<'a> {
    message: &'a str,
    domain: &'static str,
    reason: &'static str,
}

/// Prints the envelope. `detail` renders a detail that the upstream packed; `request_id` goes into what a person would
/// report, a 5xx.
pub(super) fn envelope(
    error: &Error,
    request_id: &str,
    style: Style,
    detail: impl Fn(&Detail) -> Value,
) -> Vec<u8> {
    let status = status::of(error);
    let mut details = own_details(error, status.is_server_error().then_some(request_id));
    details.extend(error.details().iter().map(detail));
    let envelope = Envelope {
        error: Fault {
            code: status.as_u16(),
            message: error.message(),
            errors: style.legacy.then(|| {
                [Legacy {
                    message: error.message(),
                    domain: "global",
                    reason: status::legacy_reason(error.code()),
                }]
            }),
            status: error.code().name(),
            details,
        },
    };
    let printed =
        if style.pretty { serde_json::to_vec_pretty(&envelope) } else { serde_json::to_vec(&envelope) };
    printed.expect("strings, numbers and lists print as JSON")
}

/// Returns what `Allow` says of the path that an error is about (RFC 9110, section 10.2.1): its verbs, and those that are
/// answered without being asked of anybody.
pub(super) fn allow(error: &Error) -> Option<HeaderValue> {
    let mut verbs: BTreeSet<&str> = error.allow()?.split(", ").collect();
    verbs.insert("OPTIONS");
    if verbs.contains("GET") {
        verbs.insert("HEAD");
    }
    HeaderValue::from_str(&Vec::from_iter(verbs).join(", ")).ok()
}

/// Wraps a printed envelope into an answer, with the headers that an error brings.
pub(super) fn response(error: &Error, envelope: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::full(envelope));
    *response.status_mut() = status::of(error);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, super::JSON);
    if let Some(allow) = allow(error) {
        headers.insert(header::ALLOW, allow);
    }
    if error.reason() == Some(Reason::Unauthenticated) && error.code() == Code::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
    }
    if let Some(wait) = error.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    response
}

fn own_details(error: &Error, request_id: Option<&str>) -> Vec<Value> {
    let Some(reason) = error.reason() else { return Vec::new() };
    let mut metadata: serde_json::Map<String, Value> =
        error.metadata().iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    if let Some(id) = request_id {
        metadata.insert("requestId".to_owned(), json!(id));
    }
    let mut info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason.name(),
        "domain": DOMAIN,
    });
    if !metadata.is_empty() {
        info["metadata"] = Value::Object(metadata);
    }
    let mut details = vec![info];
    if !error.violations().is_empty() {
        let violations: Vec<Value> = error
            .violations()
            .iter()
            .map(|violation| json!({"field": violation.field, "description": violation.description}))
            .collect();
        details.push(
            json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}),
        );
    }
    if let Some(wait) = error.retry_after() {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{}s", whole_seconds(wait)),
        }));
    }
    details
}

/// Rounds up, since a caller that comes back too early is refused again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(error: &Error, style: Style) -> Value {
        let text = envelope(error, "id-1", style, |detail| json!({"@type": detail.type_url}));
        serde_json::from_slice(&text).expect("the envelope is JSON")
    }

    #[test]
    fn a_wrong_field_is_named_in_a_bad_request() {
        let printed = print(&Error::unknown_field("cloudSql.no", "no such field"), Style::default());
        assert_eq!(
            printed,
            json!({"error": {
                "code": 400,
                "message": "cloudSql.no: no such field",
                "status": "INVALID_ARGUMENT",
                "details": [
                    {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "UNKNOWN_FIELD", "domain": "causeway"},
                    {"@type": "type.googleapis.com/google.rpc.BadRequest",
                     "fieldViolations": [{"field": "cloudSql.no", "description": "no such field"}]},
                ],
            }})
        );
    }

    #[test]
    fn a_fault_quotes_the_request_id_and_not_its_cause() {
        let printed = print(&Error::internal("the disk is on fire"), Style::default());
        assert_eq!(printed["error"]["details"][0]["metadata"]["requestId"], "id-1");
        assert!(!printed.to_string().contains("fire"));
    }

    #[test]
    fn what_an_upstream_said_passes_without_a_reason_of_ours() {
        let detail = Detail { type_url: "type.googleapis.com/a.B".into(), value: bytes::Bytes::new() };
        let printed = print(&Error::upstream(Code::NotFound, "gone", vec![detail]), Style::default());
        assert_eq!(
            printed,
            json!({"error": {"code": 404, "message": "gone", "status": "NOT_FOUND",
                             "details": [{"@type": "type.googleapis.com/a.B"}]}})
        );
    }

    #[test]
    fn the_legacy_list_comes_on_request() {
        let error = Error::new(Code::NotFound, Reason::RouteNotFound, "nothing here");
        let printed = print(&error, Style { legacy: true, pretty: true });
        assert_eq!(
            printed["error"]["errors"],
            json!([{"message": "nothing here", "domain": "global", "reason": "notFound"}])
        );
    }

    #[test]
    fn a_wait_is_rounded_up() {
        let error = Error::new(Code::Unavailable, Reason::UpstreamUnavailable, "later")
            .with_retry_after(Duration::from_millis(1200));
        assert_eq!(response(&error, Vec::new()).headers()["retry-after"], "2");
    }
}
