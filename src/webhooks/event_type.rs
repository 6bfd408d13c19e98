//! The catalogue of what can happen.

use serde_json::{Value, json};

/// One type of event.
#[derive(Clone, Copy, Debug)]
pub struct EventType {
    /// Its name, e.g. `operation.succeeded`.
    pub name: &'static str,
    /// What has happened.
    pub description: &'static str,
    /// Whether only an endpoint that names it gets it.
    pub opt_in: bool,
    subject: Subject,
}

/// What the data of an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Operation,
    Connection,
    Endpoint,
    Nothing,
}

const fn of(name: &'static str, subject: Subject, description: &'static str) -> EventType {
    EventType { name, description, opt_in: false, subject }
}

/// The type of a test event. Sent to the endpoint that asked for it, whatever it subscribed to.
pub const PING: &str = "ping";
/// Says that an endpoint was disabled for its failures.
pub const ENDPOINT_DISABLED: &str = "webhook_endpoint.disabled";
/// Says that an endpoint that had been failing accepts again.
pub const ENDPOINT_RECOVERED: &str = "webhook_endpoint.recovered";

/// All of them.
pub const ALL: [EventType; 15] = [
    of("operation.created", Subject::Operation, "An operation began, or is tracked from now on."),
    EventType {
        name: "operation.progressed",
        description: "An operation got further. Several steps in a short time may come as one event.",
        opt_in: true,
        subject: Subject::Operation,
    },
    of("operation.succeeded", Subject::Operation, "An operation ended with a result."),
    of("operation.failed", Subject::Operation, "An operation ended with an error."),
    of("operation.cancelled", Subject::Operation, "An operation was cancelled."),
    of("operation.lost", Subject::Operation, "The upstream no longer knows an operation that had not ended."),
    of(
        "operation.superseded",
        Subject::Operation,
        "A newer run took the place of this one before its end was seen.",
    ),
    of("operation.unsupported", Subject::Operation, "The upstream cannot tell how the operation is doing."),
    of("operation.unknown", Subject::Operation, "Nobody can tell what became of the operation."),
    of("connection.created", Subject::Connection, "A connection was created through the gateway."),
    of("connection.updated", Subject::Connection, "A connection was updated through the gateway."),
    of("connection.deleted", Subject::Connection, "A connection was deleted through the gateway."),
    of(
        ENDPOINT_DISABLED,
        Subject::Endpoint,
        "An endpoint failed for too long, or said that it is gone; nothing more is sent to it.",
    ),
    of(
        ENDPOINT_RECOVERED,
        Subject::Endpoint,
        "An endpoint accepts again that had been failing for a minute or longer, or that the gateway had disabled.",
    ),
    of(PING, Subject::Nothing, "Somebody asked for a test event."),
];

impl EventType {
    /// Finds a type by its name.
    pub fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|known| known.name == name)
    }

    /// Returns those that a rule may say a method tells: about a resource of an upstream, as its answer shows it. What the
    /// gateway itself does is told by nobody else.
    pub fn of_rules() -> impl Iterator<Item = &'static Self> {
        ALL.iter().filter(|known| known.subject == Subject::Connection)
    }

    /// Returns the JSON schema of the body that is sent.
    pub fn schema(&self) -> Value {
        let omitted = json!({"type": "array", "items": {"type": "string"},
                             "description": "What was left out because the body would have been too large."});
        let link = json!({"type": "string", "description": "Where what was left out is found."});
        let mut data = match self.subject {
            Subject::Operation => json!({
                "type": "object",
                "required": ["operation"],
                "properties": {
                    "operation": {
                        "type": "object",
                        "description": "The operation as GET /v1/{name} shows it.",
                        "required": ["name"],
                        "properties": {
                            "name": {"type": "string"},
                            "done": {"type": "boolean", "description": "Left out while it is not."},
                            "metadata": {"type": "object"},
                            "response": {"type": "object"},
                            "error": {"type": "object"}
                        }
                    },
                    "omitted": omitted,
                    "link": link
                }
            }),
            Subject::Connection => json!({
                "type": "object",
                "required": ["upstream", "resourceName"],
                "properties": {
                    "upstream": {"type": "string"},
                    "resourceName": {"type": "string", "description": "Name of the connection."},
                    "resource": {"type": "object",
                                 "description": "The connection as the upstream answered, without secrets. Not for one that was deleted."},
                    "omitted": omitted,
                    "link": link
                }
            }),
            Subject::Endpoint => json!({
                "type": "object",
                "required": ["webhookEndpoint"],
                "properties": {
                    "webhookEndpoint": {"type": "string", "description": "Name of the endpoint."},
                    "url": {"type": "string", "description": "Scheme, host and port of its URL: the rest may be a credential."},
                    "reason": {"type": "string"},
                    "failingSince": {"type": "string", "format": "date-time"}
                }
            }),
            Subject::Nothing => json!({
                "type": "object",
                "properties": {"webhookEndpoint": {"type": "string", "description": "Name of the endpoint."}}
            }),
        };
        data["description"] = "What it is about.".into();
        json!({
            "type": "object",
            "description": self.description,
            "required": ["type", "timestamp", "data"],
            "properties": {
                "type": {"type": "string", "enum": [self.name], "description": "What happened."},
                "timestamp": {"type": "string", "format": "date-time", "description": "When it happened."},
                "data": data
            }
        })
    }

    /// Returns a body as it could be sent.
    pub fn example(&self) -> Value {
        let endpoint = "projects/acme-data/webhookEndpoints/we_0193500000007000a000000000000001";
        let data = match self.subject {
            Subject::Operation => json!({"operation": self.example_operation()}),
            Subject::Connection => {
                let name = "projects/acme-data/locations/us-central1/connections/web-logs";
                let mut data = json!({"upstream": "bigqueryconnection", "resourceName": name});
                if self.name != "connection.deleted" {
                    data["resource"] = json!({"name": name, "friendlyName": "Web logs", "cloudResource": {}});
                }
                data
            }
            Subject::Endpoint => json!({
                "webhookEndpoint": endpoint,
                "url": "https://hooks.example.com",
                "reason": "nothing but failures for 5 days",
                "failingSince": "2026-11-16T09:00:00Z"
            }),
            Subject::Nothing => json!({"webhookEndpoint": endpoint}),
        };
        json!({"type": self.name, "timestamp": "2026-11-21T09:00:00Z", "data": data})
    }

    fn example_operation(&self) -> Value {
        let state = match self.name.rsplit_once('.').map(|(_, state)| state) {
            Some("created") => "PENDING".to_owned(),
            Some("progressed") => "RUNNING".to_owned(),
            state => state.unwrap_or_default().to_ascii_uppercase(),
        };
        let done = !matches!(state.as_str(), "PENDING" | "RUNNING");
        let mut operation = json!({
            "name": "projects/acme-data/operations/019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11",
            "metadata": {"@type": "type.googleapis.com/google.protobuf.Struct",
                         "value": {"kind": "DATASTREAM_BACKFILL", "upstream": "datastream", "state": state}}
        });
        if done {
            operation["done"] = true.into();
        }
        if done && self.name == "operation.succeeded" {
            operation["response"] = json!({"@type": "type.googleapis.com/google.protobuf.Empty"});
        } else if done {
            operation["error"] = json!({"code": 2, "message": "as the upstream said it"});
        }
        operation
    }
}

/// Whether what an endpoint subscribed to is the name of a type, or the first part of some with `.*`, or `*`.
pub(super) fn is_pattern(pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(prefix) => prefix.ends_with('.') && ALL.iter().any(|known| known.name.starts_with(prefix)),
        None => EventType::find(pattern).is_some(),
    }
}

/// Whether an endpoint that subscribed to `patterns` gets events of a type. What is opt-in must be named in full.
pub(super) fn is_wanted(kind: &str, patterns: &[String]) -> bool {
    if patterns.iter().any(|pattern| pattern == kind) {
        return true;
    }
    if kind == PING || EventType::find(kind).is_some_and(|known| known.opt_in) {
        return false;
    }
    let matches = |pattern: &String| pattern.strip_suffix('*').is_some_and(|prefix| kind.starts_with(prefix));
    patterns.is_empty() || patterns.iter().any(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_the_standards_alphabet_and_have_examples_of_their_type() {
        for known in ALL {
            assert!(
                known.name.bytes().all(|b| b.is_ascii_lowercase() || b"._".contains(&b)),
                "{}",
                known.name
            );
            assert_eq!(known.example()["type"], known.name);
            assert_eq!(known.schema()["properties"]["type"]["enum"][0], known.name);
        }
    }

    #[test]
    fn patterns_name_what_there_is() {
        for right in ["*", "operation.*", "operation.succeeded", "webhook_endpoint.*", "ping"] {
            assert!(is_pattern(right), "{right}");
        }
        for wrong in [
            "",
            "operation",
            "operation*",
            "operation.",
            "nothing.*",
            "operation.finished",
            "**",
            ".*",
            "Ping",
        ] {
            assert!(!is_pattern(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_is_opt_in_must_be_named() {
        let wants = |kind, patterns: &[&str]| {
            is_wanted(kind, &patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
        };
        assert!(wants("operation.failed", &[]));
        assert!(wants("operation.failed", &["*"]));
        assert!(wants("operation.failed", &["operation.*"]));
        assert!(!wants("operation.failed", &["connection.*", "operation.succeeded"]));
        for patterns in [&[][..], &["*"], &["operation.*"]] {
            assert!(!wants("operation.progressed", patterns), "{patterns:?}");
        }
        assert!(wants("operation.progressed", &["operation.*", "operation.progressed"]));
    }
}
