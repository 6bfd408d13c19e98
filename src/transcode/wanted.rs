//! Which of many paths a message of ours holds, found in one reading.

use std::collections::BTreeMap;

use super::{
    tables::Tables,
    wire::{Cursor, GROUP, LEN},
};

/// Paths to look for in a message: a tree whose leaves are lists.
#[derive(Default)]
pub(super) struct Wanted {
    inner: BTreeMap<u16, Wanted>,
    found: bool,
}

impl Wanted {
    /// Adds a path, as positions of fields.
    pub(super) fn add(&mut self, steps: &[u16]) {
        if let Some((step, rest)) = steps.split_first() {
            self.inner.entry(*step).or_default().add(rest);
        }
    }

    /// Tells whether a path that was added leads to something.
    pub(super) fn found(&self, steps: &[u16]) -> bool {
        match steps.split_first() {
            None => self.found,
            Some((step, rest)) => self.inner.get(step).is_some_and(|inner| inner.found(rest)),
        }
    }

    /// Marks what a message of the type at `index` holds, given in bytes that we wrote.
    pub(super) fn look(&mut self, tables: &Tables, index: u32, wire: &[u8]) {
        let table = tables.message(index);
        let mut cursor = Cursor::new(wire);
        while !cursor.is_empty() {
            let Ok((number, kind)) = cursor.tag() else { return };
            let step = table.by_number(number).and_then(|at| Some((at, u16::try_from(at).ok()?)));
            let wanted = step.and_then(|(at, step)| Some((&table.fields[at], self.inner.get_mut(&step)?)));
            let Some((field, wanted)) = wanted else {
                if cursor.skip(number, kind).is_err() {
                    return;
                }
                continue;
            };
            wanted.found = true;
            let content = match kind {
                GROUP => cursor.group(number),
                LEN => cursor.bytes(),
                _ => cursor.skip(number, kind).map(|()| &wire[..0]),
            };
            let Ok(content) = content else { return };
            if !wanted.inner.is_empty() {
                wanted.look(tables, field.child, content);
            }
        }
    }
}
