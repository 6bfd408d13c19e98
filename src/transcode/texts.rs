//! Looking through a request for the texts by which it may say what it wants.

use super::{
    Plan,
    peek::{self, Peeked},
    tables::{Card, FieldTable, Op, Shape, Tables},
    wire::{Cursor, Malformed},
};
use crate::error::Result;

/// Messages within messages that are looked into: as many as JSON can say.
const DEPTH_MAX: usize = super::json::DEPTH_MAX;
/// What a mask is called that chooses what an answer shows.
const READ_MASK: &str = "read_mask";

impl Plan {
    /// Shows every text of a request, wherever it stands, in no certain order. Left out is what takes no effect: what the
    /// server alone sets (`OUTPUT_ONLY`), the own name that a resource has in it, and, if there is a mask that says what
    /// to change (AIP-134), what that does not name.
    ///
    /// # Errors
    /// As `see` has them; the bytes are no message.
    pub fn texts<'w>(&self, wire: &'w [u8], mut see: impl FnMut(&'w str) -> Result<()>) -> Result<()> {
        let mask = self.changed(wire)?;
        let mut walk = Walk { tables: &self.tables, see: &mut see };
        walk.message(self.index, wire, 0, mask.as_deref())
    }

    /// Returns the fields that a mask names, by the first part of their paths; `None` without a mask, or if it names all.
    fn changed<'w>(&self, wire: &'w [u8]) -> Result<Option<Vec<&'w str>>, Malformed> {
        let table = self.tables.message(self.index);
        let is_mask = |field: &&FieldTable| field.is_request_mask && &*field.name != READ_MASK;
        let mut names = Vec::new();
        for mask in table.fields.iter().filter(is_mask) {
            each(wire, |number, value| {
                let (true, Peeked::Bytes(paths)) = (number == mask.number, value) else { return Ok(()) };
                each(paths, |number, path| {
                    let path = path.text().filter(|_| number == 1);
                    names.extend(path.and_then(|path| path.split('.').next()));
                    Ok(())
                })
            })?;
        }
        Ok((!names.is_empty() && !names.contains(&"*")).then_some(names))
    }
}

/// Shows every field of a message.
fn each<'w, E: From<Malformed>>(
    wire: &'w [u8],
    mut see: impl FnMut(u32, Peeked<'w>) -> Result<(), E>,
) -> Result<(), E> {
    let mut cursor = Cursor::new(wire);
    while !cursor.is_empty() {
        let (number, kind) = cursor.tag()?;
        if let Some(value) = peek::read(&mut cursor, number, kind)? {
            see(number, value)?;
        }
    }
    Ok(())
}

struct Walk<'a, F> {
    tables: &'a Tables,
    see: &'a mut F,
}

impl<'w, F: FnMut(&'w str) -> Result<()>> Walk<'_, F> {
    /// Looks through a message. `mask` is about the fields of what it has in it.
    fn message(&mut self, index: u32, wire: &'w [u8], depth: usize, mask: Option<&[&str]>) -> Result<()> {
        let tables = self.tables;
        let table = tables.message(index);
        let masked = mask.filter(|_| depth == 1);
        // On the wire the last one wins: what a body says is outdone by the path.
        let mut singular: Vec<(u32, &str)> = Vec::new();
        let mut type_url = "";
        each(wire, |number, value| {
            let Some(field) = table.by_number(number).map(|at| &table.fields[at]) else { return Ok(()) };
            let Peeked::Bytes(bytes) = value else { return Ok(()) };
            if field.is_no_wish || masked.is_some_and(|mask| !mask.contains(&&*field.name)) {
                return Ok(());
            }
            match field.op {
                Op::String => {
                    let text = value.text().unwrap_or_default();
                    match singular.iter_mut().find(|(seen, _)| *seen == number) {
                        _ if field.card != Card::Singular => return (self.see)(text),
                        Some((_, before)) => *before = text,
                        None => singular.push((number, text)),
                    }
                    if table.shape == Shape::Any {
                        type_url = text;
                    }
                    Ok(())
                }
                Op::Message | Op::Group if depth < DEPTH_MAX => {
                    self.message(field.child, bytes, depth + 1, mask)
                }
                Op::Bytes if table.shape == Shape::Any && depth < DEPTH_MAX => {
                    let name = type_url.rsplit('/').next().unwrap_or_default();
                    tables.find(name).map_or(Ok(()), |index| self.message(index, bytes, depth + 2, None))
                }
                _ => Ok(()),
            }
        })?;
        singular.into_iter().try_for_each(|(_, text)| (self.see)(text))
    }
}
