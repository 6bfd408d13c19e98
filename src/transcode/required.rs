//! Fields without which a message cannot be read: `required` of proto2, `LEGACY_REQUIRED` of editions.
//!
//! Only a request whose message can hold one is looked at. What is inside an `Any` is left alone: nobody has to read it.

use std::collections::BTreeMap;

use super::{
    parse::object::shown,
    peek::{self, Peeked},
    seen::Seen,
    tables::{Card, FieldTable, MessageTable, NO_ONEOF, Op, Tables},
    wire::{Cursor, GROUP, LEN, Malformed},
};
use crate::error::{Error, Result};

/// Looks through a request that was made here.
///
/// # Errors
/// A field is missing; its path is named.
pub(super) fn require(tables: &Tables, index: u32, request: &[u8]) -> Result<()> {
    if tables.message(index).has_required { message(tables, index, &[request]) } else { Ok(()) }
}

/// The pieces of a message are one: path, query and body each write theirs.
fn message(tables: &Tables, index: u32, pieces: &[&[u8]]) -> Result<()> {
    let table = tables.message(index);
    let mut seen = Seen::default();
    let mut inner: BTreeMap<usize, Vec<&[u8]>> = BTreeMap::new();
    for piece in pieces {
        let mut cursor = Cursor::new(piece);
        while !cursor.is_empty() {
            let (number, kind) = cursor.tag()?;
            let Some(at) = table.by_number(number) else {
                cursor.skip(number, kind)?;
                continue;
            };
            seen.set(at);
            let field = &table.fields[at];
            if field.oneof != NO_ONEOF {
                // The last member of a oneof takes the place of the others.
                inner.retain(|other, _| *other == at || table.fields[*other].oneof != field.oneof);
            }
            let content = match kind {
                LEN if looks_into(tables, field) => cursor.bytes()?,
                GROUP if looks_into(tables, field) => cursor.group(number)?,
                _ => {
                    cursor.skip(number, kind)?;
                    continue;
                }
            };
            inner.entry(at).or_default().push(content);
        }
    }
    if let Some(missing) = missing(table, &seen) {
        return Err(Error::invalid_field(&*missing.json_name, format!("is required in {}", table.name)));
    }
    for (at, contents) in inner {
        let field = &table.fields[at];
        let within = |error: Error| error.within(&field.json_name);
        if field.card == Card::Singular {
            message(tables, field.child, &contents).map_err(within)?;
            continue;
        }
        for (place, content) in contents.into_iter().enumerate() {
            match field.card {
                Card::Map => entry(tables, tables.message(field.child), content),
                _ => message(tables, field.child, &[content])
                    .map_err(|error| error.within(&format!("[{place}]"))),
            }
            .map_err(within)?;
        }
    }
    Ok(())
}

/// Looks at the value of a map's entry.
fn entry(tables: &Tables, table: &MessageTable, content: &[u8]) -> Result<()> {
    let (Some(key), Some(value)) = (table.field(1), table.field(2)) else { return Ok(()) };
    let mut pieces = Vec::with_capacity(1);
    let mut cursor = Cursor::new(content);
    while !cursor.is_empty() {
        match cursor.tag()? {
            (2, LEN) => pieces.push(cursor.bytes()?),
            (number, kind) => cursor.skip(number, kind)?,
        }
    }
    let key = key_text(key, content)?;
    message(tables, value.child, &pieces).map_err(|error| error.within(&format!("[{}]", shown(&key))))
}

fn key_text(key: &FieldTable, entry: &[u8]) -> Result<String, Malformed> {
    let sign = |bits: u64| (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed();
    Ok(match (peek::last(entry, 1)?, key.op) {
        (Some(Peeked::Bytes(text)), _) => String::from_utf8_lossy(text).into_owned(),
        (Some(Peeked::Varint(bits)), Op::Bool) => (bits != 0).to_string(),
        (Some(Peeked::Varint(bits)), Op::Sint32 | Op::Sint64) => sign(bits).to_string(),
        (Some(Peeked::Varint(bits)), Op::Uint32 | Op::Uint64) => bits.to_string(),
        (Some(Peeked::Varint(bits)), _) => bits.cast_signed().to_string(),
        (Some(Peeked::Fixed32(bytes)), Op::Fixed32) => u32::from_le_bytes(bytes).to_string(),
        (Some(Peeked::Fixed32(bytes)), _) => i32::from_le_bytes(bytes).to_string(),
        (Some(Peeked::Fixed64(bytes)), Op::Fixed64) => u64::from_le_bytes(bytes).to_string(),
        (Some(Peeked::Fixed64(bytes)), _) => i64::from_le_bytes(bytes).to_string(),
        (None, _) => String::new(),
    })
}

/// Returns the first field that a message lacks.
fn missing<'t>(table: &'t MessageTable, seen: &Seen) -> Option<&'t FieldTable> {
    let mut required = table.fields.iter().enumerate().filter(|(_, field)| field.is_required);
    required.find(|(at, _)| !seen.has(*at)).map(|(_, field)| field)
}

/// Whether there can be a required field in the value of this one.
fn looks_into(tables: &Tables, field: &FieldTable) -> bool {
    matches!(field.op, Op::Message | Op::Group) && tables.message(field.child).has_required
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        schema::{Body, Pool, fixture},
        transcode::{Transcoder, UnknownFields},
    };

    const PROTO: &str = r#"syntax = "proto2"; package old;
        message Order {
          required string id = 1; optional Line first = 2; repeated Line lines = 3; map<string, Line> named = 4;
          map<sint32, Line> numbered = 5; optional group Packing = 6 { required string paper = 1; }
          oneof way { Line one = 7; Line other = 8; }
          optional Order next = 9;
        }
        message Line { required int32 amount = 1; optional string note = 2; }
        message Free { optional string id = 1; optional Free next = 2; }
        message Request { optional Order order = 1; optional string id = 2; }"#;

    fn pool() -> Pool {
        Pool::load(&[("old.binpb", &fixture::compile(&[("old.proto", PROTO)]))]).unwrap()
    }

    #[test]
    fn only_messages_that_can_lack_something_are_looked_at() {
        let tables = Tables::new(&pool());
        let has_required = |name: &str| tables.message(tables.find(name).unwrap()).has_required;
        for name in ["old.Order", "old.Line", "old.Request", "old.Order.NamedEntry", "old.Order.Packing"] {
            assert!(has_required(name), "{name}");
        }
        assert!(!has_required("old.Free"));
    }

    /// It was sent, and the upstream could not read it.
    #[test]
    fn a_request_without_a_required_field_is_refused_with_its_path() {
        let pool = pool();
        let request = pool.find_message("old.Request").unwrap();
        let body = Body::Field("order".to_owned());
        let plan = Transcoder::new(&pool).request(request, &["order.id"], &body).unwrap();
        let send = |id: &[std::borrow::Cow<'_, str>], query: &str, body: &str| {
            plan.to_wire(id, &plan.query(query).unwrap(), body.as_bytes(), UnknownFields::Reject)
        };
        for (query, body, path) in [
            ("", r#"{"first": {}}"#, "order.first.amount"),
            ("", r#"{"first": {"note": "n"}}"#, "order.first.amount"),
            ("", r#"{"lines": [{"amount": 0}, {"note": "n"}]}"#, "order.lines[1].amount"),
            ("", r#"{"named": {"a.b": {}}}"#, "order.named[a.b].amount"),
            ("", r#"{"numbered": {"-3": {}}}"#, "order.numbered[-3].amount"),
            ("", r#"{"packing": {}}"#, "order.packing.paper"),
            ("", r#"{"other": {}}"#, "order.other.amount"),
            ("", r#"{"next": {"first": {"amount": 1}}}"#, "order.next.id"),
            ("", r#"{"next": {"id": null}}"#, "order.next.id"),
            ("order.next.first.note=n", r#"{"next": {"id": "x"}}"#, "order.next.first.amount"),
        ] {
            let refused = send(&["o".into()], query, body).unwrap_err();
            assert_eq!(refused.violations()[0].field, path, "{query} {body}");
        }
        // Path, query and body are one request, and the last member of a oneof is the only one.
        for (query, body) in [
            ("", ""),
            ("", r#"{"id": "b", "lines": [], "named": {"a": {"amount": 1}}, "packing": {"paper": ""}}"#),
            ("order.first.amount=1", r#"{"first": {"note": "n"}}"#),
            ("order.next.id=x&order.next.first.amount=0", r#"{"next": {"first": {}}}"#),
            ("order.one.note=n", r#"{"other": {"amount": 1}}"#),
        ] {
            assert!(send(&["o".into()], query, body).is_ok(), "{query} {body}");
        }
        let without = Transcoder::new(&pool).request(request, &[], &Body::All).unwrap();
        let send = |body: &str| {
            without.to_wire(&[], &without.query("").unwrap(), body.as_bytes(), UnknownFields::Reject)
        };
        assert!(send(r#"{"id": "i"}"#).is_ok());
        assert_eq!(send(r#"{"order": {}}"#).unwrap_err().violations()[0].field, "order.id");
    }
}
