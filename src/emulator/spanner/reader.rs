//! Fields of any message by name, for filters: what an `Any` holds included.

use serde_json::Value;
use tonic::Status;

use super::shapes::{Described, Shapes};
use crate::{
    pb::google::longrunning,
    transcode::{JsonOptions, Transcoder},
};

/// Reads messages by their descriptors.
pub(super) struct Reader(Transcoder);

/// A message that was read.
pub(super) struct Read(Value);

impl Described for longrunning::Operation {
    const TYPE: &'static str = "google.longrunning.Operation";
    const KIND: &'static str = "Operation";
}

impl Reader {
    pub(super) fn new(shapes: &Shapes) -> Self {
        Self(Transcoder::new(shapes.pool()))
    }

    /// Reads a message.
    pub(super) fn read<T: Described>(&self, message: &T) -> Result<Read, Status> {
        let plan = self.0.message(T::TYPE).ok_or_else(|| Status::internal("a type without descriptor"))?;
        let mut text = Vec::new();
        let options = JsonOptions { defaults: true, ..JsonOptions::default() };
        plan.to_json(&message.encode_to_vec(), &options, &mut text)
            .map_err(|error| Status::internal(error.to_string()))?;
        serde_json::from_slice(&text).map(Read).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Read {
    /// Returns a field by its dotted path as text. Upper and lower case and underscores do not matter; a list is all its
    /// elements; a message is a dot, so that it can be asked whether there is one.
    pub(super) fn field(&self, path: &str) -> Option<String> {
        let found = path.split('.').try_fold(&self.0, |at, step| member(at, step))?;
        text(found)
    }
}

fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let Value::Object(members) = value else { return None };
    members.get(name).or_else(|| {
        let wanted = plain(name);
        members.iter().find(|(key, _)| plain(key) == wanted).map(|(_, value)| value)
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some(items.iter().filter_map(text).collect::<Vec<_>>().join(" ")),
        Value::Object(_) => Some(".".to_owned()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
    }
}
