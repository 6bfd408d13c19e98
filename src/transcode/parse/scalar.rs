//! Scalars of JSON in wire format, and the same from plain text, as query and path have it.

use super::{Parser, UnknownFields, object};
use crate::{
    error::Result,
    transcode::{
        base64,
        json::Next,
        number::{Whole, parse_double, parse_float},
        tables::{EnumTable, FieldTable, Op},
        wire::{self, put_bytes, put_varint},
    },
};

impl Parser<'_, '_> {
    /// Reads a scalar and writes its value without a tag. Returns `false` if it was dropped: an enum value that nobody
    /// knows, where the policy says so.
    #[inline]
    pub(super) fn scalar(&mut self, field: &FieldTable, out: &mut Vec<u8>) -> Result<bool> {
        let kind = self.reader.peek()?;
        let offset = self.reader.offset();
        let fits = match (field.op, kind) {
            (Op::String, Next::String) => {
                let start = wire::open(out);
                self.reader.string_into(out)?;
                wire::close(out, start);
                true
            }
            (Op::Bytes, Next::String) => {
                let text = self.reader.string()?;
                put_base64(&text, out)
            }
            (Op::Enum, _) => return self.enumeration(field, kind, out),
            (Op::Bool, Next::True) => {
                self.reader.literal("true")?;
                out.push(1);
                true
            }
            (Op::Bool, Next::False) => {
                self.reader.literal("false")?;
                out.push(0);
                true
            }
            (Op::String | Op::Bytes | Op::Bool, _) => false,
            (_, Next::Number) => {
                let text = self.reader.number()?;
                put_number(field.op, text, out)
            }
            (_, Next::String) => {
                let text = self.reader.string()?;
                put_number(field.op, &text, out)
            }
            _ => false,
        };
        if fits { Ok(true) } else { Err(self.wrong_at(offset, &format!("expected {}", expected(field.op)))) }
    }

    fn enumeration(&mut self, field: &FieldTable, kind: Next, out: &mut Vec<u8>) -> Result<bool> {
        let table = self.tables.enumeration(field.child);
        let offset = self.reader.offset();
        let number = match kind {
            Next::String => {
                let name = self.reader.string()?;
                match table.number(&name) {
                    Some(number) => number,
                    None if self.unknown == UnknownFields::Reject => {
                        return Err(self.wrong_at(offset, &unknown_value(table, &name)));
                    }
                    None => {
                        self.ignore("");
                        return Ok(false);
                    }
                }
            }
            Next::Number => {
                let text = self.reader.number()?;
                let number = Whole::parse(text).and_then(Whole::signed).and_then(|n| i32::try_from(n).ok());
                match number {
                    Some(number) if !table.closed || table.knows(number) => number,
                    _ => return Err(self.wrong_at(offset, &format!("{text} is no value of {}", table.name))),
                }
            }
            Next::Null if table.null => {
                self.reader.literal("null")?;
                0
            }
            _ => {
                let why = format!("expected the name or the number of a value of {}", table.name);
                return Err(self.wrong_at(offset, &why));
            }
        };
        put_varint(out, i64::from(number) as u64);
        Ok(true)
    }
}

/// Says that an enum has no such value, and which one may have been meant.
pub(in crate::transcode) fn unknown_value(table: &EnumTable, name: &str) -> String {
    let hint = table.nearest(name).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    format!("{} is no value of {}{hint}", object::shown(name), table.name)
}

/// Writes the number that `text` spells. Returns `false` if it spells none that the type can hold.
#[inline]
pub(in crate::transcode) fn put_number(op: Op, text: &str, out: &mut Vec<u8>) -> bool {
    let written = match op {
        Op::Double => parse_double(text).map(|value| out.extend_from_slice(&value.to_le_bytes())),
        Op::Float => parse_float(text).map(|value| out.extend_from_slice(&value.to_le_bytes())),
        _ => Whole::parse(text).and_then(|number| put_whole(op, number, out)),
    };
    written.is_some()
}

fn put_whole(op: Op, number: Whole, out: &mut Vec<u8>) -> Option<()> {
    match op {
        Op::Int32 => put_varint(out, i64::from(i32::try_from(number.signed()?).ok()?) as u64),
        Op::Int64 => put_varint(out, number.signed()? as u64),
        Op::Uint32 => put_varint(out, u64::from(u32::try_from(number.unsigned()?).ok()?)),
        Op::Uint64 => put_varint(out, number.unsigned()?),
        Op::Sint32 => put_varint(out, zigzag(i64::from(i32::try_from(number.signed()?).ok()?))),
        Op::Sint64 => put_varint(out, zigzag(number.signed()?)),
        Op::Fixed32 => out.extend_from_slice(&u32::try_from(number.unsigned()?).ok()?.to_le_bytes()),
        Op::Fixed64 => out.extend_from_slice(&number.unsigned()?.to_le_bytes()),
        Op::Sfixed32 => out.extend_from_slice(&i32::try_from(number.signed()?).ok()?.to_le_bytes()),
        Op::Sfixed64 => out.extend_from_slice(&number.signed()?.to_le_bytes()),
        _ => return None,
    }
    Some(())
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// Writes a map key, which JSON has as text whatever it is.
pub(super) fn put_key(field: &FieldTable, key: &str, out: &mut Vec<u8>) -> bool {
    match field.op {
        Op::String => {
            put_bytes(out, key.as_bytes());
            true
        }
        Op::Bool => put_bool(key, out),
        op => put_number(op, key, out),
    }
}

/// Writes a scalar other than an enum that plain text spells.
pub(in crate::transcode) fn put_text(field: &FieldTable, text: &str, out: &mut Vec<u8>) -> bool {
    match field.op {
        Op::Bytes => put_base64(text, out),
        Op::Enum | Op::Message | Op::Group => false,
        _ => put_key(field, text, out),
    }
}

fn put_bool(text: &str, out: &mut Vec<u8>) -> bool {
    match text {
        "true" => out.push(1),
        "false" => out.push(0),
        _ => return false,
    }
    true
}

fn put_base64(text: &str, out: &mut Vec<u8>) -> bool {
    let start = wire::open(out);
    let decoded = base64::decode(text, out);
    wire::close(out, start);
    decoded
}

/// Says what a value of this type looks like.
pub(in crate::transcode) fn expected(op: Op) -> &'static str {
    match op {
        Op::Double | Op::Float => "a number, \"NaN\", \"Infinity\" or \"-Infinity\", in range",
        Op::Int64 | Op::Sint64 | Op::Sfixed64 => "a whole number of 64 bits, in quotes or not",
        Op::Uint64 | Op::Fixed64 => "a whole number of 64 bits, not negative, in quotes or not",
        Op::Int32 | Op::Sint32 | Op::Sfixed32 => "a whole number from -2147483648 to 2147483647",
        Op::Uint32 | Op::Fixed32 => "a whole number from 0 to 4294967295",
        Op::Bool => "true or false",
        Op::String => "a string",
        Op::Bytes => "a string of base64",
        Op::Enum => "the name or the number of an enum value",
        Op::Group | Op::Message => "an object",
    }
}
