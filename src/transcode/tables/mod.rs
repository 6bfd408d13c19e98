//! Descriptors compiled for converting: flat tables, one per message and enum type, addressed by position.
//!
//! Everything that does not depend on a request is decided here: the opcode of a field, its key as JSON prints it, its
//! place among the bits that tell which fields were seen. Tables are built once at start and never change.

mod enumeration;
mod key;
mod names;

use std::{collections::HashMap, sync::Arc};

use self::{key::Key, names::NameIndex};
use super::{hash::BuildNameHasher, wire};
use crate::{
    error::nearest,
    schema::{self, Behavior, Cardinality, Kind, Pool},
};

pub(super) use self::enumeration::EnumTable;

/// Field numbers up to this one are looked up by index, larger ones by search.
const DENSE_MAX: u32 = 255;
/// Marks a field outside any oneof.
pub(super) const NO_ONEOF: u16 = u16::MAX;

/// What the masks of requests are called (AIP-134, AIP-157, and Spanner's own).
const REQUEST_MASKS: [&str; 3] = ["update_mask", "read_mask", "field_mask"];

/// What the own name of a resource is called (AIP-122).
const OWN_NAME: &str = "name";

/// Compiled tables of a whole pool.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) messages: Vec<MessageTable>,
    pub(super) enums: Vec<EnumTable>,
    names: HashMap<Arc<str>, u32, BuildNameHasher>,
}

/// How a message type looks in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Plain,
    Any,
    Timestamp,
    Duration,
    FieldMask,
    Struct,
    Value,
    ListValue,
    Wrapper,
}

#[derive(Debug)]
pub(super) struct MessageTable {
    pub(super) name: Arc<str>,
    pub(super) shape: Shape,
    /// Strict clients read this type: an `Any` of unknown type inside it is printed with nothing but its type.
    pub(super) google_shaped: bool,
    pub(super) fields: Vec<FieldTable>,
    /// Position plus one by field number; 0 is "no such field".
    dense: Vec<u16>,
    /// Fields with larger numbers, sorted.
    sparse: Vec<(u32, u16)>,
    names: NameIndex,
    /// Bits for fields and oneofs together.
    pub(super) bits: usize,
    /// It has a field that must be given, or can hold a message that has one.
    pub(super) has_required: bool,
}

#[derive(Debug)]
pub(super) struct FieldTable {
    pub(super) key: Key,
    pub(super) name: Box<str>,
    pub(super) json_name: Box<str>,
    pub(super) number: u32,
    pub(super) op: Op,
    /// Position of the message or enum table.
    pub(super) child: u32,
    pub(super) card: Card,
    /// Zero is not printed and not told apart from absence.
    pub(super) implicit: bool,
    /// Bit of the oneof, or [`NO_ONEOF`].
    pub(super) oneof: u16,
    pub(super) packed: bool,
    /// Wire type of one value.
    pub(super) wire: u8,
    /// An enum that drops numbers it does not know.
    pub(super) closed: bool,
    /// JSON `null` is a value of this type and not absence.
    pub(super) null_is_value: bool,
    /// A mask by which a request says what it is about: clients write it in either spelling, wherever it stands.
    pub(super) is_request_mask: bool,
    /// A message without it cannot be read (`required` of proto2, `LEGACY_REQUIRED` of editions).
    pub(super) is_required: bool,
    /// The server alone sets it.
    pub(super) is_output_only: bool,
    /// It is the own name of a resource.
    pub(super) is_own_name: bool,
    /// The default that `defaults` prints: of proto2, or the first value of an enum.
    pub(super) default_number: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Card {
    Singular,
    Repeated,
    Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Double,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    Group,
    Message,
    Bytes,
    Uint32,
    Enum,
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
}

impl Tables {
    pub(super) fn new(pool: &Pool) -> Self {
        let enums: Vec<_> = pool.enums().map(|(_, enumeration)| EnumTable::new(enumeration)).collect();
        let shapes: Vec<_> = pool.messages().map(|(_, message)| shape(&message.full_name)).collect();
        let mut messages: Vec<_> =
            pool.messages().map(|(_, message)| MessageTable::new(message, &enums, &shapes)).collect();
        mark_required(&mut messages);
        let names = pool.messages().map(|(id, message)| (Arc::clone(&message.full_name), id.0)).collect();
        Self { messages, enums, names }
    }

    #[inline]
    pub(super) fn message(&self, index: u32) -> &MessageTable {
        &self.messages[index as usize]
    }

    #[inline]
    pub(super) fn enumeration(&self, index: u32) -> &EnumTable {
        &self.enums[index as usize]
    }

    pub(super) fn find(&self, full_name: &str) -> Option<u32> {
        self.names.get(full_name).copied()
    }
}

impl MessageTable {
    fn new(message: &schema::Message, enums: &[EnumTable], shapes: &[Shape]) -> Self {
        let fields: Vec<FieldTable> =
            message.fields.iter().map(|field| FieldTable::new(field, message, enums, shapes)).collect();
        let mut dense = Vec::new();
        let mut sparse = Vec::new();
        for (i, field) in fields.iter().enumerate() {
            let position = small(i);
            if field.number > DENSE_MAX {
                sparse.push((field.number, position));
                continue;
            }
            let at = field.number as usize;
            if dense.len() <= at {
                dense.resize(at + 1, 0);
            }
            dense[at] = position + 1;
        }
        sparse.sort_unstable();
        Self {
            name: Arc::clone(&message.full_name),
            shape: shape(&message.full_name),
            google_shaped: matches!(
                &*message.full_name,
                "google.longrunning.Operation" | "google.cloud.location.Location"
            ),
            has_required: fields.iter().any(|field| field.is_required),
            names: NameIndex::new(&fields),
            bits: fields.len() + message.oneofs.len(),
            fields,
            dense,
            sparse,
        }
    }

    /// Finds a field's position by number.
    #[inline]
    pub(super) fn by_number(&self, number: u32) -> Option<usize> {
        match self.dense.get(number as usize) {
            Some(0) => None,
            Some(position) => Some(usize::from(*position) - 1),
            None => self.by_large_number(number),
        }
    }

    fn by_large_number(&self, number: u32) -> Option<usize> {
        let at = self.sparse.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(usize::from(self.sparse[at].1))
    }

    /// Finds a field's position by either name. `after` is the position found last: callers tend to write fields in
    /// declaration order, so the next one is tried first.
    #[inline]
    pub(super) fn by_name(&self, name: &str, after: usize) -> Option<usize> {
        if let Some(field) = self.fields.get(after)
            && *field.json_name == *name
        {
            return Some(after);
        }
        self.names.find(name, &self.fields)
    }

    /// Finds the JSON name of the field nearest to a misspelt one, for the error message. It is never what was given: where
    /// that does not lead to the field, saying it again would not either.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        let names = self.fields.iter().flat_map(|field| [&*field.json_name, &*field.name]);
        let names = names.filter(|known| *known != name);
        let near = nearest(name, names)?;
        self.fields
            .iter()
            .find(|field| *field.name == *near)
            .map_or(Some(near), |field| Some(&field.json_name))
    }
}

impl FieldTable {
    fn new(field: &schema::Field, message: &schema::Message, enums: &[EnumTable], shapes: &[Shape]) -> Self {
        let (op, wire_type, child) = op(field.kind);
        let enumeration = (op == Op::Enum).then(|| &enums[child as usize]);
        let is = |shape| matches!(field.kind, Kind::Message(id) if shapes[id.index()] == shape);
        let value = is(Shape::Value);
        Self {
            key: Key::new(&field.json_name),
            name: field.name.as_str().into(),
            json_name: field.json_name.as_str().into(),
            number: field.number,
            op,
            child,
            card: match field.cardinality {
                Cardinality::Repeated => Card::Repeated,
                Cardinality::Map(_) => Card::Map,
                _ => Card::Singular,
            },
            implicit: field.cardinality == Cardinality::Implicit,
            oneof: field.oneof.map_or(NO_ONEOF, |oneof| small(message.fields.len() + oneof as usize)),
            packed: field.packed,
            wire: wire_type,
            closed: enumeration.is_some_and(|table| table.closed),
            null_is_value: value || enumeration.is_some_and(|table| table.null),
            is_request_mask: is(Shape::FieldMask) && REQUEST_MASKS.contains(&field.name.as_str()),
            is_required: field.cardinality == Cardinality::Required,
            is_output_only: field.is(Behavior::OutputOnly),
            is_own_name: message.resource.is_some() && field.name == OWN_NAME,
            default_number: enumeration.map_or(0, |table| {
                field.default.as_deref().and_then(|name| table.number(name)).unwrap_or(table.first)
            }),
        }
    }
}

/// Marks what can hold a marked message, until nothing is new.
fn mark_required(messages: &mut [MessageTable]) {
    let holds = |messages: &[MessageTable], table: &MessageTable| {
        let mut inner = table.fields.iter().filter(|field| matches!(field.op, Op::Message | Op::Group));
        inner.any(|field| messages[field.child as usize].has_required)
    };
    loop {
        let is_new = |(at, table): (usize, &MessageTable)| {
            (!table.has_required && holds(messages, table)).then_some(at)
        };
        let found: Vec<usize> = messages.iter().enumerate().filter_map(is_new).collect();
        if found.is_empty() {
            return;
        }
        found.into_iter().for_each(|at| messages[at].has_required = true);
    }
}

fn shape(full_name: &str) -> Shape {
    match full_name.strip_prefix("google.protobuf.") {
        Some("Any") => Shape::Any,
        Some("Timestamp") => Shape::Timestamp,
        Some("Duration") => Shape::Duration,
        Some("FieldMask") => Shape::FieldMask,
        Some("Struct") => Shape::Struct,
        Some("Value") => Shape::Value,
        Some("ListValue") => Shape::ListValue,
        Some(
            "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value"
            | "BoolValue" | "StringValue" | "BytesValue",
        ) => Shape::Wrapper,
        _ => Shape::Plain,
    }
}

fn op(kind: Kind) -> (Op, u8, u32) {
    match kind {
        Kind::Double => (Op::Double, wire::FIXED64, 0),
        Kind::Float => (Op::Float, wire::FIXED32, 0),
        Kind::Int64 => (Op::Int64, wire::VARINT, 0),
        Kind::Uint64 => (Op::Uint64, wire::VARINT, 0),
        Kind::Int32 => (Op::Int32, wire::VARINT, 0),
        Kind::Fixed64 => (Op::Fixed64, wire::FIXED64, 0),
        Kind::Fixed32 => (Op::Fixed32, wire::FIXED32, 0),
        Kind::Bool => (Op::Bool, wire::VARINT, 0),
        Kind::String => (Op::String, wire::LEN, 0),
        Kind::Group(id) => (Op::Group, wire::GROUP, id.0),
        Kind::Message(id) => (Op::Message, wire::LEN, id.0),
        Kind::Bytes => (Op::Bytes, wire::LEN, 0),
        Kind::Uint32 => (Op::Uint32, wire::VARINT, 0),
        Kind::Enum(id) => (Op::Enum, wire::VARINT, id.0),
        Kind::Sfixed32 => (Op::Sfixed32, wire::FIXED32, 0),
        Kind::Sfixed64 => (Op::Sfixed64, wire::FIXED64, 0),
        Kind::Sint32 => (Op::Sint32, wire::VARINT, 0),
        Kind::Sint64 => (Op::Sint64, wire::VARINT, 0),
    }
}

/// Positions are kept in sixteen bits.
fn small(position: usize) -> u16 {
    u16::try_from(position).expect("schema::load refuses messages with more than MESSAGE_FIELDS_MAX fields")
}
