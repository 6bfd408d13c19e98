//! The well-known types that JSON writes in a form of their own.

use std::borrow::Cow;

use super::{DEPTH_MAX, Printer, Stop};
use crate::transcode::{
    mask,
    selection::Node,
    tables::{MessageTable, Shape},
    text::put_str,
    time,
    wire::{Cursor, FIXED64, LEN, Malformed, VARINT},
};

impl Printer<'_, '_> {
    pub(super) fn known(
        &mut self,
        table: &MessageTable,
        wire: &[u8],
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        if depth > DEPTH_MAX {
            return Err(Stop::Bad(&"messages are nested too deep"));
        }
        match table.shape {
            Shape::Timestamp => {
                let (seconds, nanos) = seconds_and_nanos(wire)?;
                if !time::put_timestamp(self.out, seconds, nanos) {
                    return Err(Stop::Bad(&"a timestamp is outside the years 1 to 9999"));
                }
            }
            Shape::Duration => {
                let (seconds, nanos) = seconds_and_nanos(wire)?;
                if !time::put_duration(self.out, seconds, nanos) {
                    return Err(Stop::Bad(&"a duration is outside its range"));
                }
            }
            Shape::FieldMask => self.mask(wire)?,
            Shape::Wrapper => self.wrapper(table, wire, depth)?,
            Shape::Struct => self.structure(table, wire, chosen, depth)?,
            Shape::ListValue => self.list_value(table, wire, chosen, depth)?,
            Shape::Value => self.dynamic(table, wire, chosen, depth)?,
            Shape::Any => self.any(wire, chosen, depth)?,
            Shape::Plain => self.message_body(table, wire, chosen, depth)?,
        }
        Ok(())
    }

    fn message_body(
        &mut self,
        table: &MessageTable,
        wire: &[u8],
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        self.out.push(b'{');
        self.fields(table, wire, chosen, depth, false)?;
        self.out.push(b'}');
        Ok(())
    }

    fn mask(&mut self, wire: &[u8]) -> Result<(), Stop> {
        let mut joined = String::new();
        for path in texts(wire) {
            let path = path?;
            if !joined.is_empty() {
                joined.push(',');
            }
            let path = std::str::from_utf8(path).map_err(|_| Stop::Bad(&"a field mask is not UTF-8"))?;
            let start = joined.len();
            if !mask::to_camel(path, &mut joined) {
                if !self.style.paths_as_they_are {
                    return Err(Stop::Bad(&"a field mask has a path that JSON cannot tell"));
                }
                joined.truncate(start);
                joined.push_str(path);
            }
        }
        put_str(self.out, &joined);
        Ok(())
    }

    fn wrapper(&mut self, table: &MessageTable, wire: &[u8], depth: usize) -> Result<(), Stop> {
        let field = &table.fields[0];
        let mut last = None;
        let mut cursor = Cursor::new(wire);
        while !cursor.is_empty() {
            let (number, kind) = cursor.tag()?;
            if number == field.number && kind == field.wire {
                last = Some(cursor.clone());
            }
            cursor.skip(number, kind)?;
        }
        match last {
            Some(mut value) => self.scalar(field, &mut value),
            None => self.default(field, depth),
        }
    }

    fn structure(
        &mut self,
        table: &MessageTable,
        wire: &[u8],
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        let map = table.fields[0].child;
        self.out.push(b'{');
        if self.careful {
            self.members(map, texts(wire), chosen, depth)?;
        } else {
            let (mut keys, mut comma) = (self.no_keys(), false);
            for entry in texts(wire) {
                comma |= self.member(map, entry?, &mut keys, comma, chosen, depth)?;
            }
            self.put_back(keys);
        }
        self.out.push(b'}');
        Ok(())
    }

    fn list_value(
        &mut self,
        table: &MessageTable,
        wire: &[u8],
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        let element = table.fields[0].child;
        self.out.push(b'[');
        for (i, value) in texts(wire).enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.message(element, value?, chosen, depth + 1)?;
        }
        self.out.push(b']');
        Ok(())
    }

    /// Prints a `google.protobuf.Value`: the last member given; pieces of one message member are merged.
    fn dynamic(
        &mut self,
        table: &MessageTable,
        wire: &[u8],
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        let mut last: Option<(u32, Cow<'_, [u8]>)> = None;
        let mut cursor = Cursor::new(wire);
        while !cursor.is_empty() {
            let (number, kind) = cursor.tag()?;
            let start = cursor.rest();
            let mut value = cursor.clone();
            cursor.skip(number, kind)?;
            match (number, kind) {
                (1 | 4, VARINT) | (2, FIXED64) => {
                    last = Some((number, Cow::Borrowed(&start[..start.len() - cursor.rest().len()])));
                }
                (3, LEN) => last = Some((number, Cow::Borrowed(value.bytes()?))),
                (5 | 6, LEN) => {
                    let piece = value.bytes()?;
                    match &mut last {
                        Some((before, pieces)) if *before == number => {
                            // The first piece is copied when the second comes.
                            self.copy(
                                piece.len()
                                    + if matches!(pieces, Cow::Borrowed(_)) { pieces.len() } else { 0 },
                            )?;
                            pieces.to_mut().extend_from_slice(piece);
                        }
                        _ => last = Some((number, Cow::Borrowed(piece))),
                    }
                }
                _ => {}
            }
        }
        let Some((number, value)) = last else {
            self.out.extend_from_slice(b"null");
            return Ok(());
        };
        match number {
            1 => self.out.extend_from_slice(b"null"),
            2 => {
                let number = f64::from_le_bytes(Cursor::new(&value).fixed64()?);
                if !number.is_finite() {
                    return Err(Stop::Bad(&"a google.protobuf.Value is not a finite number"));
                }
                self.double(number);
            }
            3 if !crate::transcode::text::put_string(self.out, &value) => {
                return Err(Stop::Bad(&"a string is not UTF-8"));
            }
            4 => self.boolean(Cursor::new(&value).varint()? != 0),
            5 | 6 => {
                let child = table.by_number(number).map_or(0, |at| table.fields[at].child);
                self.message(child, &value, chosen, depth + 1)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Reads the two fields that Timestamp and Duration share; the last of each wins.
fn seconds_and_nanos(wire: &[u8]) -> Result<(i64, i32), Malformed> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut cursor = Cursor::new(wire);
    while !cursor.is_empty() {
        match cursor.tag()? {
            (1, VARINT) => seconds = cursor.varint()? as i64,
            (2, VARINT) => nanos = cursor.varint()? as i32,
            (number, kind) => cursor.skip(number, kind)?,
        }
    }
    Ok((seconds, nanos))
}

/// Reads all occurrences of the length-delimited field 1: what masks, lists and structs are made of.
fn texts(wire: &[u8]) -> Texts<'_> {
    Texts(Cursor::new(wire))
}

#[derive(Clone)]
struct Texts<'w>(Cursor<'w>);

impl<'w> Iterator for Texts<'w> {
    type Item = Result<&'w [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            match self.0.tag() {
                Ok((1, LEN)) => return Some(self.0.bytes()),
                Ok((number, kind)) => match self.0.skip(number, kind) {
                    Ok(()) => {}
                    Err(malformed) => return Some(Err(malformed)),
                },
                Err(malformed) => return Some(Err(malformed)),
            }
        }
        None
    }
}
