//! `google.protobuf.Any` in JSON: an object whose `@type`, wherever it stands, says what the rest is.

use super::{Parser, Text, object};
use crate::{
    error::Result,
    transcode::{
        ANY_DEPTH_MAX, base64,
        json::Next,
        tables::Shape,
        wire::{self, LEN, put_bytes, put_tag},
    },
};

const TYPE: &str = "@type";
const VALUE: &str = "value";

impl<'j> Parser<'_, 'j> {
    pub(super) fn any(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        if self.any_depth >= ANY_DEPTH_MAX {
            return Err(self.wrong(&format!("more than {ANY_DEPTH_MAX} Any inside one another")));
        }
        if self.reader.peek()? != Next::Object {
            return Err(self.wrong("expected an object with \"@type\""));
        }
        let Some(type_url) = self.find_type()? else {
            // Nothing at all is an Any that was never set.
            let offset = self.reader.offset();
            self.reader.object()?;
            return match self.reader.key(true)? {
                None => Ok(()),
                Some(_) => Err(self.wrong_at(offset, "\"@type\" is missing")),
            };
        };
        let Some((_, name)) = type_url.rsplit_once('/').filter(|(_, name)| !name.is_empty()) else {
            return Err(self.wrong("\"@type\" must be a URL such as \"type.googleapis.com/package.Message\""));
        };
        put_tag(out, 1, LEN);
        put_bytes(out, type_url.as_bytes());
        put_tag(out, 2, LEN);
        let start = wire::open(out);
        self.any_depth += 1;
        let index = self.tables.find(name);
        match index {
            Some(index) if self.tables.message(index).shape == Shape::Plain => {
                let table = self.tables.message(index);
                self.enter(table, depth)?;
                self.fields(table, out, depth + 1, true)?;
            }
            _ => self.wrapped(index, name, out, depth)?,
        }
        self.any_depth -= 1;
        wire::close(out, start);
        Ok(())
    }

    /// Reads `{"@type": …, "value": …}`: the form of types that are no object in JSON, and of those nobody knows, whose
    /// value is base64.
    fn wrapped(&mut self, index: Option<u32>, name: &str, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        let start = self.reader.offset();
        self.reader.object()?;
        let (mut first, mut typed, mut valued) = (true, false, false);
        loop {
            let offset = self.reader.offset();
            let Some(key) = self.reader.key(first)? else { break };
            first = false;
            match &*key {
                TYPE if !typed => {
                    typed = true;
                    self.reader.string()?;
                }
                VALUE if !valued => {
                    valued = true;
                    self.any_value(index, name, out, depth).map_err(|error| error.within(VALUE))?;
                }
                TYPE | VALUE => {
                    return Err(self.wrong_at(offset, "the key is given twice").within(&key));
                }
                _ if index.is_none() => {
                    return Err(self.wrong_at(offset, &format!("{name} is not a known type")));
                }
                _ => {
                    let why = format!("{name} goes under \"value\"");
                    return Err(self.wrong_at(offset, &why).within(&object::shown(&key)));
                }
            }
        }
        if valued || index.is_none() {
            return Ok(());
        }
        // It is missing from the object, not from what follows that.
        Err(self.wrong_at(start, "\"value\" is missing"))
    }

    fn any_value(&mut self, index: Option<u32>, name: &str, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        let Some(index) = index else {
            let offset = self.reader.offset();
            let known = self.reader.peek()? == Next::String && base64::decode(&self.reader.string()?, out);
            let why = || format!("{name} is not a known type, so its value must be its bytes in base64");
            return if known { Ok(()) } else { Err(self.wrong_at(offset, &why())) };
        };
        self.message(index, out, depth + 1)
    }

    /// Looks ahead for `@type`. Usually it stands first; else the object is read once more than needed, and
    /// [`ANY_DEPTH_MAX`] bounds how often that can happen to the same text.
    fn find_type(&mut self) -> Result<Option<Text<'j>>> {
        let mut ahead = self.reader.clone();
        ahead.object()?;
        let mut first = true;
        while let Some(key) = ahead.key(first)? {
            first = false;
            if key != TYPE {
                ahead.skip()?;
                continue;
            }
            if ahead.peek()? != Next::String {
                return Err(ahead.error("\"@type\" must be a string"));
            }
            return ahead.string().map(Some);
        }
        Ok(None)
    }
}
