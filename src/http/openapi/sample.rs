//! Made-up values: what a message may look like, from its descriptor.

use serde_json::{Map, Value, json};

use super::{
    examples::{Written, fits, is_shown, likely_text},
    schemas::is_required,
};
use crate::schema::{Cardinality, Field, Kind, Message, MessageId, Pool, Segment, Template};

/// How deep made-up messages nest.
const DEPTH_MAX: usize = 3;

/// Fields of a message that are filled in.
const FIELDS_MAX: usize = 24;

/// Any moment.
const MOMENT: &str = "2026-05-04T08:30:00Z";

/// What a value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be answered: all fields.
    Answer,
    /// To be sent: the required fields, or the first few if there are none.
    Request,
    /// To be sent as a change: as little as makes sense.
    Update,
}

/// Fields that a request shows when none is required.
const REQUEST_FIELDS_MAX: usize = 3;

/// Makes values up.
pub(super) struct Sampler<'e> {
    pub(super) pool: &'e Pool,
    /// What to take instead, where it is written.
    pub(super) written: Option<&'e Written>,
}

impl Sampler<'_> {
    /// Fills a message in, without some of its fields.
    pub(super) fn message(&self, id: MessageId, purpose: Purpose, depth: usize, without: &[String]) -> Value {
        let message = self.pool.message(id);
        if purpose == Purpose::Answer
            && let Some(value) = self.written.and_then(|written| written.types.get(&*message.full_name))
        {
            return value.clone();
        }
        if let Some(value) = known(&message.full_name) {
            return value;
        }
        let fields: Vec<&Field> = message
            .fields
            .iter()
            .filter(|field| is_shown(field, purpose) && !without.contains(&field.name))
            .collect();
        let needed = fields.iter().any(|field| is_required(field));
        let mut chosen = Vec::new();
        let mut filled = Map::new();
        for field in fields {
            let wanted = match purpose {
                Purpose::Answer => filled.len() < FIELDS_MAX,
                Purpose::Request if needed => is_required(field),
                Purpose::Request | Purpose::Update => filled.len() < REQUEST_FIELDS_MAX,
            };
            let taken = field.oneof.is_some_and(|oneof| chosen.contains(&oneof));
            if !wanted || taken || field.name == "next_page_token" {
                continue;
            }
            if let Some(value) = self.named(message, field).or_else(|| self.field(field, purpose, depth)) {
                chosen.extend(field.oneof);
                filled.insert(field.json_name.clone(), value);
            }
        }
        Value::Object(filled)
    }

    /// Fills a field in; `None` where that would nest too deep.
    pub(super) fn field(&self, field: &Field, purpose: Purpose, depth: usize) -> Option<Value> {
        match field.cardinality {
            Cardinality::Map(entry) => {
                let value = self.pool.message(entry).field("value")?;
                Some(json!({"key": self.one(value, purpose, depth + 1)?}))
            }
            Cardinality::Repeated => Some(json!([self.one(field, purpose, depth + 1)?])),
            _ => self.one(field, purpose, depth + 1),
        }
    }

    fn one(&self, field: &Field, purpose: Purpose, depth: usize) -> Option<Value> {
        Some(match field.kind {
            Kind::Double | Kind::Float => json!(0.5),
            Kind::Int64 | Kind::Sfixed64 | Kind::Sint64 | Kind::Uint64 | Kind::Fixed64 => json!("1024"),
            Kind::Int32 | Kind::Sfixed32 | Kind::Sint32 | Kind::Uint32 | Kind::Fixed32 => json!(10),
            Kind::Bool => json!(true),
            Kind::String => json!(likely_text(field)),
            Kind::Bytes => json!("aGVsbG8="),
            Kind::Enum(id) => {
                let values = &self.pool.enumeration(id).values;
                json!(values.get(1).or(values.first())?.name)
            }
            Kind::Message(_) | Kind::Group(_) if depth > DEPTH_MAX => return None,
            Kind::Message(id) | Kind::Group(id) => self.message(id, purpose, depth, &[]),
        })
    }

    /// Names a resource as one that exists.
    fn named(&self, message: &Message, field: &Field) -> Option<Value> {
        let resource = message.resource.as_ref().filter(|_| field.name == "name")?;
        resource.pattern.iter().find_map(|pattern| {
            let template: Template = format!("/{{name={}}}", wildcards(pattern)).parse().ok()?;
            let shape: &[Segment] = template.segments();
            let written = self.written.map(|written| written.names.as_slice()).unwrap_or_default();
            let known = written.iter().find(|name| fits(name, shape));
            known.map(|name| json!(name)).or_else(|| Some(json!(pattern.replace(['{', '}'], ""))))
        })
    }
}

/// Writes `projects/{project}` as `projects/*`.
fn wildcards(pattern: &str) -> String {
    let parts = pattern.split('/').map(|part| if part.starts_with('{') { "*" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Values of the types that have a JSON form of their own.
fn known(full_name: &str) -> Option<Value> {
    Some(match full_name.strip_prefix("google.protobuf.")? {
        "Timestamp" => json!(MOMENT),
        "Duration" => json!("30s"),
        "FieldMask" => json!("displayName"),
        "Struct" => json!({"key": "value"}),
        "Value" | "StringValue" => json!("value"),
        "ListValue" => json!(["value"]),
        "Any" => json!({"@type": "type.googleapis.com/google.protobuf.Empty", "value": {}}),
        "Empty" => json!({}),
        "DoubleValue" | "FloatValue" => json!(0.5),
        "Int64Value" | "UInt64Value" => json!("1024"),
        "Int32Value" | "UInt32Value" => json!(10),
        "BoolValue" => json!(true),
        "BytesValue" => json!("aGVsbG8="),
        _ => return None,
    })
}
