//! An upstream's answer as the body of a response: JSON, or the bytes of an HTTP body.

use std::{borrow::Cow, sync::Arc};

use super::{
    JsonOptions, Plan, Printed,
    peek::{self, Peeked},
    selection::Selection,
    tables::{Card, FieldTable, Op, Tables},
    wire::{Cursor, LEN},
};
use crate::{
    error::{Error, Result},
    schema::MessageId,
};

/// How answers of one binding are shown. Made once, at start.
#[derive(Clone, Debug)]
pub struct ResponsePlan {
    tables: Arc<Tables>,
    output: u32,
    /// Position of the field that is shown in place of the message.
    field: Option<usize>,
    raw: bool,
}

/// The content of a `google.api.HttpBody`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawBody<'w> {
    /// Content type, possibly empty.
    pub content_type: Cow<'w, str>,
    /// Bytes.
    pub data: Cow<'w, [u8]>,
}

impl ResponsePlan {
    pub(super) fn new(tables: &Arc<Tables>, output: MessageId, response_body: Option<&str>) -> Result<Self> {
        let table = tables.message(output.0);
        let field = match response_body {
            None => None,
            Some(name) => Some(table.by_name(name, 0).ok_or_else(|| {
                Error::internal(format!("{} has no field {name} for a response body", table.name))
            })?),
        };
        let shown = match field.map(|at| &table.fields[at]) {
            None => Some(output.0),
            Some(field) => (field.op == Op::Message && field.card == Card::Singular).then_some(field.child),
        };
        let raw = shown.is_some_and(|index| &*tables.message(index).name == "google.api.HttpBody");
        Ok(Self { tables: Arc::clone(tables), output: output.0, field, raw })
    }

    /// Whether the answer is bytes of any kind rather than JSON.
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// Checks a `$fields` parameter against what is shown.
    ///
    /// # Errors
    /// A syntax error, or a name that the message does not have.
    pub fn select(&self, mask: &str) -> Result<Selection> {
        let index = match self.shown() {
            Some(field) if matches!(field.op, Op::Message | Op::Group) => field.child,
            Some(_) => return Err(Error::invalid_field("fields", "the answer has no fields to choose from")),
            None => self.output,
        };
        Selection::parse(mask, &self.tables, index)
    }

    /// Appends the answer as JSON.
    ///
    /// # Errors
    /// The bytes are no message of the type.
    pub fn to_json(&self, wire: &[u8], options: &JsonOptions<'_>, out: &mut Vec<u8>) -> Result<Printed> {
        match self.shown() {
            None => Plan::of(&self.tables, self.output).to_json(wire, options, out),
            Some(field) => Plan::of(&self.tables, self.output).field_to_json(field, wire, options, out),
        }
    }

    /// Takes the content out of an HTTP body.
    ///
    /// # Errors
    /// The bytes are no message of the type, or the content type is not text.
    pub fn raw<'w>(&self, wire: &'w [u8]) -> Result<RawBody<'w>> {
        let body = match self.shown() {
            None => wire,
            Some(field) => match peek::last(wire, field.number)? {
                Some(Peeked::Bytes(bytes)) => bytes,
                _ => &[],
            },
        };
        let (mut content_type, mut data): (&[u8], &[u8]) = (&[], &[]);
        let mut cursor = Cursor::new(body);
        while !cursor.is_empty() {
            match cursor.tag()? {
                (1, LEN) => content_type = cursor.bytes()?,
                (2, LEN) => data = cursor.bytes()?,
                (number, kind) => cursor.skip(number, kind)?,
            }
        }
        Ok(RawBody { content_type: String::from_utf8_lossy(content_type), data: Cow::Borrowed(data) })
    }

    fn shown(&self) -> Option<&FieldTable> {
        self.field.map(|at| &self.tables.message(self.output).fields[at])
    }
}
