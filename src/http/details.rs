//! Prints the details that an upstream packed into its error.

use serde_json::{Value, json};

use crate::{
    error::Detail,
    transcode::{JsonOptions, Plan, Transcoder},
};

/// Knows how an `Any` is printed.
#[derive(Clone)]
pub(super) struct Details(Option<Plan>);

impl Details {
    pub(super) fn new(transcoder: &Transcoder) -> Self {
        Self(transcoder.message("google.protobuf.Any"))
    }

    /// Prints a detail as JSON. What cannot be printed leaves its type behind rather than fail the error that it came
    /// with.
    pub(super) fn print(&self, detail: &Detail) -> Value {
        self.try_print(detail).unwrap_or_else(|| json!({"@type": detail.type_url}))
    }

    fn try_print(&self, detail: &Detail) -> Option<Value> {
        let mut any = Vec::with_capacity(detail.type_url.len() + detail.value.len() + 16);
        put(&mut any, 1, detail.type_url.as_bytes());
        put(&mut any, 2, &detail.value);
        let mut out = Vec::new();
        self.0.as_ref()?.to_json(&any, &JsonOptions::default(), &mut out).ok()?;
        serde_json::from_slice(&out).ok()
    }
}

/// Writes a length-delimited field.
fn put(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    prost::encoding::encode_varint(number << 3 | 2, out);
    prost::encoding::encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
