//! Fields as they come, in one pass.

use super::{Choice, Open, Printer, Stop, choose};
use crate::transcode::{
    seen::Seen,
    selection::Node,
    tables::{Card, FieldTable, MessageTable, NO_ONEOF, Op},
    wire::{Cursor, LEN, VARINT},
};

impl Printer<'_, '_> {
    /// Prints the fields of a message as they come.
    pub(super) fn fast(
        &mut self,
        table: &MessageTable,
        wire: &[u8],
        chosen: Option<&Node>,
        depth: usize,
        comma: bool,
    ) -> Result<(), Stop> {
        let mut seen = Seen::default();
        let mut open = Open { comma, field: usize::MAX, bracket: None, keys: None };
        let mut cursor = Cursor::new(wire);
        while !cursor.is_empty() {
            let (number, kind) = cursor.tag()?;
            let Some(at) = table.by_number(number) else {
                cursor.skip(number, kind)?;
                continue;
            };
            let field = &table.fields[at];
            let packed = kind != field.wire;
            if packed && !field.takes_packed(kind) {
                cursor.skip(number, kind)?;
                continue;
            }
            if field.card == Card::Singular {
                self.singular(field, at, &mut cursor, &mut open, &mut seen, chosen, depth)?;
            } else {
                self.repeated(field, at, packed, &mut cursor, &mut open, &mut seen, chosen, depth)?;
            }
        }
        self.close(&mut open);
        if self.style.defaults {
            self.missing(table, |at| !seen.has(at), chosen, open.comma, depth)?;
        }
        Ok(())
    }

    #[inline]
    #[expect(
        clippy::too_many_arguments,
        reason = "the state of one pass; a struct of references costs more than it tells"
    )]
    fn singular(
        &mut self,
        field: &FieldTable,
        at: usize,
        cursor: &mut Cursor<'_>,
        open: &mut Open,
        seen: &mut Seen,
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        if field.closed && !self.known_number(field, cursor) {
            // A number outside a closed enum counts as an unknown field.
            return Ok(cursor.skip(field.number, field.wire)?);
        }
        if seen.set(at) || (field.oneof != NO_ONEOF && seen.set(usize::from(field.oneof))) {
            return Err(Stop::Redo);
        }
        if field.implicit && !self.style.defaults && zero(field, cursor.clone()) {
            return Ok(cursor.skip(field.number, field.wire)?);
        }
        let inner = match choose(chosen, field) {
            Choice::Skip => return Ok(cursor.skip(field.number, field.wire)?),
            Choice::Print(inner) => inner,
        };
        self.close(open);
        self.key(open, field);
        self.value(field, cursor, inner, depth)
    }

    #[expect(clippy::too_many_arguments, reason = "as `singular`")]
    fn repeated(
        &mut self,
        field: &FieldTable,
        at: usize,
        packed: bool,
        cursor: &mut Cursor<'_>,
        open: &mut Open,
        seen: &mut Seen,
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        if open.field != at {
            if seen.set(at) {
                return Err(Stop::Redo);
            }
            self.close(open);
            open.field = at;
        }
        let inner = match choose(chosen, field) {
            Choice::Skip => return Ok(cursor.skip(field.number, if packed { LEN } else { field.wire })?),
            Choice::Print(inner) => inner,
        };
        if field.card == Card::Map {
            return self.entry(field, cursor.bytes()?, open, inner, depth);
        }
        if !packed {
            return self.element(field, cursor, open, inner, depth);
        }
        let mut values = Cursor::new(cursor.bytes()?);
        while !values.is_empty() {
            self.element(field, &mut values, open, inner, depth)?;
        }
        Ok(())
    }

    fn element(
        &mut self,
        field: &FieldTable,
        cursor: &mut Cursor<'_>,
        open: &mut Open,
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        if field.closed && !self.known_number(field, cursor) {
            return Ok(cursor.varint().map(drop)?);
        }
        self.bracket(open, field, b'[');
        self.value(field, cursor, chosen, depth)
    }

    /// Whether the next value of an enum has a name.
    pub(super) fn known_number(&self, field: &FieldTable, cursor: &Cursor<'_>) -> bool {
        let number = cursor.clone().varint().unwrap_or_default() as i32;
        self.tables.enumeration(field.child).knows(number)
    }
}

impl FieldTable {
    /// Whether `kind` is the packed form of this field's values. Both forms are legal whatever the descriptor says.
    pub(super) fn takes_packed(&self, kind: u8) -> bool {
        kind == LEN
            && self.card == Card::Repeated
            && !matches!(self.op, Op::String | Op::Bytes | Op::Message | Op::Group)
    }
}

/// Whether the next value is the zero that an implicit field leaves out.
#[inline(always)]
pub(super) fn zero(field: &FieldTable, cursor: Cursor<'_>) -> bool {
    match cursor.rest() {
        // A varint, or the length of a text, in one byte.
        [byte, ..] if *byte < 0x80 && matches!(field.wire, VARINT | LEN) => *byte == 0,
        _ => long_zero(field, cursor),
    }
}

fn long_zero(field: &FieldTable, mut cursor: Cursor<'_>) -> bool {
    match field.op {
        Op::String | Op::Bytes => cursor.varint() == Ok(0),
        Op::Double | Op::Fixed64 | Op::Sfixed64 => cursor.fixed64() == Ok([0; 8]),
        Op::Float | Op::Fixed32 | Op::Sfixed32 => cursor.fixed32() == Ok([0; 4]),
        Op::Int32 | Op::Uint32 | Op::Sint32 | Op::Enum => {
            cursor.varint().is_ok_and(|value| value as u32 == 0)
        }
        _ => cursor.varint() == Ok(0),
    }
}
