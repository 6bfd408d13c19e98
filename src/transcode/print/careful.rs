//! The second look: all fields of a message are known before the first is printed.
//!
//! Costs an index of the message and, where a message field came in pieces, a copy of those pieces; both are bounded
//! by the bytes of the message. Bytes need it rarely: a message written by one encoder never does.

use super::{Choice, DEPTH_MAX, Printer, Stop, choose, damaged, zero};
use crate::{
    error::Error,
    transcode::{
        selection::Node,
        tables::{Card, FieldTable, MessageTable, NO_ONEOF, Op},
        wire::Cursor,
    },
};

/// One occurrence of a known field.
#[derive(Clone)]
struct Item<'w> {
    field: usize,
    packed: bool,
    at: Cursor<'w>,
}

impl Printer<'_, '_> {
    pub(super) fn careful_fields(
        &mut self,
        table: &MessageTable,
        wire: &[u8],
        chosen: Option<&Node>,
        depth: usize,
        mut comma: bool,
    ) -> Result<(), Error> {
        if depth > DEPTH_MAX {
            return Err(damaged("messages are nested too deep"));
        }
        let items = self.index(table, wire)?;
        let mut items: Vec<Item<'_>> = settle_oneofs(table, items);
        // Stable: occurrences of one field stay in the order of the wire.
        items.sort_by_key(|item| item.field);
        let mut printed = vec![false; table.fields.len()];
        for group in items.chunk_by(|a, b| a.field == b.field) {
            let at = group[0].field;
            let field = &table.fields[at];
            let Choice::Print(inner) = choose(chosen, field) else { continue };
            let before = self.out.len();
            if comma {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&field.key);
            if self.group(field, group, inner, depth)? {
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
    ) -> Result<(), Error> {
        let mut items = settle_oneofs(table, self.index(table, wire)?);
        items.retain(|item| table.fields[item.field].number == field.number);
        let start = self.out.len();
        if self.group(field, &items, chosen, 0)? {
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

    fn index<'w>(&self, table: &MessageTable, wire: &'w [u8]) -> Result<Vec<Item<'w>>, Error> {
        let mut items = Vec::new();
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
            items.push(Item { field: position, packed, at });
        }
        Ok(items)
    }

    /// Prints all occurrences of one field as its value. Returns `false` if there is nothing to show.
    fn group(
        &mut self,
        field: &FieldTable,
        items: &[Item<'_>],
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<bool, Error> {
        let Some(last) = items.last() else { return Ok(false) };
        match field.card {
            Card::Repeated => self.list(field, items, chosen, depth),
            Card::Map => {
                let entries =
                    items.iter().map(|item| item.at.clone().bytes()).collect::<Result<Vec<_>, _>>()?;
                self.out.push(b'{');
                let start = self.out.len();
                self.members(field.child, &entries, chosen, depth)?;
                self.out.push(b'}');
                Ok(self.out.len() > start + 1)
            }
            Card::Singular if field.implicit && !self.style.defaults && zero(field, last.at.clone()) => {
                Ok(false)
            }
            Card::Singular if items.len() > 1 && matches!(field.op, Op::Message | Op::Group) => {
                // Pieces of one message, one behind the other, are that message.
                let mut merged = Vec::new();
                for item in items {
                    merged.extend_from_slice(content(field, &item.at)?);
                }
                self.message(field.child, &merged, chosen, depth + 1)?;
                Ok(true)
            }
            Card::Singular => {
                self.one(field, &mut last.at.clone(), chosen, depth)?;
                Ok(true)
            }
        }
    }

    fn list(
        &mut self,
        field: &FieldTable,
        items: &[Item<'_>],
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<bool, Error> {
        self.out.push(b'[');
        let start = self.out.len();
        for item in items {
            let mut cursor = item.at.clone();
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
    ) -> Result<(), Error> {
        if field.closed && !self.known_number(field, cursor) {
            return Ok(cursor.varint().map(drop)?);
        }
        if self.out.len() > start {
            self.out.push(b',');
        }
        self.one(field, cursor, chosen, depth)
    }

    fn one(
        &mut self,
        field: &FieldTable,
        cursor: &mut Cursor<'_>,
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Error> {
        match self.value(field, cursor, chosen, depth) {
            Ok(()) => Ok(()),
            Err(Stop::Bad(error)) => Err(error),
            // `message` settles its own redo; nothing else asks for one.
            Err(Stop::Redo) => Err(damaged("a value cannot be read")),
        }
    }
}

fn content<'w>(field: &FieldTable, at: &Cursor<'w>) -> Result<&'w [u8], Error> {
    let mut cursor = at.clone();
    Ok(if field.op == Op::Group { cursor.group(field.number)? } else { cursor.bytes()? })
}

/// Keeps of each oneof the member that came last, and of that member what came after any other.
fn settle_oneofs<'w>(table: &MessageTable, items: Vec<Item<'w>>) -> Vec<Item<'w>> {
    let mut winners: Vec<Option<usize>> = vec![None; table.bits];
    let mut ended = vec![false; table.bits];
    let mut kept: Vec<Item<'w>> = Vec::with_capacity(items.len());
    for item in items.into_iter().rev() {
        let oneof = table.fields[item.field].oneof;
        if oneof == NO_ONEOF {
            kept.push(item);
            continue;
        }
        let bit = usize::from(oneof);
        let winner = *winners[bit].get_or_insert(item.field);
        ended[bit] |= winner != item.field;
        if !ended[bit] {
            kept.push(item);
        }
    }
    kept.reverse();
    kept
}
