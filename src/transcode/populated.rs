//! Which fields of a message a JSON body has, as the paths of a field mask.
//!
//! The body is read once more for it, and only where its method asks: nothing is recorded while a body becomes a message.

use super::{
    json::{Next, Reader},
    tables::{Card, FieldTable, Op, Shape, Tables},
};
use crate::error::Result;

/// Paths of one mask.
pub(super) const PATHS_MAX: usize = 500;
/// Names in one path.
pub(super) const STEPS_MAX: usize = 16;

/// The fields that a request has of one message in it: leaves of nested messages; all else as a whole. A field that is
/// `null` is one of them: it is to be cleared.
pub(super) struct Populated<'t> {
    tables: &'t Tables,
    /// Positions of fields, from the request on.
    steps: Vec<u16>,
    /// Names, from the message on.
    path: String,
    /// Fields that the template gives: what the body says there takes no effect.
    given: &'t [Vec<u16>],
    /// What was found.
    pub(super) paths: Vec<String>,
    /// There is more than a mask can name.
    pub(super) overflows: bool,
    /// There is an extension, which no path of a mask names.
    pub(super) nameless: bool,
}

impl<'t> Populated<'t> {
    /// Looks at the message that the field at a place of the request has.
    pub(super) fn new(tables: &'t Tables, resource: u16, given: &'t [Vec<u16>]) -> Self {
        let steps = vec![resource];
        let (path, paths) = (String::new(), Vec::new());
        Self { tables, steps, path, given, paths, overflows: false, nameless: false }
    }

    /// Reads the fields of the message at `index`, and what is no object as nothing.
    ///
    /// # Errors
    /// It is no JSON, which whoever made a message of it has found before.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, index: u32) -> Result<()> {
        if reader.peek()? != Next::Object {
            return reader.skip();
        }
        self.message(reader, index).map(drop)
    }

    /// Returns whether the object has no key at all.
    fn message(&mut self, reader: &mut Reader<'_>, index: u32) -> Result<bool> {
        let table = self.tables.message(index);
        reader.object()?;
        let mut first = true;
        while let Some(key) = reader.key(first)? {
            first = false;
            match table.by_name(&key, usize::MAX) {
                Some(at) => self.field(reader, at, &table.fields[at])?,
                None => reader.skip()?,
            }
        }
        Ok(first)
    }

    fn field(&mut self, reader: &mut Reader<'_>, at: usize, field: &FieldTable) -> Result<()> {
        let length = self.path.len();
        self.enter(at, field);
        if self.is_idle(field) {
            reader.skip()?;
        } else if self.has_leaves(field) && reader.peek()? == Next::Object {
            if self.steps.len() > STEPS_MAX {
                self.overflows = true;
                reader.skip()?;
            } else if self.message(reader, field.child)? {
                self.found();
            }
        } else if field.card == Card::Singular && field.op == Op::Enum && reader.peek()? == Next::String {
            // Where names that nobody knows are dropped, the field keeps its value.
            if self.tables.enumeration(field.child).number(&reader.string()?).is_some() {
                self.found();
            }
        } else {
            reader.skip()?;
            self.found();
        }
        self.leave(length);
        Ok(())
    }

    /// Adds a field that was given by its path from the request on.
    pub(super) fn add(&mut self, index: u32, steps: &[u16]) {
        let (length, depth) = (self.path.len(), self.steps.len());
        let mut at = index;
        let mut takes_effect = true;
        for step in &steps[depth..] {
            let field = &self.tables.message(at).fields[usize::from(*step)];
            self.enter(usize::from(*step), field);
            takes_effect &= !self.is_idle(field);
            at = field.child;
        }
        if takes_effect && !self.paths.contains(&self.path) {
            self.found();
        }
        self.steps.truncate(depth);
        self.path.truncate(length);
    }

    /// Whether what a request says of a field takes no effect: the server alone sets it, or the template does.
    fn is_idle(&self, field: &FieldTable) -> bool {
        field.is_output_only || self.given.contains(&self.steps)
    }

    fn has_leaves(&self, field: &FieldTable) -> bool {
        field.card == Card::Singular
            && matches!(field.op, Op::Message | Op::Group)
            && self.tables.message(field.child).shape == Shape::Plain
    }

    fn enter(&mut self, at: usize, field: &FieldTable) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(&field.name);
        self.steps.push(u16::try_from(at).unwrap_or(u16::MAX));
    }

    fn leave(&mut self, length: usize) {
        self.path.truncate(length);
        self.steps.pop();
    }

    fn found(&mut self) {
        if self.paths.len() >= PATHS_MAX {
            self.overflows = true;
        } else if self.path.contains('[') {
            self.nameless = true;
        } else {
            self.paths.push(self.path.clone());
        }
    }
}
