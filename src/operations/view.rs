//! An operation as callers read it: exactly a `google.longrunning.Operation`.
//!
//! Its metadata and response are `Any` of `google.protobuf.Struct`, whatever the upstream's types are, so that a strict client
//! needs one import for operations of all systems. The response's own type stays in it as `@type`.

use prost::Message as _;
use serde_json::{Value, json};

use super::{event, sources};
use crate::{
    error::{Error, Result},
    model::Operation,
    pb::google::rpc::Status,
    transcode::{Transcoder, UnknownFields},
};

const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";
const EMPTY: &str = "type.googleapis.com/google.protobuf.Empty";
/// Types that every client of operations can have: those of the errors themselves.
const RPC: &str = "type.googleapis.com/google.rpc.";

/// Renders operations. Cheap to clone.
#[derive(Clone)]
pub struct View {
    transcoder: Transcoder,
}

impl View {
    /// Takes the types that results may have.
    pub fn new(transcoder: Transcoder) -> Self {
        Self { transcoder }
    }

    /// Renders an operation as JSON.
    pub fn json(&self, it: &Operation) -> Value {
        let mut facts = event::facts(it);
        let upstream = sources::metadata_json(&self.transcoder, &it.metadata);
        if !upstream.is_null() {
            facts.insert("upstreamMetadata".to_owned(), upstream);
        }
        let mut shown = json!({"name": it.name(), "metadata": packed(Value::Object(facts))});
        if !it.state.is_final() {
            return shown;
        }
        shown["done"] = true.into();
        if let Some(status) = Status::decode(&it.error[..]).ok().filter(|_| !it.error.is_empty()) {
            shown["error"] = self.error(&status);
        } else {
            shown["response"] = match sources::metadata_json(&self.transcoder, &it.response) {
                Value::Null => json!({"@type": EMPTY}),
                response if response["@type"] == EMPTY || response["@type"] == STRUCT => response,
                response => packed(response),
            };
        }
        shown
    }

    fn error(&self, status: &Status) -> Value {
        let details: Vec<Value> = status
            .details
            .iter()
            .map(|detail| {
                let known = detail.type_url.starts_with(RPC);
                let shown = sources::metadata_json(&self.transcoder, &detail.encode_to_vec());
                if known { shown } else { packed(shown) }
            })
            .filter(|shown| !shown.is_null())
            .collect();
        let mut error = json!({"code": status.code, "message": status.message});
        if !details.is_empty() {
            error["details"] = details.into();
        }
        error
    }

    /// Renders an operation in wire format.
    ///
    /// # Errors
    /// It has a result that has no form as a `Struct`.
    pub fn wire(&self, it: &Operation) -> Result<Vec<u8>> {
        let plan = self.transcoder.message("google.longrunning.Operation");
        let plan = plan.ok_or_else(|| Error::internal("google.longrunning.Operation is not known"))?;
        Ok(plan.to_wire(self.json(it).to_string().as_bytes(), UnknownFields::Reject)?.bytes)
    }
}

fn packed(value: Value) -> Value {
    match value {
        Value::Null => Value::Null,
        value => json!({"@type": STRUCT, "value": value}),
    }
}
