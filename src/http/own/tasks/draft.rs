//! What a new task is to be, as its caller says it.

use serde_json::Value;

use super::place;
use crate::{
    error::{Error, Result},
    gateway::NewTask,
    http::own::fields::Fields,
};

/// Reads what a new task is to be.
pub(super) fn read(parent: &str, body: &[u8]) -> Result<NewTask> {
    let (project, location) = place(parent)?;
    if project == "-" || location == "-" {
        return Err(Error::invalid_field("parent", "a task belongs to one project and one location"));
    }
    let mut fields = Fields::read(body)?;
    if fields.has("resourceMeta") {
        return Err(Error::unknown_field("resourceMeta", "a task is never started from one"));
    }
    let mut parameters = std::collections::BTreeMap::new();
    for (name, value) in fields.object("parameters")?.unwrap_or_default() {
        let read = parameter(value).map_err(|error| error.within(&format!("parameters.{name}")))?;
        parameters.insert(name, read);
    }
    let version = fields.number("taskTypeVersion")?.unwrap_or_default();
    let task = NewTask {
        project: project.to_owned(),
        location: location.to_owned(),
        query: fields.text("query")?.unwrap_or_default(),
        parameters,
        labels: fields.pairs("labels")?.unwrap_or_default(),
        version: version
            .try_into()
            .map_err(|_| Error::invalid_field("taskTypeVersion", "must be less than 2^31"))?,
    };
    fields.finish()?;
    Ok(task)
}

/// Reads the type and the value of a parameter.
fn parameter(value: Value) -> Result<(String, Value)> {
    let Value::Object(fields) = value else {
        return Err(Error::invalid_field("", "expected an object with type and value"));
    };
    let mut fields = Fields::from(fields);
    let kind = fields.text("type")?;
    let kind =
        kind.ok_or_else(|| Error::invalid_field("type", "expected the name of a type of BigQuery's"))?;
    let value = fields.take("value").unwrap_or(Value::Null);
    fields.finish()?;
    Ok((kind, value))
}
