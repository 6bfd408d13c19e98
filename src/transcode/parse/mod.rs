//! JSON to wire format, straight from the text: no tree, no message in memory.
//!
//! Lengths of nested messages are written behind the fact ([`wire::close`]). Errors name the field by the path that
//! leads to it: each level adds its own step while the error goes up, so that the way down costs nothing.

mod any;
pub(super) mod known;
pub(super) mod object;
pub(super) mod scalar;

use std::borrow::Cow;

use super::{
    json::{Next, Reader},
    tables::{Card, FieldTable, MessageTable, Op, Shape, Tables},
    wire::{self, LEN, put_tag},
};
use crate::error::{Error, Result};

/// Names of dropped fields that are reported per request.
pub(super) const IGNORED_MAX: usize = 32;

/// What happens to fields, and names of enum values, that no descriptor knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// The request is refused.
    #[default]
    Reject,
    /// They are dropped.
    Ignore,
    /// They are dropped, and the answer says so.
    Warn,
}

/// Reads JSON into wire format.
pub(super) struct Parser<'t, 'j> {
    tables: &'t Tables,
    reader: Reader<'j>,
    unknown: UnknownFields,
    any_depth: usize,
    /// Paths of what was dropped, at most [`IGNORED_MAX`].
    ignored: Vec<String>,
    /// What the last map kept its keys in, for the next one: a page of resources with labels has many maps.
    spare_keys: Option<object::Keys<'j>>,
}

impl<'t, 'j> Parser<'t, 'j> {
    pub(super) fn new(tables: &'t Tables, reader: Reader<'j>, unknown: UnknownFields) -> Self {
        Self { tables, reader, unknown, any_depth: 0, ignored: Vec::new(), spare_keys: None }
    }

    /// Makes sure that nothing follows, and returns the paths of what was dropped.
    pub(super) fn finish(mut self) -> Result<Vec<String>> {
        self.reader.end()?;
        Ok(self.ignored)
    }

    /// Reads a whole body into the message at `index`.
    pub(super) fn root(&mut self, index: u32, out: &mut Vec<u8>) -> Result<()> {
        self.message(index, out, 0)
    }

    /// Reads a whole body into one field of a message, tag and all. `null` leaves the field out.
    pub(super) fn root_field(&mut self, field: &FieldTable, out: &mut Vec<u8>) -> Result<()> {
        let before = self.ignored.len();
        self.member(field, out, 0).map_err(|error| error.within(&field.json_name))?;
        self.prefix_ignored(before, &field.json_name);
        Ok(())
    }

    /// Reads the content of a message, without tag and length.
    fn message(&mut self, index: u32, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        let table = self.tables.message(index);
        match table.shape {
            Shape::Plain => {
                self.enter(table, depth)?;
                self.fields(table, out, depth, false)
            }
            _ => self.known(table, out, depth),
        }
    }

    /// Reads `{` where a message begins.
    fn enter(&mut self, table: &MessageTable, depth: usize) -> Result<()> {
        if depth > super::json::DEPTH_MAX {
            return Err(self.reader.too_deep());
        }
        if self.reader.peek()? != Next::Object {
            return Err(self.wrong(&format!("expected an object ({})", table.name)));
        }
        self.reader.object()
    }

    /// Reads the value of a field in an object. Returns whether there was one: `null` is none.
    fn member(&mut self, field: &FieldTable, out: &mut Vec<u8>, depth: usize) -> Result<bool> {
        if self.reader.peek()? == Next::Null && !(field.null_is_value && field.card == Card::Singular) {
            self.reader.literal("null")?;
            return Ok(false);
        }
        match field.card {
            Card::Singular => self.one(field, out, depth),
            Card::Repeated => self.list(field, out, depth).map(|()| true),
            Card::Map => self.map(field, out, depth).map(|()| true),
        }
    }

    /// Reads one value and writes it with its tag. Returns whether it was kept.
    fn one(&mut self, field: &FieldTable, out: &mut Vec<u8>, depth: usize) -> Result<bool> {
        let before = out.len();
        put_tag(out, field.number, field.wire);
        let kept = match field.op {
            Op::Message => {
                let start = wire::open(out);
                if field.is_request_mask {
                    self.textual(Shape::FieldMask, known::Spelling::Query, out)?;
                } else {
                    self.message(field.child, out, depth + 1)?;
                }
                wire::close(out, start);
                true
            }
            Op::Group => {
                self.message(field.child, out, depth + 1)?;
                put_tag(out, field.number, wire::END);
                true
            }
            _ => self.scalar(field, out)?,
        };
        if !kept {
            out.truncate(before);
        }
        Ok(kept)
    }

    fn list(&mut self, field: &FieldTable, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        if self.reader.peek()? != Next::List {
            return Err(self.wrong("expected a list"));
        }
        self.reader.list()?;
        let before = out.len();
        let packed = field.packed.then(|| {
            put_tag(out, field.number, LEN);
            wire::open(out)
        });
        let mut count = 0_usize;
        while self.reader.element(count == 0)? {
            let ignored = self.ignored.len();
            self.element(field, packed.is_some(), out, depth)
                .map_err(|error| error.within(&format!("[{count}]")))?;
            self.prefix_ignored(ignored, &format_args!("[{count}]"));
            count += 1;
        }
        match packed {
            Some(start) if out.len() == start => out.truncate(before),
            Some(start) => wire::close(out, start),
            None => {}
        }
        Ok(())
    }

    fn element(&mut self, field: &FieldTable, packed: bool, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        if self.reader.peek()? == Next::Null && !field.null_is_value {
            return Err(self.wrong("null cannot be an element of a list"));
        }
        if packed {
            let before = out.len();
            if !self.scalar(field, out)? {
                out.truncate(before);
            }
            return Ok(());
        }
        self.one(field, out, depth).map(drop)
    }

    fn map(&mut self, field: &FieldTable, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        if self.reader.peek()? != Next::Object {
            return Err(self.wrong("expected an object"));
        }
        let entry = self.tables.message(field.child);
        let (Some(key_field), Some(value_field)) = (entry.field(1), entry.field(2)) else {
            return Err(self.wrong("the map has no entry type"));
        };
        self.reader.object()?;
        let mut keys = self.no_keys();
        loop {
            // Where the key is: behind it stands what is not to blame.
            let offset = self.reader.offset();
            let Some(key) = self.reader.key(keys.is_empty())? else { break };
            let step = || format!("[{}]", object::shown(&key));
            if !keys.insert(key.clone()) {
                return Err(self.wrong_at(offset, "the key is given twice").within(&step()));
            }
            let before = out.len();
            let ignored = self.ignored.len();
            put_tag(out, field.number, LEN);
            let start = wire::open(out);
            put_tag(out, 1, key_field.wire);
            if !scalar::put_key(key_field, &key, out) {
                let why = format!("the key must be {}", scalar::expected(key_field.op));
                return Err(self.wrong_at(offset, &why).within(&step()));
            }
            let kept = self.map_value(value_field, out, depth).map_err(|error| error.within(&step()))?;
            self.prefix_ignored(ignored, &format_args!("[{}]", object::shown(&key)));
            if kept {
                wire::close(out, start);
            } else {
                out.truncate(before);
            }
        }
        self.put_back(keys);
        Ok(())
    }

    /// Reads the value of an entry whose key is written.
    fn map_value(&mut self, value_field: &FieldTable, out: &mut Vec<u8>, depth: usize) -> Result<bool> {
        if self.reader.peek()? == Next::Null && !value_field.null_is_value {
            return Err(self.wrong("null cannot be a value of a map"));
        }
        self.one(value_field, out, depth + 1)
    }

    /// Puts a step before the paths of what was dropped since `before`.
    fn prefix_ignored(&mut self, before: usize, step: &dyn std::fmt::Display) {
        for path in self.ignored.iter_mut().skip(before) {
            let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
            *path = format!("{step}{dot}{path}");
        }
    }

    fn ignore(&mut self, path: &str) {
        if self.ignored.len() < IGNORED_MAX {
            self.ignored.push(object::shown(path).into_owned());
        }
    }

    /// A value that comes next and that the field cannot take. The path is added on the way up.
    #[cold]
    fn wrong(&self, description: &str) -> Error {
        self.wrong_at(self.reader.offset(), description)
    }

    /// The same for what begins at a place, or behind the white space and the comma there.
    #[cold]
    fn wrong_at(&self, offset: usize, description: &str) -> Error {
        let (line, column) = self.reader.position_at(offset);
        Error::invalid_field("", format!("{description} (line {line}, column {column})."))
    }
}

impl MessageTable {
    /// Returns the field with a number.
    pub(super) fn field(&self, number: u32) -> Option<&FieldTable> {
        self.by_number(number).map(|at| &self.fields[at])
    }
}

/// Borrowed or owned text of the JSON.
type Text<'j> = Cow<'j, str>;

#[cfg(test)]
mod tests;
