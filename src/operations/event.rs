//! What is told about an operation.

use serde_json::{Map, Value, json};

use super::View;
use crate::{
    model::{Event, EventKind, Operation},
    store::time_ordered,
};

/// Bytes of what is told that are kept: a result may be of any size, an event is there for each move of each operation.
const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// Makes the event of a move. What it tells is added by [`tell`].
pub(super) fn of(operation: &Operation, kind: EventKind) -> Event {
    Event {
        id: time_ordered(operation.updated_at),
        project: operation.project.clone(),
        kind,
        at: operation.updated_at,
        operation: operation.id,
        version: operation.version,
        source: operation.kind,
        upstream: operation.upstream.clone(),
        payload: String::new(),
    }
}

/// Adds to events what they tell: the operation as it is read. One that is too large to be kept with each of its events
/// loses what is largest in it, and a link says where that is.
pub(super) fn tell(events: &mut [Event], operation: &Operation, view: &View) {
    if events.is_empty() {
        return;
    }
    let mut told = json!({"operation": view.json(operation)});
    let mut payload = told.to_string();
    if payload.len() > PAYLOAD_BYTES_MAX {
        told["omitted"] = json!(["operation.response", "operation.metadata.value.upstreamMetadata"]);
        told["link"] = format!("/v1/{}", operation.name()).into();
        if let Some(it) = told["operation"].as_object_mut() {
            it.remove("response");
            if let Some(facts) = it.get_mut("metadata").and_then(|metadata| metadata["value"].as_object_mut())
            {
                facts.remove("upstreamMetadata");
            }
        }
        payload = told.to_string();
    }
    for event in events {
        event.payload.clone_from(&payload);
    }
}

/// Returns what we know of an operation ourselves, without what is empty.
pub(super) fn facts(it: &Operation) -> Map<String, Value> {
    let mut facts = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() && value != "" {
            facts.insert(name.to_owned(), value);
        }
    };
    put("kind", it.kind.name().into());
    put("upstream", it.upstream.as_str().into());
    put("target", it.target.as_str().into());
    put("upstreamName", it.upstream_name.as_str().into());
    put("method", it.method.as_str().into());
    put("state", it.state.name().into());
    put("progressPercent", it.progress.into());
    put("createTime", time(Some(it.created_at)));
    put("startTime", time(it.started_at));
    put("updateTime", time(Some(it.updated_at)));
    put("endTime", time(it.ended_at));
    put("problem", it.problem.as_str().into());
    facts
}

fn time(micros: Option<i64>) -> Value {
    let at = micros.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    at.map_or(Value::Null, |at| at.to_string().into())
}
