//! Objects that are messages: keys are fields, by either name, each at most once.

use std::{borrow::Cow, collections::HashSet};

use super::{Parser, Text, UnknownFields};
use crate::{
    error::{Error, Result},
    transcode::{
        seen::Seen,
        tables::{MessageTable, NO_ONEOF},
    },
};

/// Characters of a caller's key that an error repeats.
const SHOWN_MAX: usize = 80;
/// Keys that are compared one by one before a hash set takes over.
const FEW: usize = 16;

impl<'j> Parser<'_, 'j> {
    /// Returns an empty set of keys.
    pub(super) fn no_keys(&mut self) -> Keys<'j> {
        self.spare_keys.take().unwrap_or_else(Keys::new)
    }

    /// Keeps a set of keys for the next map.
    pub(super) fn put_back(&mut self, mut keys: Keys<'j>) {
        keys.few.clear();
        keys.many.clear();
        self.spare_keys = Some(keys);
    }

    /// Reads the fields of a message up to its closing brace. `in_any` allows, and skips, one `@type`.
    pub(super) fn fields(
        &mut self,
        table: &MessageTable,
        out: &mut Vec<u8>,
        depth: usize,
        in_any: bool,
    ) -> Result<()> {
        let mut seen = Seen::default();
        let mut typed = !in_any;
        let mut next = 0;
        let mut first = true;
        loop {
            let offset = self.reader.offset();
            let Some(key) = self.reader.key(first)? else { return Ok(()) };
            first = false;
            let Some(at) = table.by_name(&key, next) else {
                if !typed && key == "@type" {
                    typed = true;
                    self.reader.string()?;
                } else if in_any && table.fields.is_empty() && key == "value" {
                    // Go writes `google.protobuf.Empty` like this, everybody else without a value.
                    self.enter(table, depth)?;
                    self.fields(table, out, depth, false)?;
                } else {
                    self.unknown(table, &key, offset)?;
                }
                continue;
            };
            next = at + 1;
            let field = &table.fields[at];
            if seen.set(at) {
                return Err(self.wrong_at(offset, "the field is given twice").within(&field.json_name));
            }
            let ignored = self.ignored.len();
            let set = self.member(field, out, depth).map_err(|error| error.within(&field.json_name))?;
            if self.ignored.len() > ignored {
                self.prefix_ignored(ignored, &field.json_name);
            }
            if set && field.oneof != NO_ONEOF && seen.set(usize::from(field.oneof)) {
                let why = "another field of the same oneof is given too; choose one";
                return Err(self.wrong_at(offset, why).within(&field.json_name));
            }
        }
    }

    fn unknown(&mut self, table: &MessageTable, key: &str, offset: usize) -> Result<()> {
        if self.unknown != UnknownFields::Reject {
            self.ignore(key);
            return self.reader.skip();
        }
        let (line, column) = self.reader.position_at(offset);
        Err(unknown_field(table, key, &format!(" (line {line}, column {column})")))
    }
}

/// The error for a name that a message does not have, with the nearest one that it has.
#[cold]
pub(in crate::transcode) fn unknown_field(table: &MessageTable, name: &str, place: &str) -> Error {
    let hint = match table.nearest(name) {
        Some(near) => format!(" Did you mean {near}?"),
        None => String::new(),
    };
    Error::unknown_field(shown(name), format!("{} has no such field{place}.{hint}", table.name))
}

/// Cuts a caller's key to a length that an error message can bear.
pub(in crate::transcode) fn shown(key: &str) -> Cow<'_, str> {
    match key.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}…", &key[..end])),
        None => Cow::Borrowed(key),
    }
}

/// The keys of one object that is a map.
pub(super) struct Keys<'j> {
    few: Vec<Text<'j>>,
    many: HashSet<Text<'j>>,
}

impl<'j> Keys<'j> {
    fn new() -> Self {
        Self { few: Vec::with_capacity(FEW), many: HashSet::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.few.is_empty()
    }

    /// Adds a key; `false` if it is there.
    pub(super) fn insert(&mut self, key: Text<'j>) -> bool {
        if self.few.len() < FEW {
            let new = !self.few.contains(&key);
            self.few.push(key);
            return new;
        }
        if self.many.is_empty() {
            self.many.extend(self.few.iter().cloned());
        }
        self.many.insert(key)
    }
}
