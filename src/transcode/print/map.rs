//! Maps: entries as members of an object, keys always in quotes, the last of two equal keys wins.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    iter::zip,
};

use super::{Open, Printer, Stop};
use crate::transcode::{
    hash::hash,
    selection::Node,
    tables::{FieldTable, Op},
    wire::{Cursor, Malformed},
};

/// Keys that are compared one by one before a hash set takes over.
const FEW: usize = 16;

/// Hashes of the keys written so far. Two keys with one hash only cost a second look, so that they can be made on purpose
/// does not matter. Nine bytes each, in a table that may be less than half full and beside the one that it grew out of: at
/// most some six times the bytes that the entries came in.
pub(super) struct MapKeys {
    few: Vec<u64>,
    many: HashSet<u64>,
}

impl MapKeys {
    fn new() -> Self {
        Self { few: Vec::with_capacity(FEW), many: HashSet::new() }
    }

    /// Adds a key and tells whether it may have been there.
    pub(super) fn insert(&mut self, key: &[u8]) -> bool {
        let hash = hash(key);
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

    fn clear(&mut self) {
        self.few.clear();
        self.many.clear();
    }
}

/// What is kept of an entry's key while others of the map may be the same: ninety-six bits of hashes, which nobody can make
/// collide, and the entry's place among all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct KeyAt {
    hash: u64,
    check: u32,
    at: u32,
}

/// A map entry taken apart.
pub(super) struct Entry<'w> {
    key: Option<Cursor<'w>>,
    value: Option<Cursor<'w>>,
    /// Parts of a message value that came in several pieces, to be merged.
    merged: Option<Vec<u8>>,
}

impl<'t> Printer<'t, '_> {
    /// Returns an empty set of keys.
    pub(super) fn no_keys(&mut self) -> MapKeys {
        self.spare_keys.take().unwrap_or_else(MapKeys::new)
    }

    /// Keeps a set of keys for the next map.
    pub(super) fn put_back(&mut self, mut keys: MapKeys) {
        keys.clear();
        self.spare_keys = Some(keys);
    }

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
        let keys = open.keys.get_or_insert_with(|| self.no_keys());
        if keys.insert(&self.out[start..]) {
            return Err(Stop::Redo);
        }
        if !self.entry_value(field.child, &entry, start, chosen, depth)? {
            self.out.truncate(before);
            (open.comma, open.bracket) = was_open;
        }
        Ok(())
    }

    /// Prints one entry of an object that is a map, as it comes, with its comma. Returns `false` if nothing was printed,
    /// because the key is not chosen.
    pub(super) fn member(
        &mut self,
        map: u32,
        wire: &[u8],
        keys: &mut MapKeys,
        comma: bool,
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<bool, Stop> {
        let entry = self.read_entry(map, wire)?;
        let before = self.out.len();
        if comma {
            self.out.push(b',');
        }
        let start = self.out.len();
        self.entry_key(map, &entry)?;
        if keys.insert(&self.out[start..]) {
            return Err(Stop::Redo);
        }
        let printed = self.entry_value(map, &entry, start, chosen, depth)?;
        if !printed {
            self.out.truncate(before);
        }
        Ok(printed)
    }

    /// Prints entries as the members of one object, without its braces; equal keys are resolved first. The entries are gone
    /// through several times rather than kept.
    pub(super) fn members<'w>(
        &mut self,
        map: u32,
        entries: impl Iterator<Item = Result<&'w [u8], Malformed>> + Clone,
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        self.holding(|printer| {
            let winners = printer.winners(map, entries.clone())?;
            printer.chosen_members(map, entries, &winners, chosen, depth)
        })
    }

    /// Finds the last entry of each key, in the order of the wire.
    fn winners<'w>(
        &mut self,
        map: u32,
        entries: impl Iterator<Item = Result<&'w [u8], Malformed>> + Clone,
    ) -> Result<Vec<KeyAt>, Stop> {
        // Up to the first that is damaged: behind it there is no end.
        let count = entries.clone().try_fold(0_usize, |count, wire| wire.map(|_| count + 1))?;
        let Ok(end) = u32::try_from(count) else { return Err(Stop::Bad(&"it is too large")) };
        self.hold(count.saturating_mul(size_of::<KeyAt>()))?;
        // Of the keys two hashes with secret seeds are kept: the keys themselves could take many times the bytes that they
        // came in.
        let seeds = [RandomState::new(), RandomState::new()];
        let mut keys = Vec::with_capacity(count);
        for (at, wire) in zip(0..end, entries) {
            let entry = self.read_entry(map, wire?)?;
            if self.outside(map, &entry) {
                continue;
            }
            let start = self.out.len();
            self.entry_key(map, &entry)?;
            let [hash, check] = seeds.each_ref().map(|seed| seed.hash_one(&self.out[start..]));
            keys.push(KeyAt { hash, check: check as u32, at });
            self.out.truncate(start);
        }
        // Equal keys side by side, of which the last stays.
        keys.sort_unstable();
        keys.dedup_by(|later, kept| {
            let same = (later.hash, later.check) == (kept.hash, kept.check);
            if same {
                kept.at = later.at;
            }
            same
        });
        keys.sort_unstable_by_key(|key| key.at);
        Ok(keys)
    }

    fn chosen_members<'w>(
        &mut self,
        map: u32,
        entries: impl Iterator<Item = Result<&'w [u8], Malformed>>,
        winners: &[KeyAt],
        chosen: Option<&Node>,
        depth: usize,
    ) -> Result<(), Stop> {
        let mut winners = winners.iter().map(|key| key.at).peekable();
        let mut comma = false;
        for (at, wire) in zip(0.., entries) {
            if winners.next_if_eq(&at).is_none() {
                continue;
            }
            let entry = self.read_entry(map, wire?)?;
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

    pub(super) fn read_entry<'w>(&mut self, map: u32, wire: &'w [u8]) -> Result<Entry<'w>, Stop> {
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
                Some((2, Op::Message)) => self.copy(entry.add_message(&at)?)?,
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

    fn entry_key(&mut self, map: u32, entry: &Entry<'_>) -> Result<(), Stop> {
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
    ) -> Result<bool, Stop> {
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
            (None, Some(value)) => self.value(field, &mut value.clone(), chosen, depth)?,
        }
        Ok(true)
    }

    fn value_field(&self, map: u32) -> &'t FieldTable {
        let table = self.tables.message(map);
        &table.fields[table.by_number(2).unwrap_or(0)]
    }
}

impl<'w> Entry<'w> {
    /// Adds a piece of a message value. Returns how many bytes were copied: none for the first piece.
    fn add_message(&mut self, at: &Cursor<'w>) -> Result<usize, Malformed> {
        let Some(first) = self.value.replace(at.clone()) else { return Ok(0) };
        let before = self.merged.as_ref().map_or(0, Vec::len);
        let merged = match &mut self.merged {
            Some(merged) => merged,
            none => none.insert(first.clone().bytes()?.to_vec()),
        };
        merged.extend_from_slice(at.clone().bytes()?);
        Ok(merged.len() - before)
    }
}
