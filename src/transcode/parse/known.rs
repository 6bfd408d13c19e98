//! The well-known types that JSON writes in a form of their own.

use super::{Parser, object, scalar};
use crate::{
    error::Result,
    transcode::{
        json::{DEPTH_MAX, Next},
        mask,
        number::parse_double,
        tables::{MessageTable, Shape},
        time,
        wire::{self, FIXED64, LEN, VARINT, put_bytes, put_tag, put_varint},
    },
};

impl Parser<'_, '_> {
    pub(super) fn known(&mut self, table: &MessageTable, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(self.reader.too_deep());
        }
        match table.shape {
            Shape::Timestamp | Shape::Duration | Shape::FieldMask => {
                self.textual(table.shape, Spelling::Json, out)
            }
            Shape::Wrapper => self.wrapper(table, out),
            Shape::Struct => self.structure(out, depth),
            Shape::ListValue => self.values(out, depth),
            Shape::Value => self.dynamic(out, depth),
            Shape::Any => self.any(out, depth),
            Shape::Plain => {
                self.enter(table, depth)?;
                self.fields(table, out, depth, false)
            }
        }
    }

    pub(super) fn textual(&mut self, shape: Shape, spelling: Spelling, out: &mut Vec<u8>) -> Result<()> {
        let kind = self.reader.peek()?;
        let offset = self.reader.offset();
        if kind == Next::String && put_textual(shape, &self.reader.string()?, spelling, out) {
            return Ok(());
        }
        Err(self.wrong_at(offset, &format!("expected {}", expected_text(shape))))
    }

    fn wrapper(&mut self, table: &MessageTable, out: &mut Vec<u8>) -> Result<()> {
        let field = &table.fields[0];
        put_tag(out, field.number, field.wire);
        self.scalar(field, out).map(drop)
    }

    /// Reads an object into the content of a `google.protobuf.Struct`.
    fn structure(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(self.reader.too_deep());
        }
        if self.reader.peek()? != Next::Object {
            return Err(self.wrong("expected an object"));
        }
        self.reader.object()?;
        let mut keys = self.no_keys();
        loop {
            let offset = self.reader.offset();
            let Some(key) = self.reader.key(keys.is_empty())? else { break };
            if !keys.insert(key.clone()) {
                return Err(self.wrong_at(offset, "the key is given twice").within(&object::shown(&key)));
            }
            put_tag(out, 1, LEN);
            let entry = wire::open(out);
            put_tag(out, 1, LEN);
            put_bytes(out, key.as_bytes());
            put_tag(out, 2, LEN);
            let value = wire::open(out);
            self.dynamic(out, depth + 1).map_err(|error| error.within(&object::shown(&key)))?;
            wire::close(out, value);
            wire::close(out, entry);
        }
        self.put_back(keys);
        Ok(())
    }

    /// Reads a list into the content of a `google.protobuf.ListValue`.
    fn values(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(self.reader.too_deep());
        }
        if self.reader.peek()? != Next::List {
            return Err(self.wrong("expected a list"));
        }
        self.reader.list()?;
        let mut count = 0_usize;
        while self.reader.element(count == 0)? {
            put_tag(out, 1, LEN);
            let value = wire::open(out);
            self.dynamic(out, depth + 1).map_err(|error| error.within(&format!("[{count}]")))?;
            wire::close(out, value);
            count += 1;
        }
        Ok(())
    }

    /// Reads anything into the content of a `google.protobuf.Value`.
    pub(super) fn dynamic(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        match self.reader.peek()? {
            Next::Null => {
                self.reader.literal("null")?;
                put_tag(out, 1, VARINT);
                out.push(0);
            }
            Next::Number => {
                let offset = self.reader.offset();
                let Some(number) = parse_double(self.reader.number()?) else {
                    return Err(self.wrong_at(offset, "the number is too large for a double"));
                };
                put_tag(out, 2, FIXED64);
                out.extend_from_slice(&number.to_le_bytes());
            }
            Next::String => {
                let text = self.reader.string()?;
                put_tag(out, 3, LEN);
                put_bytes(out, text.as_bytes());
            }
            word @ (Next::True | Next::False) => {
                self.reader.literal(if word == Next::True { "true" } else { "false" })?;
                put_tag(out, 4, VARINT);
                out.push(u8::from(word == Next::True));
            }
            Next::Object => {
                put_tag(out, 5, LEN);
                let start = wire::open(out);
                self.structure(out, depth + 1)?;
                wire::close(out, start);
            }
            Next::List => {
                put_tag(out, 6, LEN);
                let start = wire::open(out);
                self.values(out, depth + 1)?;
                wire::close(out, start);
            }
        }
        Ok(())
    }
}

/// How a field mask is spelt: in a query, and where it is what a request is about, either way; elsewhere in JSON only in
/// camelCase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transcode) enum Spelling {
    Json,
    Query,
}

/// Writes the content of a message whose JSON form is one string. Returns `false` if the text is no such thing.
pub(in crate::transcode) fn put_textual(
    shape: Shape,
    text: &str,
    spelling: Spelling,
    out: &mut Vec<u8>,
) -> bool {
    let time = match shape {
        Shape::Timestamp => time::parse_timestamp(text),
        Shape::Duration => time::parse_duration(text),
        Shape::FieldMask => {
            let paths = match spelling {
                Spelling::Json => mask::from_json(text),
                Spelling::Query => mask::from_query(text),
            };
            return paths.is_some_and(|paths| {
                for path in paths {
                    put_tag(out, 1, LEN);
                    put_bytes(out, path.as_bytes());
                }
                true
            });
        }
        _ => None,
    };
    let Some((seconds, nanos)) = time else { return false };
    if seconds != 0 {
        put_tag(out, 1, VARINT);
        put_varint(out, seconds as u64);
    }
    if nanos != 0 {
        put_tag(out, 2, VARINT);
        put_varint(out, i64::from(nanos) as u64);
    }
    true
}

/// Says what such a string looks like.
pub(in crate::transcode) fn expected_text(shape: Shape) -> &'static str {
    match shape {
        Shape::Timestamp => "a time such as \"2026-01-31T12:30:00Z\"",
        Shape::Duration => "a duration in seconds such as \"3.5s\"",
        Shape::FieldMask => "field names in camelCase, separated by commas, such as \"displayName,labels\"",
        _ => scalar::expected(crate::transcode::tables::Op::Message),
    }
}
