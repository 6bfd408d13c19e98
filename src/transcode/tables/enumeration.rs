//! The table of one enum type.

use std::{collections::HashMap, sync::Arc};

use crate::{error::nearest, schema};

#[derive(Debug)]
pub(in crate::transcode) struct EnumTable {
    pub(in crate::transcode) name: Arc<str>,
    /// `google.protobuf.NullValue`, whose only value is JSON `null`.
    pub(in crate::transcode) null: bool,
    pub(in crate::transcode) closed: bool,
    /// Quoted names of the numbers 0, 1, 2 …; empty where there is a gap.
    dense: Vec<Box<[u8]>>,
    /// Quoted names of all other numbers.
    others: HashMap<i32, Box<[u8]>>,
    numbers: HashMap<Box<str>, i32>,
    /// The default.
    pub(in crate::transcode) first: i32,
}

impl EnumTable {
    pub(super) fn new(enumeration: &schema::Enum) -> Self {
        let mut dense: Vec<Box<[u8]>> = Vec::new();
        let mut others = HashMap::new();
        let mut numbers = HashMap::new();
        for value in &enumeration.values {
            let quoted: Box<[u8]> = format!("\"{}\"", value.name).into_bytes().into();
            numbers.insert(value.name.as_str().into(), value.number);
            // The first of several names for one number is the one that is printed.
            match usize::try_from(value.number) {
                Ok(at) if at == dense.len() => dense.push(quoted),
                Ok(at) if at < dense.len() => {}
                _ => {
                    others.entry(value.number).or_insert(quoted);
                }
            }
        }
        Self {
            name: Arc::clone(&enumeration.full_name),
            null: &*enumeration.full_name == "google.protobuf.NullValue",
            closed: enumeration.closed,
            dense,
            others,
            numbers,
            first: enumeration.values.first().map_or(0, |value| value.number),
        }
    }

    /// Returns the quoted name of a number.
    #[inline]
    pub(in crate::transcode) fn quoted(&self, number: i32) -> Option<&[u8]> {
        match usize::try_from(number).ok().and_then(|at| self.dense.get(at)) {
            Some(name) => Some(name),
            None => self.others.get(&number).map(|name| &**name),
        }
    }

    pub(in crate::transcode) fn number(&self, name: &str) -> Option<i32> {
        self.numbers.get(name).copied()
    }

    pub(in crate::transcode) fn knows(&self, number: i32) -> bool {
        self.quoted(number).is_some()
    }

    /// Returns the known name nearest to a misspelt one.
    pub(in crate::transcode) fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.numbers.keys().map(|known| &**known))
    }
}
