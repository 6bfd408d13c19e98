//! The fields of a message by their names.

use super::{FieldTable, small};
use crate::transcode::hash::hash;

/// Open addressing over both names of every field. Only the schema decides what is in it, so a hostile key can at
/// worst walk one cluster.
#[derive(Debug)]
pub(super) struct NameIndex {
    /// Position plus one; 0 is empty. The length is a power of two, at least twice the number of names.
    slots: Vec<u16>,
}

impl NameIndex {
    /// Lists both names of each field.
    pub(super) fn new(fields: &[FieldTable]) -> Self {
        let mut index = Self { slots: vec![0; (fields.len() * 4).next_power_of_two().max(4)] };
        for (i, field) in fields.iter().enumerate() {
            index.insert(&field.json_name, i);
            if field.name != field.json_name {
                index.insert(&field.name, i);
            }
        }
        index
    }

    fn insert(&mut self, name: &str, position: usize) {
        let mask = self.slots.len() - 1;
        let mut at = hash(name.as_bytes()) as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = small(position) + 1;
    }

    /// Finds the position of a field by either name.
    pub(super) fn find(&self, name: &str, fields: &[FieldTable]) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash(name.as_bytes()) as usize & mask;
        // Half of the slots are empty, so this ends.
        while let Some(position) = usize::from(self.slots[at]).checked_sub(1) {
            let field = &fields[position];
            if *field.json_name == *name || *field.name == *name {
                return Some(position);
            }
            at = (at + 1) & mask;
        }
        None
    }
}
