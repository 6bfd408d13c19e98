//! Looking at, and changing, single fields of a message without reading the rest of it.

use super::{
    Plan,
    path::{self, Path},
    tables::{Card, Op},
    wire::{Cursor, FIXED32, FIXED64, GROUP, LEN, Malformed, VARINT, put_bytes, put_tag, put_varint},
};
use crate::error::{Error, Result};

/// The raw value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peeked<'w> {
    /// Integers, booleans and enums, as on the wire (zigzag not undone).
    Varint(u64),
    /// Fixed-width numbers of 64 bits.
    Fixed64([u8; 8]),
    /// Fixed-width numbers of 32 bits.
    Fixed32([u8; 4]),
    /// Strings, bytes, messages.
    Bytes(&'w [u8]),
}

impl<'w> Peeked<'w> {
    /// Returns the text of a string field.
    pub fn text(self) -> Option<&'w str> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

impl Plan {
    /// Finds the value of a singular field by its dotted path, the last one if it was given several times. A message in
    /// pieces is not merged: look for the field inside it.
    ///
    /// # Errors
    /// The path leads nowhere, or the bytes are no message.
    pub fn peek<'w>(&self, wire: &'w [u8], path: &str) -> Result<Option<Peeked<'w>>> {
        let path = Path::resolve(&self.tables, self.index, path)?;
        let mut found = None;
        self.peek_steps(self.index, &path.steps, wire, &mut found)?;
        Ok(found)
    }

    fn peek_steps<'w>(
        &self,
        index: u32,
        steps: &[u16],
        wire: &'w [u8],
        found: &mut Option<Peeked<'w>>,
    ) -> Result<(), Malformed> {
        let Some((step, rest)) = steps.split_first() else { return Ok(()) };
        let field = &self.tables.message(index).fields[usize::from(*step)];
        let mut cursor = Cursor::new(wire);
        while !cursor.is_empty() {
            let (number, kind) = cursor.tag()?;
            if number != field.number || kind != field.wire {
                cursor.skip(number, kind)?;
                continue;
            }
            let value = read(&mut cursor, number, kind)?;
            match value {
                Some(Peeked::Bytes(inner)) if !rest.is_empty() => {
                    self.peek_steps(field.child, rest, inner, found)?;
                }
                value => *found = value,
            }
        }
        Ok(())
    }

    /// Returns the name of the value of an enum by its dotted path; the number, where it has no name.
    ///
    /// # Errors
    /// As [`Self::peek`]; the path leads to a field of another kind.
    pub fn peek_enum(&self, wire: &[u8], path: &str) -> Result<String> {
        let leaf = Path::resolve(&self.tables, self.index, path)?;
        let leaf = leaf.leaf(&self.tables, self.index);
        if leaf.op != Op::Enum {
            return Err(Error::internal(format!("{path} is no enum")));
        }
        let table = self.tables.enumeration(leaf.child);
        let number = match self.peek(wire, path)? {
            // An enum travels as an int32, widened with its sign.
            Some(Peeked::Varint(value)) => value as i32,
            _ => table.first,
        };
        let quoted =
            table.quoted(number).map(|name| String::from_utf8_lossy(name).trim_matches('"').to_owned());
        Ok(quoted.unwrap_or_else(|| number.to_string()))
    }

    /// Sets a singular string or bytes field by its dotted path. What was there before is outdone by what is appended:
    /// on the wire the last value wins.
    ///
    /// # Errors
    /// The path leads nowhere or to a field of another kind.
    pub fn patch(&self, wire: &mut Vec<u8>, path: &str, value: &[u8]) -> Result<()> {
        let resolved = Path::resolve(&self.tables, self.index, path)?;
        let leaf = resolved.leaf(&self.tables, self.index);
        if leaf.card != Card::Singular || !matches!(leaf.op, Op::String | Op::Bytes) {
            return Err(Error::internal(format!("{path} is no string that could be set")));
        }
        let mut content = Vec::with_capacity(value.len() + 16);
        put_tag(&mut content, leaf.number, LEN);
        put_bytes(&mut content, value);
        for depth in (1..resolved.steps.len()).rev() {
            let outer = path::leaf(&self.tables, self.index, &resolved.steps[..depth]);
            let mut wrapped = Vec::with_capacity(content.len() + 8);
            put_tag(&mut wrapped, outer.number, LEN);
            put_varint(&mut wrapped, content.len() as u64);
            wrapped.extend_from_slice(&content);
            content = wrapped;
        }
        wire.extend_from_slice(&content);
        Ok(())
    }
}

/// Finds the last value of a field at the top level.
pub(super) fn last(wire: &[u8], wanted: u32) -> Result<Option<Peeked<'_>>, Malformed> {
    let mut found = None;
    let mut cursor = Cursor::new(wire);
    while !cursor.is_empty() {
        let (number, kind) = cursor.tag()?;
        if number == wanted {
            found = read(&mut cursor, number, kind)?;
        } else {
            cursor.skip(number, kind)?;
        }
    }
    Ok(found)
}

/// Reads a value whose tag was just read.
pub(super) fn read<'w>(
    cursor: &mut Cursor<'w>,
    number: u32,
    kind: u8,
) -> Result<Option<Peeked<'w>>, Malformed> {
    Ok(Some(match kind {
        VARINT => Peeked::Varint(cursor.varint()?),
        FIXED64 => Peeked::Fixed64(cursor.fixed64()?),
        FIXED32 => Peeked::Fixed32(cursor.fixed32()?),
        LEN => Peeked::Bytes(cursor.bytes()?),
        GROUP => Peeked::Bytes(cursor.group(number)?),
        _ => return Err(Malformed(&"an unknown wire type")),
    }))
}
