//! How an answer is to be printed.

use bytes::Bytes;

use super::Route;
use crate::{
    cache::Page,
    error::Result,
    transcode::{JsonOptions, Selection},
};

/// What [`Page::form`] says of a body in wire format; any other is JSON.
pub const WIRE: u8 = 1;

/// How an answer is to be printed.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// The message in wire format; then nothing else of this matters.
    pub wire: bool,
    /// Enums as numbers.
    pub enum_numbers: bool,
    /// Zero values are printed.
    pub defaults: bool,
    /// Indented.
    pub pretty: bool,
    /// The parts that are wanted.
    pub selection: Option<Selection>,
    /// The mask that the selection was made from.
    pub mask: Option<String>,
}

impl Form {
    /// A message in wire format.
    pub fn wire() -> Self {
        Self { wire: true, ..Self::default() }
    }

    /// Returns the options of JSON.
    pub fn json(&self) -> JsonOptions<'_> {
        JsonOptions {
            enum_numbers: self.enum_numbers,
            defaults: self.defaults,
            selection: self.selection.as_ref(),
            pretty: self.pretty,
            paths_as_they_are: false,
        }
    }

    /// Prints a page.
    ///
    /// # Errors
    /// The message is none of the method's response type.
    pub fn print(&self, route: &Route, message: &Bytes) -> Result<Page> {
        if self.wire {
            return Ok(Page::new(message.clone(), WIRE, Vec::new()));
        }
        let mut body = Vec::new();
        let printed = route.print(message, &self.json(), &mut body)?;
        body.shrink_to_fit();
        Ok(Page::new(body.into(), 0, printed.unknown_types))
    }

    /// Tells it from all others, together with the mask.
    pub(super) fn flags(&self) -> [u8; 1] {
        let bits = [self.wire, self.enum_numbers, self.defaults, self.pretty];
        [bits.into_iter().fold(0, |flags, bit| flags << 1 | u8::from(bit))]
    }
}
