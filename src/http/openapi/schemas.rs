//! Schemas of messages and enums, as components.
//!
//! A message has up to two: `Stream` for answers and updates, where nothing is required (proto3 JSON leaves zero values
//! out, `$fields` leaves out more, and an update is partial), and `StreamInput` for what is created, where the fields
//! that the protos call REQUIRED are. A message without such fields, however deep, has one. Components refer to one
//! another, so messages that contain themselves are no trouble.

use std::collections::BTreeMap;

use utoipa::openapi::{
    AllOfBuilder, ArrayBuilder, Deprecated, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat, Type,
    schema::{AdditionalProperties, Object},
};

use super::{
    known::{self, Given},
    names::ComponentNames,
    oneof,
    prose::Prose,
};
use crate::schema::{Behavior, Cardinality, EnumId, Field, Kind, MessageId, Pool};

/// What a schema is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Form {
    /// What comes back, or changes something that is there.
    Open,
    /// What is sent to make something.
    Input,
    /// What stands in a path or a query.
    Text,
}

/// The components that were asked for, and those that they need.
pub(super) struct Schemas<'p> {
    pool: &'p Pool,
    prose: &'p Prose,
    /// By message: whether it or a message in it has a REQUIRED field.
    demanding: Vec<bool>,
    names: ComponentNames,
    waiting: Vec<(String, Named)>,
    done: BTreeMap<String, RefOr<Schema>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Message(MessageId, Form),
    Enum(EnumId),
}

/// What is said about a schema where it is used.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) description: String,
    pub(super) read_only: bool,
    pub(super) write_only: bool,
    pub(super) deprecated: bool,
}

impl<'p> Schemas<'p> {
    /// Describes the types of a pool under names that are not `ours`.
    pub(super) fn new(pool: &'p Pool, prose: &'p Prose, ours: impl IntoIterator<Item = String>) -> Self {
        Self {
            pool,
            prose,
            demanding: demanding(pool),
            names: ComponentNames::new(pool, ours),
            waiting: Vec::new(),
            done: BTreeMap::new(),
        }
    }

    /// Returns what stands for a message.
    pub(super) fn message(&mut self, id: MessageId, form: Form) -> RefOr<Schema> {
        if form == Form::Text && known::given(&self.pool.message(id).full_name) == Given::Json {
            return RefOr::T(known::json_text().into());
        }
        if let Some(schema) = known::schema(&self.pool.message(id).full_name)
            && &*self.pool.message(id).full_name != known::ANY
        {
            return RefOr::T(schema);
        }
        let form = if self.demanding[id.index()] { form } else { Form::Open };
        // Requests are only ever sent.
        let is_request = self.pool.message(id).full_name.ends_with("Request");
        let suffix = if form == Form::Input && !is_request { "Input" } else { "" };
        let name = self.names.message(id, form, suffix);
        self.component(name, Named::Message(id, form))
    }

    /// Returns a request message without the fields that come from the path, to be sent as a body.
    pub(super) fn body(&mut self, id: MessageId, bound: &[String], form: Form) -> RefOr<Schema> {
        RefOr::T(self.object(id, form, bound))
    }

    /// Names the component that a request message is as a body.
    pub(super) fn body_name(&mut self, id: MessageId) -> String {
        self.names.message(id, Form::Input, "Body").0
    }

    /// Writes what was asked for, and all that it refers to.
    pub(super) fn finish(mut self) -> BTreeMap<String, RefOr<Schema>> {
        while let Some((name, named)) = self.waiting.pop() {
            let schema = match named {
                Named::Message(id, form) => known::schema(&self.pool.message(id).full_name)
                    .unwrap_or_else(|| self.object(id, form, &[])),
                Named::Enum(id) => self.enumeration(id),
            };
            self.done.insert(name, RefOr::T(schema));
        }
        self.done
    }

    /// Returns what stands for a field.
    pub(super) fn field(&mut self, field: &Field, form: Form) -> RefOr<Schema> {
        let notes = Notes {
            description: self.description(field),
            read_only: field.is(Behavior::OutputOnly),
            write_only: field.is(Behavior::InputOnly),
            deprecated: field.deprecated,
        };
        annotate(self.content(field, form), notes)
    }

    /// Returns what stands for all that a field holds.
    pub(super) fn content(&mut self, field: &Field, form: Form) -> RefOr<Schema> {
        match field.cardinality {
            Cardinality::Map(entry) => self.map(entry, form),
            Cardinality::Repeated => {
                RefOr::T(ArrayBuilder::new().items(self.kind(field.kind, form)).build().into())
            }
            _ => self.kind(field.kind, form),
        }
    }

    /// Returns what stands for one value.
    pub(super) fn kind(&mut self, kind: Kind, form: Form) -> RefOr<Schema> {
        match kind {
            Kind::Message(id) | Kind::Group(id) => self.message(id, form),
            Kind::Enum(id) => {
                if &*self.pool.enumeration(id).full_name == "google.protobuf.NullValue" {
                    if form == Form::Text {
                        return RefOr::T(known::null_text().into());
                    }
                    return RefOr::T(ObjectBuilder::new().schema_type(Type::Null).build().into());
                }
                let name = self.names.enumeration(id);
                self.component(name, Named::Enum(id))
            }
            scalar => RefOr::T(known::scalar(scalar).into()),
        }
    }

    /// Says what a field is for.
    pub(super) fn description(&self, field: &Field) -> String {
        let mut text = self.prose.text(&field.comment);
        if field.is(Behavior::Immutable) {
            text.push_str(" Cannot be changed later.");
        }
        if field.deprecated && !text.to_lowercase().contains("deprecated") {
            text.push_str(" Deprecated.");
        }
        text.trim().to_owned()
    }

    fn component(&mut self, (name, is_new): (String, bool), named: Named) -> RefOr<Schema> {
        if is_new {
            self.waiting.push((name.clone(), named));
        }
        RefOr::Ref(Ref::from_schema_name(name))
    }

    fn object(&mut self, id: MessageId, form: Form, without: &[String]) -> Schema {
        let message = self.pool.message(id);
        let mut object = ObjectBuilder::new().schema_type(Type::Object);
        for field in message.fields.iter().filter(|field| !without.contains(&field.name)) {
            object = object.property(&field.json_name, self.field(field, form));
            if form == Form::Input && is_required(field) {
                object = object.required(&field.json_name);
            }
        }
        let text = self.prose.text(&message.comment);
        oneof::constrain(object, message, without, text)
    }

    fn map(&mut self, entry: MessageId, form: Form) -> RefOr<Schema> {
        let value = self.pool.message(entry).field("value").map(|field| field.kind);
        let value = value.map_or(RefOr::T(Schema::default()), |kind| self.kind(kind, form));
        let values = AdditionalProperties::RefOr(value);
        RefOr::T(
            ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(values)).build().into(),
        )
    }

    fn enumeration(&self, id: EnumId) -> Schema {
        let enumeration = self.pool.enumeration(id);
        let mut text = self.prose.text(&enumeration.comment);
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        for value in &enumeration.values {
            let meaning = self.prose.text(&value.comment).replace("\n\n", " ");
            let deprecated = if value.deprecated { " Deprecated." } else { "" };
            text.push_str(&format!("- `{}`: {meaning}{deprecated}\n", value.name));
        }
        let names = enumeration.values.iter().map(|value| value.name.as_str());
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(names))
            .description(Some(text.trim_end()))
            .build()
            .into()
    }
}

/// Whether a field must be there in what is sent to make something.
pub(super) fn is_required(field: &Field) -> bool {
    field.is(Behavior::Required) || field.cardinality == Cardinality::Required
}

/// Finds the messages that have a REQUIRED field, or a message that has.
fn demanding(pool: &Pool) -> Vec<bool> {
    let mut demanding: Vec<bool> =
        pool.messages().map(|(_, message)| message.fields.iter().any(is_required)).collect();
    loop {
        let mut grown = false;
        for (id, message) in pool.messages() {
            let inner = |field: &Field| {
                let entry = match field.cardinality {
                    Cardinality::Map(entry) => Some(entry),
                    _ => field.kind.message(),
                };
                entry.is_some_and(|inner| demanding[inner.index()])
            };
            if !demanding[id.index()] && message.fields.iter().any(inner) {
                demanding[id.index()] = true;
                grown = true;
            }
        }
        if !grown {
            return demanding;
        }
    }
}

/// Leaves out the part of a package that all have.
pub(super) fn short(full_name: &str) -> &str {
    let rest = full_name.strip_prefix("google.").unwrap_or(full_name);
    if rest.len() < full_name.len() { rest.strip_prefix("cloud.").unwrap_or(rest) } else { full_name }
}

/// Adds what is said about a schema where it is used.
pub(super) fn annotate(schema: RefOr<Schema>, notes: Notes) -> RefOr<Schema> {
    let Notes { description, read_only, write_only, deprecated } = notes;
    let flag = |on: bool| on.then_some(true);
    let old = deprecated.then_some(Deprecated::True);
    let text = (!description.is_empty()).then_some(description);
    match schema {
        RefOr::Ref(mut reference) => {
            reference.description = text.unwrap_or_default();
            reference.read_only = flag(read_only);
            reference.write_only = flag(write_only);
            RefOr::Ref(reference)
        }
        RefOr::T(Schema::Object(mut object)) => {
            object.description = text.or(object.description);
            object.read_only = flag(read_only);
            object.write_only = flag(write_only);
            object.deprecated = old;
            RefOr::T(object.into())
        }
        RefOr::T(Schema::Array(mut array)) => {
            array.description = text;
            array.deprecated = old;
            // The builder knows no such keywords for arrays; one at most is set, so their order is no question.
            let keyword = match (read_only, write_only) {
                (true, _) => Some("readOnly"),
                (_, true) => Some("writeOnly"),
                _ => None,
            };
            array.extensions = keyword.map(|keyword| [(keyword, true)].into_iter().collect());
            RefOr::T(array.into())
        }
        RefOr::T(other) => RefOr::T(AllOfBuilder::new().item(other).description(text).build().into()),
    }
}

/// Returns a schema of strings.
pub(super) fn string(pattern: Option<&str>, format: Option<&str>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(pattern)
        .format(format.map(|format| SchemaFormat::Custom(format.to_owned())))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_names_leave_out_what_all_have() {
        for (full_name, expected) in [
            ("google.cloud.datastream.v1.Stream", "datastream.v1.Stream"),
            ("google.longrunning.Operation", "longrunning.Operation"),
            ("cloud.v1.Thing", "cloud.v1.Thing"),
            ("acme.v1.Book", "acme.v1.Book"),
        ] {
            assert_eq!(short(full_name), expected);
        }
    }
}
