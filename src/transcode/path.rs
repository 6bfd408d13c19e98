//! Dotted paths of query and template, bound to the fields they lead to, and written as nested messages.

use super::{
    json::Reader,
    parse::{
        Parser, UnknownFields,
        known::{Spelling, expected_text, put_textual},
        object::unknown_field,
        scalar::{expected, put_text, unknown_value},
    },
    tables::{Card, FieldTable, MessageTable, Op, Shape, Tables},
    wire::{self, LEN, put_bytes, put_tag, put_varint},
};
use crate::error::{Error, Result};

/// Steps of one path.
const STEPS_MAX: usize = 16;

/// A path through messages to one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path<'n> {
    /// Position of a field in the message that the steps before lead to.
    pub(super) steps: Vec<u16>,
    /// The key in `labels[key]`.
    pub(super) key: Option<&'n str>,
}

impl<'n> Path<'n> {
    /// Follows `name`, e.g. `a.b_c`, `a.bC` or `labels[k]`, from the message at `index`.
    ///
    /// # Errors
    /// A name that a message does not have, a path through a list or into a scalar.
    pub(super) fn resolve(tables: &Tables, index: u32, name: &'n str) -> Result<Self> {
        let (dotted, key) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
            Some((dotted, key)) => (dotted, Some(key)),
            None => (name, None),
        };
        let mut steps = Vec::with_capacity(4);
        let mut at = index;
        let mut segments = dotted.split('.').peekable();
        while let Some(segment) = segments.next() {
            if steps.len() >= STEPS_MAX {
                return Err(Error::limit(format!("A parameter name has more than {STEPS_MAX} parts.")));
            }
            let table = tables.message(at);
            let found = table.by_name(segment, steps.len()).filter(|_| table.shape == Shape::Plain);
            let Some(position) = found else {
                if segment.is_empty() && is_extension(table, key) {
                    let why = "an extension cannot be given in the query; send it in a body";
                    return Err(Error::invalid_field(name, why));
                }
                return Err(unknown_field(table, name, ""));
            };
            steps.push(u16::try_from(position).unwrap_or(u16::MAX));
            let field = &table.fields[position];
            if segments.peek().is_none() {
                if key.is_some() && field.card != Card::Map {
                    return Err(Error::invalid_field(name, "only a map takes a key in brackets"));
                }
                return Ok(Self { steps, key });
            }
            if field.card != Card::Singular {
                let why = "a list or map of messages cannot be given in the query; send it in a body";
                return Err(Error::invalid_field(name, why));
            }
            if !matches!(field.op, Op::Message | Op::Group) {
                return Err(Error::invalid_field(name, format!("{segment} is no message and has no fields")));
            }
            at = field.child;
        }
        Err(Error::invalid_field("query", "a parameter without a name"))
    }

    /// Returns the field at the end.
    pub(super) fn leaf<'t>(&self, tables: &'t Tables, index: u32) -> &'t FieldTable {
        leaf(tables, index, &self.steps)
    }
}

/// Whether `[key]` is how JSON calls an extension of the message.
fn is_extension(table: &MessageTable, key: Option<&str>) -> bool {
    key.is_some_and(|key| table.by_name(&format!("[{key}]"), 0).is_some())
}

/// Returns the field at the end of resolved steps.
pub(super) fn leaf<'t>(tables: &'t Tables, index: u32, steps: &[u16]) -> &'t FieldTable {
    let (last, front) = steps.split_last().expect("a path has at least one step");
    let at = front.iter().fold(index, |at, step| tables.message(at).fields[usize::from(*step)].child);
    &tables.message(at).fields[usize::from(*last)]
}

/// Writes a value at the end of a path. What is on the way is written as messages that hold nothing else: the wire
/// format merges them with what else is written under the same fields.
pub(super) fn put(
    tables: &Tables,
    index: u32,
    steps: &[u16],
    key: Option<&str>,
    text: &str,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let (step, rest) = steps.split_first().expect("a path has at least one step");
    let field = &tables.message(index).fields[usize::from(*step)];
    if rest.is_empty() {
        return put_leaf(tables, field, key, text, out);
    }
    put_tag(out, field.number, field.wire);
    if field.op == Op::Group {
        put(tables, field.child, rest, key, text, out)?;
        put_tag(out, field.number, wire::END);
        return Ok(());
    }
    let start = wire::open(out);
    put(tables, field.child, rest, key, text, out)?;
    wire::close(out, start);
    Ok(())
}

fn put_leaf(
    tables: &Tables,
    field: &FieldTable,
    key: Option<&str>,
    text: &str,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    if field.card != Card::Map {
        return put_value(tables, field, text, out);
    }
    let Some(key) = key else {
        return Err(format!("is a map; write {}[key]=value", field.json_name));
    };
    let entry = tables.message(field.child);
    let (Some(key_field), Some(value_field)) = (entry.field(1), entry.field(2)) else {
        return Err("is a map without an entry type".to_owned());
    };
    put_tag(out, field.number, LEN);
    let start = wire::open(out);
    put_value(tables, key_field, key, out)?;
    put_value(tables, value_field, text, out)?;
    wire::close(out, start);
    Ok(())
}

/// Writes one value with its tag.
fn put_value(tables: &Tables, field: &FieldTable, text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    put_tag(out, field.number, field.wire);
    match field.op {
        Op::Message => {
            let start = wire::open(out);
            put_message(tables, field.child, text, out)?;
            wire::close(out, start);
            Ok(())
        }
        Op::Group => Err("is a message; give its fields one by one".to_owned()),
        Op::Enum => {
            let table = tables.enumeration(field.child);
            let number = table.of_text(text).ok_or_else(|| unknown_value(table, text))?;
            put_varint(out, i64::from(number) as u64);
            Ok(())
        }
        _ if put_text(field, text, out) => Ok(()),
        op => Err(format!("expected {}", expected(op))),
    }
}

/// Writes the content of a message that has a form as text.
fn put_message(tables: &Tables, index: u32, text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let table = tables.message(index);
    match table.shape {
        Shape::Timestamp | Shape::Duration | Shape::FieldMask => {
            if put_textual(table.shape, text, Spelling::Query, out) {
                return Ok(());
            }
            Err(format!("expected {}", expected_text(table.shape)))
        }
        Shape::Wrapper => put_value(tables, &table.fields[0], text, out),
        Shape::Struct | Shape::Value | Shape::ListValue => {
            let mut parser = Parser::new(tables, Reader::of_str(text), UnknownFields::Reject);
            let read = parser.root(index, out).and_then(|()| parser.finish());
            read.map(drop).map_err(|error| error.message().to_owned())
        }
        Shape::Any | Shape::Plain => {
            Err(format!("is a message ({}); give its fields one by one, or send a body", table.name))
        }
    }
}

/// Writes the two fields of a `google.api.HttpBody`.
pub(super) fn put_http_body(content_type: &str, data: &[u8], out: &mut Vec<u8>) {
    if !content_type.is_empty() {
        put_tag(out, 1, LEN);
        put_bytes(out, content_type.as_bytes());
    }
    put_tag(out, 2, LEN);
    put_bytes(out, data);
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use crate::{
        schema::{Body, EMBEDDED, Pool, fixture},
        transcode::{Query, Transcoder, UnknownFields},
    };

    /// Says why a query with this name is refused.
    fn refused(pool: &Pool, message: &str, name: &str) -> String {
        let input = pool.find_message(message).unwrap();
        let plan = Transcoder::new(pool).request(input, &[], &Body::None).unwrap();
        let query = Query { pairs: vec![(Cow::Borrowed(name), Cow::Borrowed("1"))], ..Query::default() };
        plan.to_wire(&[], &query, b"", UnknownFields::Reject).unwrap_err().to_string()
    }

    #[test]
    fn an_extension_in_the_query_is_told_where_it_can_be_given() {
        let old = r#"syntax = "proto2"; package old; message Old { optional Old child = 1; extensions 100 to 200; }
            extend Old { optional string more = 100; }"#;
        let pool = Pool::load(&[EMBEDDED, ("old.binpb", &fixture::compile(&[("old.proto", old)]))]).unwrap();
        for name in ["[old.more]", "child.[old.more]"] {
            let told = refused(&pool, "old.Old", name);
            assert!(told.contains("an extension cannot be given in the query; send it in a body"), "{told}");
        }
    }

    #[test]
    fn what_is_suggested_is_not_what_was_given() {
        let pool = Pool::load(&[EMBEDDED]).unwrap();
        let told = refused(&pool, "google.protobuf.StringValue", "value");
        assert!(told.contains("no such field") && !told.contains("Did you mean value?"), "{told}");
    }
}
