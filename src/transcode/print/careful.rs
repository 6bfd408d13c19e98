//! The second look: all fields of a message are known before the first is printed.
//!
//! Costs an index: eight bytes for each known field of the message being printed and of those around it, and while a map is
//! printed sixteen for each of its entries. A field takes two bytes at least and belongs to one message, so that this is at
//! most twelve times the bytes, and never more than [`super::HELD_BYTES_MAX`]: what would take more is refused. All of it
//! is counted before room is made, so that nothing has to grow. Beside it stand a few bytes for each field of the types
//! on the way down and, where a message field came in pieces, a copy of those pieces, of which
//! [`super::REREAD_BYTES_MAX`] bounds the sum. Bytes need it rarely: a message written by one encoder never does.

use super::{Choice, DEPTH_MAX, Printer, Stop, choose, fast::zero};
use crate::transcode::{
    selection::Node,
    tables::{Card, FieldTable, MessageTable, NO_ONEOF, Op},
    wire::{Cursor, Malformed},
};

/// One occurrence of a known field. Small: there may be one for every two bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    field: u16,
    /// Where the value begins.
    at: u32,
    packed: bool,
}

impl Item {
    fn value<'w>(self, wire: &'w [u8]) -> Cursor<'w> {
        Cursor::new(&wire[self.at as usize..])
    }
}

impl Printer<'_, '_> {
    pub(super) fn careful_fields(
        &mut self,
        table: &MessageTable,
        wire: &[u8],
        chosen: Option<&Node>,
        depth: usize,
        comma: bool,
    ) -> Result<(), Stop> {
        if depth > DEPTH_MAX {
            return Err(Stop::Bad(&"messages are nested too deep"));
        }
        self.holding(|printer| printer.indexed_fields(table, wire, chosen, depth, comma))
    }

    fn indexed_fields(
        &mut self,
        table: &MessageTable,
        wire: &[u8],
        chosen: Option<&Node>,
        depth: usize,
        mut comma: bool,
    ) -> Result<(), Stop> {
        let mut items = self.index(table, wire)?;
        settle_oneofs(table, &mut items);
        // By field, and occurrences of one field in the order of the wire.
        items.sort_unstable();
        let mut printed = vec![false; table.fields.len()];
        for group in items.chunk_by(|a, b| a.field == b.field) {
            let at = usize::from(group[0].field);
            let field = &table.fields[at];
            let Choice::Print(inner) = choose(chosen, field) else { continue };
            let before = self.out.len();
            field.key.put(self.out, comma);
            if self.group(field, wire, group, inner, depth)? {
                comma = true;
                printed[at] = true;
            } else {
                self.out.truncate(before);
            }
        }
        if self.style.defaults {
            self.missing(table, |at| !printed[at], chosen, comma, depth)?;
        }
        Ok(())
    }

    /// Prints the value of one field alone, or its default where it is absent.
    pub(in crate::transcode) fn only(
        &mut self,
        table: &MessageTable,
        field: &FieldTable,
        wire: &[u8],
        chosen: Option<&Node>,
    ) -> Result<(), Stop> {
        let mut items = self.index(table, wire)?;
        settle_oneofs(table, &mut items);
        items.retain(|item| table.fields[usize::from(item.field)].number == field.number);
        let start = self.out.len();
        if self.group(field, wire, &items, chosen, 0)? {
            return Ok(());
        }
        self.out.truncate(start);
        match field.card {
            Card::Repeated => self.out.extend_from_slice(b"[]"),
            Card::Map => self.out.extend_from_slice(b"{}"),
            Card::Singular => self.default(field, 0)?,
        }
        Ok(())
    }

    /// Finds the known fields, in the order of the wire. They are counted first: a vector that grows takes up to three times
    /// what is in it.
    fn index(&mut self, table: &MessageTable, wire: &[u8]) -> Result<Vec<Item>, Stop> {
        let mut count = 0_usize;
        self.each_item(table, wire, |_| count += 1)?;
        self.hold(count.saturating_mul(size_of::<Item>()))?;
        let mut items = Vec::with_capacity(count);
        self.each_item(table, wire, |item| items.push(item))?;
        Ok(items)
    }

    fn each_item(&self, table: &MessageTable, wire: &[u8], mut take: impl FnMut(Item)) -> Result<(), Stop> {
        let mut cursor = Cursor::new(wire);
        while !cursor.is_empty() {
            let (number, kind) = cursor.tag()?;
            let at = cursor.clone();
            cursor.skip(number, kind)?;
            let Some(position) = table.by_number(number) else { continue };
            let field = &table.fields[position];
            let packed = kind != field.wire;
            if packed && !field.takes_packed(kind) {
                continue;
            }
            if field.closed && field.card == Card::Singular && !self.known_number(field, &at) {
                continue;
            }
            let (Ok(field), Ok(at)) = (u16::try_from(position), u32::try_from(wire.len() - at.rest().len()))
            else {
                return Err(Stop::Bad(&"it is too large"));
            };
            take(Item { field, at, packed });
        }
        Ok(())
    }

    /// Prints all occurrences of one field as its value. Returns `false` if there is nothing to show.
    fn group(
        &mut self,
        field: &FieldTable,
        wire: &[u8],
        items: &[Item],
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<bool, Stop> {
        let Some(last) = items.last().map(|item| item.value(wire)) else { return Ok(false) };
        match field.card {
            Card::Repeated => self.list(field, wire, items, chosen, depth),
            Card::Map => {
                let entries = items.iter().map(|item| item.value(wire).bytes());
                self.out.push(b'{');
                let start = self.out.len();
                self.members(field.child, entries, chosen, depth)?;
                self.out.push(b'}');
                Ok(self.out.len() > start + 1)
            }
            Card::Singular if field.implicit && !self.style.defaults && zero(field, last.clone()) => {
                Ok(false)
            }
            Card::Singular if items.len() > 1 && matches!(field.op, Op::Message | Op::Group) => {
                // Pieces of one message, one behind the other, are that message.
                let mut merged = Vec::new();
                for item in items {
                    let piece = content(field, item.value(wire))?;
                    self.copy(piece.len())?;
                    merged.extend_from_slice(piece);
                }
                self.message(field.child, &merged, chosen, depth + 1)?;
                Ok(true)
            }
            Card::Singular => {
                self.value(field, &mut last.clone(), chosen, depth)?;
                Ok(true)
            }
        }
    }

    fn list(
        &mut self,
        field: &FieldTable,
        wire: &[u8],
        items: &[Item],
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<bool, Stop> {
        self.out.push(b'[');
        let start = self.out.len();
        for item in items {
            let mut cursor = item.value(wire);
            if !item.packed {
                self.list_element(field, &mut cursor, start, chosen, depth)?;
                continue;
            }
            let mut values = Cursor::new(cursor.bytes()?);
            while !values.is_empty() {
                self.list_element(field, &mut values, start, chosen, depth)?;
            }
        }
        self.out.push(b']');
        Ok(self.out.len() > start + 1)
    }

    fn list_element(
        &mut self,
        field: &FieldTable,
        cursor: &mut Cursor<'_>,
        start: usize,
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        if field.closed && !self.known_number(field, cursor) {
            return Ok(cursor.varint().map(drop)?);
        }
        if self.out.len() > start {
            self.out.push(b',');
        }
        self.value(field, cursor, chosen, depth)
    }
}

fn content<'w>(field: &FieldTable, mut at: Cursor<'w>) -> Result<&'w [u8], Malformed> {
    if field.op == Op::Group { at.group(field.number) } else { at.bytes() }
}

/// Keeps of each oneof the member that came last, and of that member what came after any other.
fn settle_oneofs(table: &MessageTable, items: &mut Vec<Item>) {
    let oneof = |item: &Item| {
        let oneof = table.fields[usize::from(item.field)].oneof;
        (oneof != NO_ONEOF).then_some(usize::from(oneof))
    };
    // Who came last, and since where no other member did.
    let mut winners: Vec<Option<(u16, u32)>> = vec![None; table.bits];
    for item in items.iter() {
        let Some(oneof) = oneof(item) else { continue };
        let winner = &mut winners[oneof];
        match winner {
            Some((field, _)) if *field == item.field => {}
            _ => *winner = Some((item.field, item.at)),
        }
    }
    items.retain(|item| match oneof(item).and_then(|oneof| winners[oneof]) {
        Some((field, since)) => field == item.field && item.at >= since,
        None => true,
    });
}
