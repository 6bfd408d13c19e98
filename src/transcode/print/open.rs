//! What of the output is open: what must be written before the next key, and what must be closed.

use super::{Printer, map::MapKeys};
use crate::transcode::tables::FieldTable;

/// The part of the output that is open: what must be written before the next key, and what must be closed.
pub(super) struct Open {
    pub(super) comma: bool,
    /// Position of the repeated field being written, or `usize::MAX`.
    pub(super) field: usize,
    /// Whether its bracket is there: a list of which nothing is shown has none.
    pub(super) bracket: Option<u8>,
    /// Keys of the map being written, from its first entry on.
    pub(super) keys: Option<MapKeys>,
}

impl Printer<'_, '_> {
    /// Writes what stands before an element of a list or a map: key and bracket, or a comma.
    #[inline]
    pub(super) fn bracket(&mut self, open: &mut Open, field: &FieldTable, bracket: u8) {
        if open.bracket.is_some() {
            self.out.push(b',');
            return;
        }
        self.key(open, field);
        self.out.push(bracket);
        open.bracket = Some(bracket);
    }

    #[inline]
    pub(super) fn key(&mut self, open: &mut Open, field: &FieldTable) {
        field.key.put(self.out, open.comma);
        open.comma = true;
    }

    /// Closes the list or map that is being written, if one is.
    #[inline(always)]
    pub(super) fn close(&mut self, open: &mut Open) {
        if open.field == usize::MAX {
            return;
        }
        match open.bracket.take() {
            Some(b'[') => self.out.push(b']'),
            Some(_) => {
                self.out.push(b'}');
                if let Some(keys) = open.keys.take() {
                    self.put_back(keys);
                }
            }
            None => {}
        }
        open.field = usize::MAX;
    }
}
