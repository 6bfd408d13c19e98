//! Scalars as JSON: 64-bit integers in quotes, floats as short as they read back, enums as names or numbers.

use super::{Printer, Stop};
use crate::transcode::{
    tables::{FieldTable, Op},
    text::put_string,
    wire::{Cursor, Malformed},
};

impl Printer<'_, '_> {
    /// Prints one scalar, read from `cursor`.
    #[inline(always)]
    pub(super) fn scalar(&mut self, field: &FieldTable, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        match field.op {
            Op::String => {
                let bytes = cursor.bytes()?;
                if !put_string(self.out, bytes) {
                    return Err(Stop::Bad(&"a string is not UTF-8"));
                }
            }
            Op::Bytes => self.base64(cursor.bytes()?),
            Op::Enum => self.enumeration(field, cursor.varint()? as i32),
            Op::Bool => self.boolean(cursor.varint()? != 0),
            Op::Double => self.double(f64::from_le_bytes(cursor.fixed64()?)),
            Op::Float => self.float(f32::from_le_bytes(cursor.fixed32()?)),
            Op::Group | Op::Message => return Err(Stop::Bad(&"a message where a scalar should be")),
            _ => {
                let number = Integer::read(field.op, cursor)?;
                self.integer(number, number.wide());
            }
        }
        Ok(())
    }

    /// Prints a map key, which JSON wants in quotes whatever it is.
    pub(super) fn map_key(&mut self, field: &FieldTable, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        match field.op {
            Op::String => self.scalar(field, cursor)?,
            Op::Bool => {
                let text: &[u8] = if cursor.varint()? != 0 { b"\"true\"" } else { b"\"false\"" };
                self.out.extend_from_slice(text);
            }
            _ => {
                let number = Integer::read(field.op, cursor)?;
                self.integer(number, true);
            }
        }
        Ok(())
    }

    /// Prints what a field is when it is absent.
    pub(super) fn default(&mut self, field: &FieldTable, depth: usize) -> Result<(), Stop> {
        match field.op {
            Op::String | Op::Bytes => self.out.extend_from_slice(b"\"\""),
            Op::Bool => self.boolean(false),
            Op::Enum => self.enumeration(field, field.default_number),
            Op::Int64 | Op::Uint64 | Op::Sint64 | Op::Fixed64 | Op::Sfixed64 => {
                self.out.extend_from_slice(b"\"0\"");
            }
            Op::Group | Op::Message => self.message(field.child, &[], None, depth + 1)?,
            _ => self.out.push(b'0'),
        }
        Ok(())
    }

    fn enumeration(&mut self, field: &FieldTable, number: i32) {
        let table = self.tables.enumeration(field.child);
        if table.null {
            self.out.extend_from_slice(b"null");
            return;
        }
        match table.quoted(number) {
            Some(name) if !self.style.enum_numbers => self.out.extend_from_slice(name),
            _ => self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        }
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn integer(&mut self, number: Integer, quoted: bool) {
        if quoted {
            self.out.push(b'"');
        }
        let mut buffer = itoa::Buffer::new();
        let text = match number {
            Integer::Narrow(value) | Integer::Signed(value) => buffer.format(value),
            Integer::Unsigned(value) => buffer.format(value),
        };
        self.out.extend_from_slice(text.as_bytes());
        if quoted {
            self.out.push(b'"');
        }
    }

    /// Prints a double. Whole numbers go without `.0`, as every other implementation prints them.
    pub(super) fn double(&mut self, value: f64) {
        if !value.is_finite() {
            return self.not_finite(value.is_nan(), value > 0.0);
        }
        let mut buffer = zmij::Buffer::new();
        self.finite(buffer.format_finite(value));
    }

    fn float(&mut self, value: f32) {
        if !value.is_finite() {
            return self.not_finite(value.is_nan(), value > 0.0);
        }
        let mut buffer = zmij::Buffer::new();
        self.finite(buffer.format_finite(value));
    }

    fn finite(&mut self, text: &str) {
        // `-0.0` keeps its decimals: many a parser reads `-0` as an integer and loses the sign.
        let text = if text == "-0.0" { text } else { text.strip_suffix(".0").unwrap_or(text) };
        self.out.extend_from_slice(text.as_bytes());
    }

    fn not_finite(&mut self, nan: bool, positive: bool) {
        self.out.extend_from_slice(match (nan, positive) {
            (true, _) => b"\"NaN\"",
            (_, true) => b"\"Infinity\"",
            _ => b"\"-Infinity\"",
        });
    }

    pub(super) fn base64(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        base64_simd::STANDARD.encode_append(bytes, self.out);
        self.out.push(b'"');
    }
}

/// An integer of any of the ten kinds.
#[derive(Clone, Copy)]
enum Integer {
    /// 32 bits, in the range of both signs.
    Narrow(i64),
    Signed(i64),
    Unsigned(u64),
}

impl Integer {
    #[inline]
    fn read(op: Op, cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        Ok(match op {
            Op::Int32 => Self::Narrow(i64::from(cursor.varint()? as i32)),
            Op::Uint32 => Self::Narrow(i64::from(cursor.varint()? as u32)),
            Op::Sint32 => {
                let raw = cursor.varint()? as u32;
                Self::Narrow(i64::from((raw >> 1) as i32 ^ -((raw & 1) as i32)))
            }
            Op::Fixed32 => Self::Narrow(i64::from(u32::from_le_bytes(cursor.fixed32()?))),
            Op::Sfixed32 => Self::Narrow(i64::from(i32::from_le_bytes(cursor.fixed32()?))),
            Op::Uint64 => Self::Unsigned(cursor.varint()?),
            Op::Sint64 => {
                let raw = cursor.varint()?;
                Self::Signed((raw >> 1) as i64 ^ -((raw & 1) as i64))
            }
            Op::Fixed64 => Self::Unsigned(u64::from_le_bytes(cursor.fixed64()?)),
            Op::Sfixed64 => Self::Signed(i64::from_le_bytes(cursor.fixed64()?)),
            _ => Self::Signed(cursor.varint()? as i64),
        })
    }

    /// Whether JSON wants it in quotes, since a double cannot hold it.
    fn wide(self) -> bool {
        !matches!(self, Self::Narrow(_))
    }
}
