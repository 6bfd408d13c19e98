//! What the document says about webhooks. Made from tables: the endpoints have one shape, and so have their answers.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use crate::webhooks::event_type;

/// Tag of these endpoints.
const TAG: &str = "webhooks";
const PROJECT: &str = "/v1/projects/{project}";

/// An endpoint: verb, path below the project, operation id, summary, description, schema of the body and of the answer.
struct Told {
    verb: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    description: &'static str,
    body: &'static str,
    answer: &'static str,
}

const fn told(
    (verb, path, id): (&'static str, &'static str, &'static str),
    (summary, description): (&'static str, &'static str),
    (body, answer): (&'static str, &'static str),
) -> Told {
    Told { verb, path, id, summary, description, body, answer }
}

const TOLD: [Told; 17] = [
    told(
        ("post", "webhookEndpoints", "webhookEndpoints.Create"),
        (
            "Create a webhook endpoint.",
            "Events of the project are sent there from now on, signed as Standard Webhooks has it. The secret is in this answer and in no other. The address is judged now and again at each attempt.",
        ),
        ("WebhookEndpoint", "WebhookEndpoint"),
    ),
    told(
        ("get", "webhookEndpoints", "webhookEndpoints.List"),
        ("List webhook endpoints.", "In the order in which they were made."),
        ("", "ListWebhookEndpoints"),
    ),
    told(
        ("get", "webhookEndpoints/{endpoint}", "webhookEndpoints.Get"),
        ("Get a webhook endpoint.", "Its secret and the values of its headers are not shown."),
        ("", "WebhookEndpoint"),
    ),
    told(
        ("patch", "webhookEndpoints/{endpoint}", "webhookEndpoints.Patch"),
        (
            "Change a webhook endpoint.",
            "What `updateMask` names, or without it what the body holds. Disabling it cancels what is queued.",
        ),
        ("WebhookEndpoint", "WebhookEndpoint"),
    ),
    told(
        ("delete", "webhookEndpoints/{endpoint}", "webhookEndpoints.Delete"),
        ("Delete a webhook endpoint.", "Nothing more is sent; its deliveries go too."),
        ("", "Nothing"),
    ),
    told(
        ("post", "webhookEndpoints/{endpoint}:ping", "webhookEndpoints.Ping"),
        (
            "Send a test event.",
            "A `ping` is queued for this endpoint, whatever it subscribed to. The answer is its delivery.",
        ),
        ("Nothing", "Delivery"),
    ),
    told(
        ("post", "webhookEndpoints/{endpoint}:rotateSecret", "webhookEndpoints.RotateSecret"),
        (
            "Put a new secret in use.",
            "Until `overlap` is over, each message carries two signatures: of the new secret and of the one before.",
        ),
        ("RotateSecret", "WebhookEndpoint"),
    ),
    told(
        ("post", "webhookEndpoints/{endpoint}:enable", "webhookEndpoints.Enable"),
        ("Enable a webhook endpoint again.", "What happened meanwhile is sent by `:replay`."),
        ("Nothing", "WebhookEndpoint"),
    ),
    told(
        ("post", "webhookEndpoints/{endpoint}:replay", "webhookEndpoints.Replay"),
        (
            "Send the events of a time again.",
            "At most 30 days. The answer names the replay, which goes on until it is done, whoever restarts in between.",
        ),
        ("NewReplay", "Replay"),
    ),
    told(
        ("get", "webhookEndpoints/{endpoint}/replays/{replay}", "webhookEndpoints.GetReplay"),
        ("Get a replay.", "How far it is."),
        ("", "Replay"),
    ),
    told(
        ("get", "webhookEndpoints/{endpoint}/deliveries", "deliveries.List"),
        ("List deliveries.", "The newest event first. A filter is `state = \"EXHAUSTED\"`."),
        ("", "ListDeliveries"),
    ),
    told(
        ("get", "webhookEndpoints/{endpoint}/deliveries/{delivery}", "deliveries.Get"),
        ("Get a delivery.", "The id of a delivery is that of its event."),
        ("", "Delivery"),
    ),
    told(
        ("get", "webhookEndpoints/{endpoint}/deliveries/{delivery}/attempts", "deliveries.ListAttempts"),
        (
            "List attempts of a delivery.",
            "The newest first, at most 100, with the first 16 KiB of each answer.",
        ),
        ("", "ListAttempts"),
    ),
    told(
        ("post", "webhookEndpoints/{endpoint}/deliveries/{delivery}:resend", "deliveries.Resend"),
        ("Send a delivery again.", "Under the same id, whatever came of it before."),
        ("Nothing", "Delivery"),
    ),
    told(
        ("get", "events", "events.List"),
        (
            "List events.",
            "The newest first. A filter is `type = \"operation.failed\"`, or `operation.*` for a family.",
        ),
        ("", "ListEvents"),
    ),
    told(
        ("get", "events/{event}", "events.Get"),
        ("Get an event.", "What happened, in full."),
        ("", "Event"),
    ),
    told(
        ("get", "/v1/eventTypes", "eventTypes.List"),
        ("List event types.", "Each with the JSON schema of what is sent, and an example."),
        ("", "ListEventTypes"),
    ),
];

/// A schema: its name, what it is, and its fields with type, words and example.
type Shape =
    (&'static str, &'static str, &'static [(&'static str, &'static str, &'static str, &'static str)]);

const SHAPES: &[Shape] = &[
    (
        "WebhookEndpoint",
        "Somebody who is told what happens.",
        &[
            ("name", "string", "Its name.", "\"projects/acme-data/webhookEndpoints/we_1\""),
            (
                "url",
                "string",
                "Where to deliver: https, unless the operator allows more.",
                "\"https://hooks.example.com/causeway\"",
            ),
            ("description", "string", "Words for people.", "\"billing\""),
            (
                "eventTypes",
                "strings",
                "Types of events, `operation.*` and `*` among them; all that are not opt-in, if empty.",
                "[\"operation.*\"]",
            ),
            ("upstreams", "strings", "Only events about these upstreams; all, if empty.", "[\"datastream\"]"),
            ("kinds", "strings", "Only events about operations of these kinds; all, if empty.", "[]"),
            (
                "headers",
                "object",
                "Headers to send along, by name. Not shown again: a value is likely a credential.",
                "{}",
            ),
            ("headerNames", "strings", "Names of the headers that are sent along.", "[]"),
            (
                "maxDeliveriesPerSecond",
                "integer",
                "Deliveries that begin in a second, over all replicas.",
                "50",
            ),
            ("maxConcurrentDeliveries", "integer", "Deliveries under way at once, over all replicas.", "8"),
            ("state", "string", "`ENABLED` or `DISABLED`.", "\"ENABLED\""),
            ("disabledReason", "string", "Why it is disabled.", "\"nothing but failures for 5 days\""),
            (
                "failingSince",
                "time",
                "Since when there has been nothing but failure.",
                "\"2026-11-21T09:00:00Z\"",
            ),
            ("pausedUntil", "time", "Until when it asked to be left alone.", "\"2026-11-21T09:00:00Z\""),
            (
                "secret",
                "string",
                "What verifies our signatures: shown once, or given by you with 24 to 64 random bytes.",
                "\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"",
            ),
            ("createTime", "time", "When it was made.", "\"2026-11-21T09:00:00Z\""),
            ("updateTime", "time", "When it was last changed.", "\"2026-11-21T09:00:00Z\""),
        ],
    ),
    (
        "RotateSecret",
        "Which secret to put in use, and how.",
        &[
            (
                "secret",
                "string",
                "The new secret; made for you, if left out.",
                "\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"",
            ),
            (
                "overlap",
                "string",
                "How long the one before signs too: `0s` to `604800s`, a day if left out.",
                "\"86400s\"",
            ),
        ],
    ),
    (
        "NewReplay",
        "What to send again.",
        &[
            ("startTime", "time", "The first instant that counts.", "\"2026-11-20T09:00:00Z\""),
            ("endTime", "time", "The first instant that no longer counts.", "\"2026-11-21T09:00:00Z\""),
            ("skipSucceeded", "boolean", "Whether what was accepted is left alone.", "true"),
        ],
    ),
    (
        "Replay",
        "A wish to send the events of a time again.",
        &[
            ("name", "string", "Its name.", "\"projects/acme-data/webhookEndpoints/we_1/replays/rp_1\""),
            ("startTime", "time", "The first instant that counts.", "\"2026-11-20T09:00:00Z\""),
            ("endTime", "time", "The first instant that no longer counts.", "\"2026-11-21T09:00:00Z\""),
            ("skipSucceeded", "boolean", "Whether what was accepted is left alone.", "true"),
            ("state", "string", "`RUNNING` or `DONE`.", "\"DONE\""),
            ("queuedCount", "string", "Deliveries queued so far.", "\"12\""),
            ("createTime", "time", "When it was asked for.", "\"2026-11-21T09:00:00Z\""),
        ],
    ),
    (
        "Delivery",
        "One event for one endpoint.",
        &[
            ("name", "string", "Its name.", "\"projects/acme-data/webhookEndpoints/we_1/deliveries/evt_1\""),
            ("event", "string", "Name of the event.", "\"projects/acme-data/events/evt_1\""),
            ("eventType", "string", "Type of the event.", "\"operation.succeeded\""),
            (
                "state",
                "string",
                "`PENDING`, `SUCCEEDED`, `EXHAUSTED`, `FAILED` or `CANCELLED`.",
                "\"PENDING\"",
            ),
            ("attemptCount", "integer", "Attempts that were made.", "1"),
            ("attemptUnderWay", "boolean", "Whether one is being made.", "false"),
            ("nextAttemptTime", "time", "When the next one is due.", "\"2026-11-21T09:05:00Z\""),
            ("lastStatus", "integer", "HTTP status of the last one.", "500"),
            ("lastError", "string", "Class of the last one's failure.", "\"STATUS\""),
            ("createTime", "time", "When it was queued.", "\"2026-11-21T09:00:00Z\""),
            ("endTime", "time", "When it ended.", "\"2026-11-21T09:00:00Z\""),
        ],
    ),
    (
        "Attempt",
        "One try to deliver.",
        &[
            (
                "name",
                "string",
                "Its name.",
                "\"projects/acme-data/webhookEndpoints/we_1/deliveries/evt_1/attempts/1\"",
            ),
            ("startTime", "time", "When it began.", "\"2026-11-21T09:00:00Z\""),
            ("duration", "string", "How long it took.", "\"0.012000s\""),
            ("status", "integer", "HTTP status of the answer.", "500"),
            ("response", "string", "The first 16 KiB of the answer.", "\"oh\""),
            (
                "error",
                "object",
                "Class and words of the failure.",
                "{\"class\":\"STATUS\",\"message\":\"answered 500, which is not 2xx\"}",
            ),
        ],
    ),
    (
        "Event",
        "Something that happened.",
        &[
            (
                "name",
                "string",
                "Its name; the id is what `webhook-id` says.",
                "\"projects/acme-data/events/evt_1\"",
            ),
            ("type", "string", "What happened.", "\"operation.succeeded\""),
            ("timestamp", "time", "When.", "\"2026-11-21T09:00:00Z\""),
            ("data", "object", "What it is about.", "{}"),
        ],
    ),
    (
        "EventType",
        "A type of event.",
        &[
            ("name", "string", "Its name.", "\"eventTypes/operation.succeeded\""),
            ("type", "string", "What endpoints subscribe to.", "\"operation.succeeded\""),
            ("description", "string", "What has happened.", "\"An operation ended with a result.\""),
            ("optIn", "boolean", "Whether only an endpoint that names it in full gets it.", "false"),
            ("schema", "object", "JSON schema of what is sent.", "{}"),
            ("example", "object", "What could be sent.", "{}"),
        ],
    ),
];

/// Lists: name, collection, what is in them.
const LISTS: [(&str, &str, &str); 5] = [
    ("ListWebhookEndpoints", "webhookEndpoints", "WebhookEndpoint"),
    ("ListDeliveries", "deliveries", "Delivery"),
    ("ListAttempts", "attempts", "Attempt"),
    ("ListEvents", "events", "Event"),
    ("ListEventTypes", "eventTypes", "EventType"),
];

/// Values of the variables of paths, and what they are.
const VARIABLES: [(&str, &str, &str); 5] = [
    ("project", "acme-data", "Id of the project."),
    ("endpoint", "we_1", "Id of the webhook endpoint."),
    ("delivery", "evt_1", "Id of the delivery, which is that of its event."),
    ("replay", "rp_1", "Id of the replay."),
    ("event", "evt_1", "Id of the event."),
];

/// Describes the endpoints.
pub(in crate::http::own) fn described() -> OpenApi {
    let mut paths = Map::new();
    for told in TOLD {
        let path = if told.path.starts_with('/') {
            told.path.to_owned()
        } else {
            format!("{PROJECT}/{}", told.path)
        };
        let entry = paths.entry(path.clone()).or_insert_with(|| json!({}));
        entry[told.verb] = operation(&told, &path);
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {"title": "", "version": ""},
        "tags": [{"name": TAG, "description": "Webhooks: whoever wants to know is told, at least once, signed."}],
        "paths": paths,
        "components": {"schemas": schemas()},
    });
    serde_json::from_value(document).expect("the tables make a document")
}

fn operation(told: &Told, path: &str) -> Value {
    let mut parameters: Vec<Value> = VARIABLES
        .iter()
        .filter(|(name, _, _)| path.contains(&format!("{{{name}}}")))
        .map(|(name, example, words)| parameter("path", name, words, &json!(example)))
        .collect();
    if LISTS.iter().any(|(name, _, _)| *name == told.answer)
        && !matches!(told.answer, "ListAttempts" | "ListEventTypes")
    {
        parameters.push(parameter(
            "query",
            "pageSize",
            "Entries on a page: 50 unless said, at most 500.",
            &json!(10),
        ));
        parameters.push(parameter("query", "pageToken", "`nextPageToken` of the page before.", &json!("")));
    }
    match told.answer {
        "ListDeliveries" => {
            parameters.push(parameter("query", "filter", "Which ones.", &json!("state = \"EXHAUSTED\"")));
        }
        "ListEvents" => {
            parameters.push(parameter("query", "filter", "Which ones.", &json!("type = \"operation.*\"")));
        }
        _ => {}
    }
    if told.verb == "patch" {
        parameters.push(parameter(
            "query",
            "updateMask",
            "Fields to change, separated by commas.",
            &json!("description"),
        ));
    }
    let mut responses = json!({"200": {
        "description": "Done.",
        "content": {"application/json": {"schema": reference(told.answer), "example": example(told.answer)}},
    }});
    if path.contains("{endpoint}") || path.contains("{event}") {
        responses["404"] = json!({"description": "There is no such thing in this project."});
    }
    let mut operation = json!({
        "tags": [TAG],
        "operationId": told.id,
        "summary": told.summary,
        "description": told.description,
        "parameters": parameters,
        "responses": responses,
    });
    if !told.body.is_empty() {
        operation["requestBody"] = json!({
            "content": {"application/json": {"schema": reference(told.body), "example": request_example(told)}},
        });
    }
    operation
}

fn request_example(told: &Told) -> Value {
    match (told.verb, told.body) {
        ("post", "WebhookEndpoint") => {
            json!({"url": "https://hooks.example.com/causeway", "eventTypes": ["operation.*"]})
        }
        (_, "WebhookEndpoint") => json!({"description": "billing"}),
        ("post", "RotateSecret") => json!({"overlap": "86400s"}),
        (_, name) => example(name),
    }
}

fn parameter(place: &str, name: &str, words: &str, example: &Value) -> Value {
    let schema = match place {
        "path" => json!({"type": "string", "pattern": "^[^/]+$"}),
        _ if example.is_number() => json!({"type": "integer"}),
        _ => json!({"type": "string"}),
    };
    json!({"in": place, "name": name, "description": words, "required": place == "path", "example": example,
           "schema": schema})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/webhooks.{name}")})
}

fn example(name: &str) -> Value {
    if let Some((_, collection, item)) = LISTS.iter().find(|(list, _, _)| *list == name) {
        return json!({*collection: [example(item)], "nextPageToken": ""});
    }
    if name == "EventType" {
        let known = &event_type::ALL[0];
        return json!({"name": format!("eventTypes/{}", known.name), "type": known.name, "description": known.description,
                      "optIn": known.opt_in, "schema": known.schema(), "example": known.example()});
    }
    let Some((_, _, fields)) = SHAPES.iter().find(|(shape, _, _)| *shape == name) else { return json!({}) };
    let pair = |(field, _, _, example): &(&str, &str, &str, &str)| {
        ((*field).to_owned(), serde_json::from_str(example).unwrap_or_default())
    };
    Value::Object(fields.iter().map(pair).collect())
}

fn schemas() -> Map<String, Value> {
    let mut schemas = Map::new();
    let name = |name: &str| format!("webhooks.{name}");
    schemas.insert(name("Nothing"), json!({"type": "object", "description": "Nothing: an empty object."}));
    for (shape, words, fields) in SHAPES {
        let properties: Map<String, Value> = fields
            .iter()
            .map(|(field, kind, words, _)| ((*field).to_owned(), property(kind, words)))
            .collect();
        schemas
            .insert(name(shape), json!({"type": "object", "description": words, "properties": properties}));
    }
    for (list, collection, item) in LISTS {
        let schema = json!({"type": "object", "description": "A page.", "properties": {
            collection: {"type": "array", "description": "What is on the page.", "items": reference(item)},
            "nextPageToken": {"type": "string", "description": "Leads to the next page; empty on the last."},
        }});
        schemas.insert(name(list), schema);
    }
    schemas
}

fn property(kind: &str, words: &str) -> Value {
    match kind {
        "time" => json!({"type": "string", "format": "date-time", "description": words}),
        "strings" => json!({"type": "array", "items": {"type": "string"}, "description": words}),
        kind => json!({"type": kind, "description": words}),
    }
}
