//! Messages, their fields and enums: names become what they refer to.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    FIELD_NUMBER_MAX, IMPORTS, LoadError, Loader, MESSAGE_FIELDS_MAX, display_type, index, lower_camel,
    position, scope::Scope,
};
use crate::schema::{
    descriptor::{Behavior, Cardinality, Enum, Field, Kind, Message, Symbol, Value},
    features::Resolved,
    proto,
};

impl Loader {
    pub(super) fn link_message(
        &mut self,
        outer: &Scope<'_>,
        message: &proto::MessageType,
        path: &[i32],
    ) -> Result<(), LoadError> {
        let options = message.options.clone().unwrap_or_default();
        let scope = outer.inner(&message.name, options.features, path);
        if message.field.len() > MESSAGE_FIELDS_MAX {
            return Err(scope.error(&format!("more than {MESSAGE_FIELDS_MAX} fields")));
        }
        let mut oneofs = Vec::new();
        let mut oneof_of = vec![None; message.oneof_decl.len()];
        for (i, oneof) in message.oneof_decl.iter().enumerate() {
            let mut members =
                message.field.iter().filter(|field| field.oneof_index == Some(position(i))).peekable();
            if members.peek().is_some() && !members.all(|field| field.proto3_optional) {
                oneof_of[i] = Some(index(oneofs.len()));
                oneofs.push(oneof.name.clone());
            }
        }
        let mut fields = Vec::with_capacity(message.field.len());
        let mut numbers = HashSet::new();
        let mut names: HashMap<String, String> = HashMap::new();
        for (i, field) in message.field.iter().enumerate() {
            let mut linked = self.link_field(&scope, field, &[2, position(i)])?;
            linked.oneof = field
                .oneof_index
                .and_then(|at| usize::try_from(at).ok())
                .and_then(|at| oneof_of.get(at).copied().flatten());
            if !numbers.insert(linked.number) {
                return Err(scope.error(&format!("field number {} is used twice", linked.number)));
            }
            for name in [&linked.name, &linked.json_name] {
                if let Some(other) = names.insert(name.clone(), linked.name.clone())
                    && other != linked.name
                {
                    return Err(
                        scope.error(&format!("fields {other} and {} share the name {name}", linked.name))
                    );
                }
            }
            fields.push(linked);
        }
        let comment = scope.comment(&[]);
        let id = self.pool.find_message(&scope.name).ok_or_else(|| scope.error("was not declared"))?;
        let full_name = Arc::clone(&self.pool.message(id).full_name);
        let (map_entry, resource) = (options.map_entry, options.resource);
        let linked = Message { full_name, fields, oneofs, map_entry, resource, comment };
        self.settle_message(&scope, id, linked)?;
        for (i, nested) in message.nested_type.iter().enumerate() {
            self.link_message(&scope, nested, &[3, position(i)])?;
        }
        for (i, enumeration) in message.enum_type.iter().enumerate() {
            self.link_enum(&scope, enumeration, &[4, position(i)])?;
        }
        Ok(())
    }

    pub(super) fn link_field(
        &self,
        scope: &Scope<'_>,
        field: &proto::FieldType,
        path: &[i32],
    ) -> Result<Field, LoadError> {
        let options = field.options.clone().unwrap_or_default();
        let features = scope.features.overridden(options.features);
        let fail = |why: &str| scope.error(&format!("field {}: {why}", field.name));
        let number = u32::try_from(field.number)
            .ok()
            .filter(|n| (1..=FIELD_NUMBER_MAX).contains(n))
            .ok_or_else(|| fail("number out of range"))?;
        let kind = self.kind(scope, field, features)?;
        let cardinality = match field.label {
            3 => Cardinality::Repeated,
            2 => Cardinality::Required,
            _ if features.required() => Cardinality::Required,
            _ if field.proto3_optional || field.oneof_index.is_some() || kind.message().is_some() => {
                Cardinality::Explicit
            }
            _ if features.implicit_presence() => Cardinality::Implicit,
            _ => Cardinality::Explicit,
        };
        let packable = !matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Group(_));
        Ok(Field {
            json_name: field.json_name.clone().unwrap_or_else(|| lower_camel(&field.name)),
            name: field.name.clone(),
            number,
            kind,
            cardinality,
            oneof: None,
            utf8: true,
            packed: packable && options.packed.unwrap_or(features.packed()),
            default: field.default_value.clone(),
            behavior: options.field_behavior.iter().copied().filter_map(behavior).collect(),
            reference: options.resource_reference.map(|reference| match reference.child_type {
                child if !child.is_empty() => format!("child:{child}"),
                _ => reference.r#type,
            }),
            deprecated: options.deprecated,
            comment: scope.comment(path),
        })
    }

    pub(super) fn kind(
        &self,
        scope: &Scope<'_>,
        field: &proto::FieldType,
        features: Resolved,
    ) -> Result<Kind, LoadError> {
        let fail = |why: String| scope.error(&format!("field {}: {why}", field.name));
        let symbol = || {
            self.resolve(&scope.name, &field.type_name).ok_or_else(|| {
                let name = display_type(&field.type_name);
                fail(format!("type {name} is in none of the loaded files; {IMPORTS}"))
            })
        };
        Ok(match field.r#type {
            1 => Kind::Double,
            2 => Kind::Float,
            3 => Kind::Int64,
            4 => Kind::Uint64,
            5 => Kind::Int32,
            6 => Kind::Fixed64,
            7 => Kind::Fixed32,
            8 => Kind::Bool,
            9 => Kind::String,
            12 => Kind::Bytes,
            13 => Kind::Uint32,
            15 => Kind::Sfixed32,
            16 => Kind::Sfixed64,
            17 => Kind::Sint32,
            18 => Kind::Sint64,
            kind @ (0 | 10 | 11 | 14) => match (symbol()?, kind) {
                (Symbol::Enum(id), 0 | 14) => Kind::Enum(id),
                (Symbol::Message(id), 10) => Kind::Group(id),
                (Symbol::Message(id), 0 | 11) if features.delimited() => Kind::Group(id),
                (Symbol::Message(id), 0 | 11) => Kind::Message(id),
                _ => return Err(fail(format!("{} is of another kind", display_type(&field.type_name)))),
            },
            other => return Err(fail(format!("unknown field type {other}"))),
        })
    }

    pub(super) fn link_enum(
        &mut self,
        outer: &Scope<'_>,
        enumeration: &proto::EnumType,
        path: &[i32],
    ) -> Result<(), LoadError> {
        let scope = outer.inner(&enumeration.name, enumeration.options.and_then(|o| o.features), path);
        let Some(Symbol::Enum(id)) = self.pool.symbols.get(scope.name.as_str()).copied() else {
            return Err(scope.error("was not declared"));
        };
        let values = enumeration.value.iter().enumerate().map(|(i, value)| Value {
            name: value.name.clone(),
            number: value.number,
            deprecated: value.options.is_some_and(|options| options.deprecated),
            comment: scope.comment(&[2, position(i)]),
        });
        let linked = Enum {
            full_name: Arc::clone(&self.pool.enumeration(id).full_name),
            values: values.collect(),
            closed: scope.features.closed_enum(),
            comment: scope.comment(&[]),
        };
        self.settle_enum(&scope, id, linked)
    }
}

fn behavior(number: i32) -> Option<Behavior> {
    Some(match number {
        1 => Behavior::Optional,
        2 => Behavior::Required,
        3 => Behavior::OutputOnly,
        4 => Behavior::InputOnly,
        5 => Behavior::Immutable,
        6 => Behavior::UnorderedList,
        7 => Behavior::NonEmptyDefault,
        8 => Behavior::Identifier,
        _ => return None,
    })
}
