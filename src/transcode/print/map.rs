//! Maps: entries as members of an object, keys always in quotes, the last of two equal keys wins.

use std::collections::HashSet;

use super::{Open, Printer, Stop};
use crate::{
    error::Error,
    transcode::{
        selection::Node,
        tables::{FieldTable, Op},
        wire::Cursor,
    },
};

/// Keys that are compared one by one before a hash set takes over.
const FEW: usize = 16;

/// Hashes of the keys written so far. Two keys with one hash only cost a second look.
#[derive(Default)]
pub(super) struct MapKeys {
    few: Vec<u64>,
    many: HashSet<u64>,
}

impl MapKeys {
    /// Adds a key and tells whether it may have been there.
    pub(super) fn insert(&mut self, key: &[u8]) -> bool {
        let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        if self.few.len() < FEW {
            let seen = self.few.contains(&hash);
            self.few.push(hash);
            return seen;
        }
        if self.many.is_empty() {
            self.many.extend(&self.few);
        }
        !self.many.insert(hash)
    }

    pub(super) fn clear(&mut self) {
        self.few.clear();
        self.many.clear();
    }
}

/// A map entry taken apart.
pub(super) struct Entry<'w> {
    key: Option<Cursor<'w>>,
    value: Option<Cursor<'w>>,
    /// Parts of a message value that came in several pieces, to be merged.
    merged: Option<Vec<u8>>,
}

impl<'t> Printer<'t, '_> {
    /// Prints one entry of a map field as it comes.
    pub(super) fn entry(
        &mut self,
        field: &FieldTable,
        wire: &[u8],
        open: &mut Open,
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        let entry = self.read_entry(field.child, wire)?;
        if self.outside(field.child, &entry) {
            return Ok(());
        }
        let before = self.out.len();
        let was_open = (open.comma, open.bracket);
        self.bracket(open, field, b'{');
        let start = self.out.len();
        self.entry_key(field.child, &entry)?;
        if open.keys.insert(&self.out[start..]) {
            return Err(Stop::Redo);
        }
        if !self.entry_value(field.child, &entry, start, chosen, depth)? {
            self.out.truncate(before);
            (open.comma, open.bracket) = was_open;
        }
        Ok(())
    }

    /// Prints entries as the members of one object, without its braces; equal keys are resolved first.
    pub(super) fn members(
        &mut self,
        map: u32,
        entries: &[&[u8]],
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Error> {
        // From the back, so that the first one met is the one that wins; then printed in order.
        let mut keys = HashSet::new();
        let mut winners = Vec::with_capacity(entries.len());
        for (i, wire) in entries.iter().enumerate().rev() {
            let entry = self.read_entry(map, wire)?;
            if self.outside(map, &entry) {
                continue;
            }
            let start = self.out.len();
            self.entry_key(map, &entry)?;
            let key = self.out.split_off(start);
            if keys.insert(key) {
                winners.push((i, entry));
            }
        }
        let mut comma = false;
        for (_, entry) in winners.into_iter().rev() {
            let before = self.out.len();
            if comma {
                self.out.push(b',');
            }
            let start = self.out.len();
            self.entry_key(map, &entry)?;
            if self.entry_value(map, &entry, start, chosen, depth)? {
                comma = true;
            } else {
                self.out.truncate(before);
            }
        }
        Ok(())
    }

    pub(super) fn read_entry<'w>(&self, map: u32, wire: &'w [u8]) -> Result<Entry<'w>, Error> {
        let table = self.tables.message(map);
        let mut entry = Entry { key: None, value: None, merged: None };
        let mut cursor = Cursor::new(wire);
        while !cursor.is_empty() {
            let (number, kind) = cursor.tag()?;
            let at = cursor.clone();
            let field =
                table.by_number(number).map(|at| &table.fields[at]).filter(|field| field.wire == kind);
            cursor.skip(number, kind)?;
            match field.map(|field| (field.number, field.op)) {
                Some((1, _)) => entry.key = Some(at),
                Some((2, Op::Message)) => entry.add_message(at)?,
                Some((2, _)) => entry.value = Some(at),
                _ => {}
            }
        }
        Ok(entry)
    }

    /// Whether the value is a number outside a closed enum: then the whole entry is an unknown field.
    fn outside(&self, map: u32, entry: &Entry<'_>) -> bool {
        let field = self.value_field(map);
        field.closed && entry.value.as_ref().is_some_and(|value| !self.known_number(field, value))
    }

    fn entry_key(&mut self, map: u32, entry: &Entry<'_>) -> Result<(), Error> {
        let table = self.tables.message(map);
        let field = &table.fields[table.by_number(1).unwrap_or(0)];
        match &entry.key {
            Some(key) => self.map_key(field, &mut key.clone())?,
            None if field.op == Op::String => self.out.extend_from_slice(b"\"\""),
            None if field.op == Op::Bool => self.out.extend_from_slice(b"\"false\""),
            None => self.out.extend_from_slice(b"\"0\""),
        }
        Ok(())
    }

    /// Prints `:` and the value. Returns `false`, with nothing of use written, if the key at `start` is not chosen.
    fn entry_value(
        &mut self,
        map: u32,
        entry: &Entry<'_>,
        start: usize,
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<bool, Error> {
        let chosen = match chosen {
            None => None,
            Some(node) => match node.key(&self.out[start + 1..self.out.len() - 1]) {
                None => return Ok(false),
                Some(child) => child.narrowed(),
            },
        };
        self.out.push(b':');
        let field = self.value_field(map);
        match (&entry.merged, &entry.value) {
            (Some(merged), _) => self.message(field.child, merged, chosen, depth + 1)?,
            (None, None) => self.default(field, depth)?,
            (None, Some(value)) => match self.value(field, &mut value.clone(), chosen, depth) {
                Ok(()) => {}
                Err(Stop::Bad(error)) => return Err(error),
                Err(Stop::Redo) => return Err(super::damaged("a map value cannot be read")),
            },
        }
        Ok(true)
    }

    fn value_field(&self, map: u32) -> &'t FieldTable {
        let table = self.tables.message(map);
        &table.fields[table.by_number(2).unwrap_or(0)]
    }
}

impl<'w> Entry<'w> {
    fn add_message(&mut self, at: Cursor<'w>) -> Result<(), Error> {
        if let Some(first) = &self.value {
            let merged = match &mut self.merged {
                Some(merged) => merged,
                none => none.insert(first.clone().bytes()?.to_vec()),
            };
            merged.extend_from_slice(at.clone().bytes()?);
        }
        self.value = Some(at);
        Ok(())
    }
}
