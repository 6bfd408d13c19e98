//! What is sent: `{"type", "timestamp", "data"}`, kept small.

use serde_json::{Map, Value, json};

use crate::model::WebhookEvent;

/// Bytes of a body that receivers must be ready for, as the standard advises.
pub(super) const BYTES_MAX: usize = 20 * 1024;

/// What may be left out of an event that is too large, the largest first, and where it is found instead.
const OPTIONAL: [&[&str]; 4] = [
    &["resource"],
    &["operation", "response"],
    &["operation", "metadata", "value", "upstreamMetadata"],
    &["operation", "error", "details"],
];

/// Prints an event. One that is too large loses the operation's result, and says where it is.
pub(super) fn of(event: &WebhookEvent) -> String {
    let whole = print(event, &event.data);
    if whole.len() <= BYTES_MAX {
        return whole;
    }
    let Ok(Value::Object(mut data)) = serde_json::from_str::<Value>(&event.data) else { return whole };
    // Whoever wrote the event may have left something out already.
    let mut omitted: Vec<Value> = data.get("omitted").and_then(Value::as_array).cloned().unwrap_or_default();
    for path in OPTIONAL {
        if remove(&mut data, path) {
            omitted.push(path.join(".").into());
            let link = data
                .get("operation")
                .and_then(|operation| operation["name"].as_str())
                .map(|name| format!("/v1/{name}"));
            let link = link.unwrap_or_else(|| format!("/v1/projects/{}/events/{}", event.project, event.id));
            data.insert("omitted".into(), json!(omitted));
            data.insert("link".into(), Value::String(link));
            let smaller = print(event, &Value::Object(data.clone()).to_string());
            if smaller.len() <= BYTES_MAX {
                return smaller;
            }
        }
    }
    // Nothing is left to leave out but the data itself.
    let link = format!("/v1/projects/{}/events/{}", event.project, event.id);
    print(event, &json!({"omitted": ["data"], "link": link}).to_string())
}

fn print(event: &WebhookEvent, data: &str) -> String {
    format!(r#"{{"type":"{}","timestamp":"{}","data":{data}}}"#, event.kind, event.time)
}

fn remove(object: &mut Map<String, Value>, path: &[&str]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let mut at = object;
    for parent in parents {
        let Some(Value::Object(next)) = at.get_mut(*parent) else { return false };
        at = next;
    }
    at.remove(*last).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &Value) -> WebhookEvent {
        WebhookEvent {
            id: "evt_1".into(),
            project: "p".into(),
            kind: "operation.succeeded".into(),
            time: "2026-11-21T09:00:00.25Z".parse().unwrap(),
            data: data.to_string(),
            upstream: String::new(),
            source: String::new(),
        }
    }

    #[test]
    fn a_body_has_three_fields() {
        let body: Value = serde_json::from_str(&of(&event(&json!({"operation": {"name": "x"}})))).unwrap();
        let expected = json!({"type": "operation.succeeded", "timestamp": "2026-11-21T09:00:00.25Z",
                              "data": {"operation": {"name": "x"}}});
        assert_eq!(body, expected);
    }

    #[test]
    fn a_result_that_is_too_large_is_left_out_and_linked() {
        let name = "projects/p/operations/o";
        let large =
            json!({"operation": {"name": name, "done": true, "response": {"rows": "x".repeat(BYTES_MAX)}}});
        let text = of(&event(&large));
        assert!(text.len() <= BYTES_MAX);
        let body: Value = serde_json::from_str(&text).unwrap();
        let expected = json!({"operation": {"name": name, "done": true}, "omitted": ["operation.response"],
                              "link": "/v1/projects/p/operations/o"});
        assert_eq!(body["data"], expected);
        let mut wide =
            json!({"operation": {"name": name, "metadata": {"@type": "t", "value": {"state": "FAILED"}}}});
        wide["operation"]["metadata"]["value"]["upstreamMetadata"] = "x".repeat(BYTES_MAX).into();
        let body: Value = serde_json::from_str(&of(&event(&wide))).unwrap();
        let expected = json!({"operation": {"name": name, "metadata": {"@type": "t", "value": {"state": "FAILED"}}},
                              "omitted": ["operation.metadata.value.upstreamMetadata"],
                              "link": "/v1/projects/p/operations/o"});
        assert_eq!(body["data"], expected);
        let mut told =
            json!({"operation": {"name": name, "error": {"code": 9}}, "omitted": ["operation.response"]});
        told["operation"]["error"]["details"] = json!(["x".repeat(BYTES_MAX)]);
        let body: Value = serde_json::from_str(&of(&event(&told))).unwrap();
        assert_eq!(body["data"]["omitted"], json!(["operation.response", "operation.error.details"]));
        let all = json!({"note": "x".repeat(BYTES_MAX)});
        let body: Value = serde_json::from_str(&of(&event(&all))).unwrap();
        assert_eq!(body["data"], json!({"omitted": ["data"], "link": "/v1/projects/p/events/evt_1"}));
    }
}
