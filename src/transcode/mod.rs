//! JSON to protobuf and back, from descriptors alone, bytes to bytes.
//!
//! **Cast.** [`Transcoder`]: the compiled tables of a pool. [`Plan`]: one message type. [`RequestPlan`]: one binding's
//! way in, from path, query and body to a message. [`ResponsePlan`]: its way out. [`Query`]: a decoded query without
//! the parameters that speak to the gateway. [`Selection`]: a checked `$fields`.
//!
//! **Rules.** The proto3 JSON mapping to the letter (the protobuf conformance suite passes, also where it only
//! recommends), with these choices where it leaves one: unknown fields are refused unless told otherwise, a key given
//! twice is refused, absent fields are left out, an `Any` of unknown type is kept and never fails an answer. Path wins
//! over body, body over query.
//!
//! **How.** Two one-pass converters over flat tables: [`mod@print`] reads wire format and appends JSON, [`parse`] reads JSON
//! and appends wire format. No tree and no message exists in between, and nothing is generated. Bytes that one pass
//! cannot print (see [`mod@print`]) are looked at twice.
//!
//! **Limits.** Nesting: [`print::DEPTH_MAX`] and [`json::DEPTH_MAX`] levels, [`ANY_DEPTH_MAX`] for `Any` in `Any`;
//! parameters: [`query::PARAMETERS_MAX`]; messages are bounded by a small multiple of the JSON they are read from, JSON by
//! [`print::json_bytes_max`] of the bytes it shows; callers bound the input.
//!
//! Deliberately not here: HTTP, gRPC framing, sockets, clocks, any knowledge of a particular service.

mod base64;
mod decimal;
mod hash;
mod json;
mod keepable;
mod mask;
mod number;
mod paged;
mod parse;
mod path;
mod peek;
mod populated;
mod pretty;
mod print;
mod query;
mod request;
mod required;
mod response;
mod seen;
mod selection;
mod shorten;
mod tables;
mod text;
mod texts;
mod time;
mod update_mask;
mod wanted;
mod wire;

use std::sync::Arc;

pub use paged::{PageParts, Paged};
pub use parse::UnknownFields;
pub use peek::Peeked;
pub use query::{Alt, PARAMETERS_MAX, Query, System};
pub use request::{Parsed, RequestPlan};
pub use response::{RawBody, ResponsePlan};
pub use selection::Selection;
pub use shorten::shortened;
pub use texts::Intent;

use crate::{
    error::Result,
    schema::{self, MessageId, Pool},
};
use json::Reader;
use parse::Parser;
use print::{Printer, Style};
use tables::{FieldTable, Tables};

/// `Any` inside `Any`, both ways.
pub const ANY_DEPTH_MAX: usize = 16;

/// Everything needed to convert any message of a pool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Transcoder(Arc<Tables>);

/// The conversion of one message type. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Plan {
    tables: Arc<Tables>,
    index: u32,
}

/// How JSON is printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonOptions<'s> {
    /// Enums as numbers instead of names.
    pub enum_numbers: bool,
    /// Zero values of fields without presence are printed. Messages, oneof members and `optional` fields that are absent
    /// stay absent.
    pub defaults: bool,
    /// Only these parts.
    pub selection: Option<&'s Selection>,
    /// Indented.
    pub pretty: bool,
    /// Paths of a mask that JSON has no spelling for, such as `line_1`, are printed as they are. Without it they are an error,
    /// since who reads them takes them for others.
    pub paths_as_they_are: bool,
}

/// What is known about a message after printing it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    /// Names of types inside `Any` that no descriptor describes, sorted, at most sixteen.
    pub unknown_types: Vec<String>,
}

impl Transcoder {
    /// Compiles the tables of all messages of a pool.
    pub fn new(pool: &Pool) -> Self {
        Self(Arc::new(Tables::new(pool)))
    }

    /// Returns the plan of a message type.
    pub fn plan(&self, id: MessageId) -> Plan {
        Plan::of(&self.0, id.0)
    }

    /// Finds the plan of a message type by its full name.
    pub fn message(&self, full_name: &str) -> Option<Plan> {
        self.0.find(full_name).map(|index| Plan::of(&self.0, index))
    }

    /// Makes the plan for requests to a binding whose template has these variables.
    ///
    /// # Errors
    /// A variable or body field that the message does not have.
    pub fn request(&self, input: MessageId, variables: &[&str], body: &schema::Body) -> Result<RequestPlan> {
        RequestPlan::new(&self.0, input, variables, body)
    }

    /// Makes the plan for the answers of a binding.
    ///
    /// # Errors
    /// A response body field that the message does not have.
    pub fn response(&self, output: MessageId, response_body: Option<&str>) -> Result<ResponsePlan> {
        ResponsePlan::new(&self.0, output, response_body)
    }
}

impl Plan {
    fn of(tables: &Arc<Tables>, index: u32) -> Self {
        Self { tables: Arc::clone(tables), index }
    }

    /// Appends a message in wire format as JSON.
    ///
    /// # Errors
    /// The bytes are no message of this type; `out` then holds a part of it.
    pub fn to_json(&self, wire: &[u8], options: &JsonOptions<'_>, out: &mut Vec<u8>) -> Result<Printed> {
        self.print(options, out, wire.len(), |printer| {
            printer.message(self.index, wire, options.selection.and_then(Selection::root), 0)
        })
    }

    /// Appends one field of a message as JSON: the `response_body` of a binding.
    fn field_to_json(
        &self,
        field: &FieldTable,
        wire: &[u8],
        options: &JsonOptions<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Printed> {
        self.print(options, out, wire.len(), |printer| {
            let selection = options.selection.and_then(Selection::root);
            printer.only(self.tables.message(self.index), field, wire, selection)
        })
    }

    fn print(
        &self,
        options: &JsonOptions<'_>,
        out: &mut Vec<u8>,
        wire_bytes: usize,
        write: impl Fn(&mut Printer<'_, '_>) -> Result<(), print::Stop>,
    ) -> Result<Printed> {
        // Names make JSON about twice as long as the wire format of typical resources.
        out.reserve(wire_bytes * 2 + 64);
        let start = out.len();
        let JsonOptions { enum_numbers, defaults, paths_as_they_are, .. } = *options;
        let style = Style { enum_numbers, defaults, paths_as_they_are };
        let printer = Printer::new(&self.tables, out, style, wire_bytes);
        let unknown_types = printer.print(write)?;
        if options.pretty {
            let compact = out.split_off(start);
            let bytes_max = start.saturating_add(print::json_bytes_max(wire_bytes));
            if !pretty::put_pretty(&compact, out, bytes_max) {
                // Better without line breaks than not at all.
                out.truncate(start);
                out.extend_from_slice(&compact);
            }
        }
        Ok(Printed { unknown_types })
    }

    /// Reads a JSON body into wire format.
    ///
    /// # Errors
    /// Everything that is wrong with it: `INVALID_JSON` with line and column, `UNKNOWN_FIELD` and `INVALID_FIELD` with the
    /// path of the field.
    pub fn to_wire(&self, json: &[u8], unknown: UnknownFields) -> Result<Parsed> {
        let mut bytes = Vec::with_capacity(json.len());
        let mut parser = Parser::new(&self.tables, Reader::new(json)?, unknown);
        parser.root(self.index, &mut bytes)?;
        Ok(Parsed { bytes, ignored: parser.finish()? })
    }

    /// Checks a `$fields` parameter against this type.
    ///
    /// # Errors
    /// A syntax error, or a name that the message does not have.
    pub fn select(&self, mask: &str) -> Result<Selection> {
        Selection::parse(mask, &self.tables, self.index)
    }
}
