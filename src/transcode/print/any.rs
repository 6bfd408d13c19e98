//! `google.protobuf.Any`: known types are printed as themselves, unknown ones are kept and never fail a response.

use super::{DEPTH_MAX, Printer, Stop, UNKNOWN_TYPES_MAX};
use crate::transcode::{
    ANY_DEPTH_MAX,
    selection::Node,
    tables::Shape,
    text::put_string,
    wire::{Cursor, LEN, Malformed},
};

impl Printer<'_, '_> {
    pub(super) fn any(&mut self, wire: &[u8], chosen: Option<&Node>, depth: usize) -> Result<(), Stop> {
        let (type_url, value) = parts(wire)?;
        if type_url.is_empty() {
            if !value.is_empty() {
                return Err(Stop::Bad(&"an Any has a value and no type"));
            }
            self.out.extend_from_slice(b"{}");
            return Ok(());
        }
        self.packed(type_url, value, chosen, depth)
    }

    /// Prints a value under its `@type`.
    pub(super) fn packed(
        &mut self,
        type_url: &[u8],
        value: &[u8],
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        self.out.extend_from_slice(b"{\"@type\":");
        if !put_string(self.out, type_url) {
            return Err(Stop::Bad(&"the type of an Any is not UTF-8"));
        }
        let name = type_url.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let name = std::str::from_utf8(name).unwrap_or_default();
        match self.tables.find(name) {
            Some(index) => {
                let (start, named) = (self.out.len(), self.unknown_types.len());
                // A known type whose bytes cannot be read, also with care, is shown as if it were unknown: the caller still
                // gets the rest, and is told where nothing is left of it. Nobody is told of what was met in it and is not shown.
                if !self.inside(index, value, chosen, depth)? {
                    self.out.truncate(start);
                    self.unknown_types.truncate(named);
                    if self.google_shaped {
                        self.note_unknown(name);
                    }
                    self.bare(value);
                }
            }
            None => {
                self.note_unknown(name);
                self.bare(value);
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Prints the members of a known type; `false` if the bytes are none of it, or too deep.
    fn inside(
        &mut self,
        index: u32,
        value: &[u8],
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<bool, Stop> {
        if self.any_depth >= ANY_DEPTH_MAX || depth >= DEPTH_MAX {
            return Ok(false);
        }
        let table = self.tables.message(index);
        let google_shaped = self.google_shaped;
        self.any_depth += 1;
        let printed = if table.shape == Shape::Plain {
            self.fields(table, value, chosen, depth + 1, true)
        } else {
            self.out.extend_from_slice(b",\"value\":");
            self.message(index, value, chosen, depth + 1)
        };
        self.any_depth -= 1;
        self.google_shaped = google_shaped;
        match printed {
            Ok(()) => Ok(true),
            Err(Stop::Bad(_)) if self.careful => Ok(false),
            Err(Stop::Bad(_)) => Err(Stop::Redo),
            Err(stop) => Err(stop),
        }
    }

    fn note_unknown(&mut self, name: &str) {
        let is_new = !self.unknown_types.iter().any(|known| known == name);
        if is_new && self.unknown_types.len() < UNKNOWN_TYPES_MAX {
            self.unknown_types.push(name.to_owned());
        }
    }

    /// Prints a value by its bytes, where strict clients do not read it.
    fn bare(&mut self, value: &[u8]) {
        if !self.google_shaped {
            self.out.extend_from_slice(b",\"value\":");
            self.base64(value);
        }
    }
}

/// Reads type and value; the last of each wins.
fn parts(wire: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut type_url, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut cursor = Cursor::new(wire);
    while !cursor.is_empty() {
        match cursor.tag()? {
            (1, LEN) => type_url = cursor.bytes()?,
            (2, LEN) => value = cursor.bytes()?,
            (number, kind) => cursor.skip(number, kind)?,
        }
    }
    Ok((type_url, value))
}
