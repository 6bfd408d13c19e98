//! The fields of a JSON object, taken one by one: what is left over is unknown.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::object;
use crate::error::{Error, Result, nearest};

/// A JSON object that is being read.
pub(in crate::http::own) struct Fields {
    left: Map<String, Value>,
    known: Vec<&'static str>,
}

impl From<Map<String, Value>> for Fields {
    fn from(left: Map<String, Value>) -> Self {
        Self { left, known: Vec::new() }
    }
}

impl Fields {
    /// Reads a body; an empty one has no fields.
    pub(in crate::http::own) fn read(body: &[u8]) -> Result<Self> {
        object::read(body).map(Self::from)
    }

    /// What was not taken yet.
    pub(in crate::http::own) fn left(&self) -> &Map<String, Value> {
        &self.left
    }

    /// Takes a field; `null` counts as absent.
    pub(in crate::http::own) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.remove(name).filter(|value| !value.is_null())
    }

    /// Whether a field is there, `null` included.
    pub(in crate::http::own) fn has(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    pub(in crate::http::own) fn text(&mut self, name: &'static str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Error::invalid_field(name, "expected a string")),
        }
    }

    pub(in crate::http::own) fn flag(&mut self, name: &'static str) -> Result<Option<bool>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(Error::invalid_field(name, "expected true or false")),
        }
    }

    pub(in crate::http::own) fn number(&mut self, name: &'static str) -> Result<Option<u32>> {
        let wrong = || Error::invalid_field(name, "expected a whole number");
        match self.take(name) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_u64().and_then(|number| number.try_into().ok());
                number.map(Some).ok_or_else(wrong)
            }
        }
    }

    /// A number that `null` takes away; nothing where the field is not there.
    pub(in crate::http::own) fn number_or_none(&mut self, name: &'static str) -> Result<Option<Option<u32>>> {
        let is_there = self.has(name);
        self.number(name).map(|number| is_there.then_some(number))
    }

    pub(in crate::http::own) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::Array(items) = value else {
            return Err(Error::invalid_field(name, "expected a list of strings"));
        };
        let text = |(at, item): (usize, Value)| match item {
            Value::String(text) => Ok(text),
            _ => Err(Error::invalid_field(format!("{name}[{at}]"), "expected a string")),
        };
        items.into_iter().enumerate().map(text).collect::<Result<_>>().map(Some)
    }

    /// The fields within, each with its name.
    pub(in crate::http::own) fn object(&mut self, name: &'static str) -> Result<Option<Map<String, Value>>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(fields)),
            Some(_) => Err(Error::invalid_field(name, "expected an object")),
        }
    }

    pub(in crate::http::own) fn pairs(
        &mut self,
        name: &'static str,
    ) -> Result<Option<BTreeMap<String, String>>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::Object(items) = value else {
            return Err(Error::invalid_field(name, "expected an object of strings"));
        };
        let pair = |(key, item): (String, Value)| match item {
            Value::String(text) => Ok((key, text)),
            _ => Err(Error::invalid_field(format!("{name}.{key}"), "expected a string")),
        };
        items.into_iter().map(pair).collect::<Result<_>>().map(Some)
    }

    pub(in crate::http::own) fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>> {
        let wrong = |_| Error::invalid_field(name, "expected a time such as 2026-11-21T09:00:00Z");
        self.text(name)?.map(|text| text.parse().map_err(wrong)).transpose()
    }

    /// A duration as protobuf prints it: `86400s`.
    pub(in crate::http::own) fn duration(&mut self, name: &'static str) -> Result<Option<SignedDuration>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let secs = text.strip_suffix('s').and_then(|secs| secs.parse::<u32>().ok());
        let secs = secs.ok_or_else(|| Error::invalid_field(name, "expected whole seconds such as 86400s"))?;
        Ok(Some(SignedDuration::from_secs(secs.into())))
    }

    /// Passes over what only we say: a body may be what was read before.
    pub(in crate::http::own) fn output_only(&mut self, names: &[&'static str]) {
        for name in names {
            self.take(name);
        }
    }

    /// Refuses what is left.
    pub(in crate::http::own) fn finish(self) -> Result<()> {
        let Some(name) = self.left.keys().next() else { return Ok(()) };
        let text = match nearest(name, self.known.iter().copied()) {
            Some(known) => format!("no such field; did you mean {known}?"),
            None if self.known.is_empty() => "this method takes no fields".to_owned(),
            None => format!("no such field; there are {}", self.known.join(", ")),
        };
        Err(Error::unknown_field(name.clone(), text))
    }
}
