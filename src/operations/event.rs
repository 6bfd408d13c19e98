//! What is told about an operation.

use serde_json::{Map, Value, json};

use crate::{
    model::{Event, EventKind, Operation},
    store::time_ordered,
};

/// Makes the event of a move. It tells what everybody with an interest may know: the result itself is read from the
/// operation.
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
        payload: json!({"operation": operation.name(), "metadata": facts(operation)}).to_string(),
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
