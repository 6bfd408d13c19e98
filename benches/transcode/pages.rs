//! The messages that are converted.

use causeway::pb;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, prost::Message as _};
use serde_json::{Value, json};

/// A list page, on the wire and as JSON.
pub(crate) struct Page {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// Its type, for the reference.
    pub(crate) descriptor: MessageDescriptor,
    /// On the wire.
    pub(crate) wire: Vec<u8>,
    /// As JSON, printed by the reference.
    pub(crate) json: Vec<u8>,
    /// Whether generated code can print it: `pbjson` does not know what an `Any` holds.
    pub(crate) plain: bool,
}

impl Page {
    /// Returns all pages of the run.
    pub(crate) fn all() -> Vec<Self> {
        let pool = DescriptorPool::decode(pb::DESCRIPTOR_SET).expect("our own descriptors are sound");
        let connections = include_str!("../load/connections.json");
        let operations = include_str!("../load/operations.json");
        let make = |name, message: &str, field: &str, items: &str, count, plain| {
            let descriptor = pool.get_message_by_name(message).expect("the type is under proto/");
            let items: Vec<Value> = serde_json::from_str(items).expect("the file holds a list");
            let items: Vec<Value> = (0..count).map(|n| numbered(&items[n % items.len()], 1000 + n)).collect();
            let page = json!({ field: items, "nextPageToken": "bmV4dA==" });
            let message =
                DynamicMessage::deserialize(descriptor.clone(), page).expect("the file fits the type");
            let json = serde_json::to_vec(&message).expect("what was read can be printed");
            Self { name, descriptor, wire: message.encode_to_vec(), json, plain }
        };
        let (list, field) = ("google.cloud.bigquery.connection.v1.ListConnectionsResponse", "connections");
        vec![
            make("1 connection", list, field, connections, 1, true),
            make("50 connections", list, field, connections, 50, true),
            make("1000 connections", list, field, connections, 1000, true),
            make(
                "50 operations",
                "google.longrunning.ListOperationsResponse",
                "operations",
                operations,
                50,
                false,
            ),
        ]
    }
}

/// Makes one item of many: the same with other names.
fn numbered(item: &Value, n: usize) -> Value {
    serde_json::from_str(&item.to_string().replace("{n}", &n.to_string())).expect("a number fits in any text")
}
