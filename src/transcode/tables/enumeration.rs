//! The table of one enum type.

use std::{collections::HashMap, sync::Arc};

use crate::{error::nearest, schema};

#[derive(Debug)]
pub(in crate::transcode) struct EnumTable {
    pub(in crate::transcode) name: Arc<str>,
    /// `google.protobuf.NullValue`, whose only value is JSON `null`.
    pub(in crate::transcode) null: bool,
    pub(in crate::transcode) closed: bool,
    /// Quoted names of the numbers 0, 1, 2 … up to the first that has none.
    dense: Vec<Box<[u8]>>,
    /// Quoted names of all other numbers.
    others: HashMap<i32, Box<[u8]>>,
    numbers: HashMap<Box<str>, i32>,
    /// The default.
    pub(in crate::transcode) first: i32,
}

impl EnumTable {
    pub(super) fn new(enumeration: &schema::Enum) -> Self {
        let mut others: HashMap<i32, Box<[u8]>> = HashMap::new();
        let mut numbers = HashMap::new();
        for value in &enumeration.values {
            numbers.insert(value.name.as_str().into(), value.number);
            // The first of several names for one number is the one that is printed.
            let quoted = || format!("\"{}\"", value.name).into_bytes().into_boxed_slice();
            others.entry(value.number).or_insert_with(quoted);
        }
        // Only now: numbers may be declared in any order, and a name must be in one place.
        let dense = (0_i32..).map_while(|number| others.remove(&number)).collect();
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

    /// Returns the number of a value that a query gives, by its name or as a number.
    pub(in crate::transcode) fn of_text(&self, text: &str) -> Option<i32> {
        let is_taken = |number: &i32| !self.closed || self.knows(*number);
        self.number(text).or_else(|| text.parse().ok().filter(is_taken))
    }

    pub(in crate::transcode) fn knows(&self, number: i32) -> bool {
        self.quoted(number).is_some()
    }

    /// Returns the known name nearest to a misspelt one.
    pub(in crate::transcode) fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.numbers.keys().map(|known| &**known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::fixture::pool_of;

    fn table(values: &str) -> EnumTable {
        let pool = pool_of(&format!("enum E {{ option allow_alias = true; {values} }}"));
        let (_, enumeration) = pool.enums().find(|(_, known)| &*known.full_name == "pkg.E").unwrap();
        EnumTable::new(enumeration)
    }

    #[test]
    fn of_several_names_the_first_declared_is_printed_whatever_the_order_of_numbers() {
        let table =
            table("Z = 0; TWO_FIRST = 2; ONE = 1; TWO_SECOND = 2; NINE = 9; NINE_TOO = 9; MINUS = -1;");
        let names: [&[u8]; 5] = [b"\"Z\"", b"\"ONE\"", b"\"TWO_FIRST\"", b"\"NINE\"", b"\"MINUS\""];
        assert_eq!([0, 1, 2, 9, -1].map(|number| table.quoted(number).unwrap()), names);
        assert_eq!(
            ["TWO_FIRST", "TWO_SECOND", "NINE_TOO"].map(|name| table.number(name)),
            [Some(2), Some(2), Some(9)]
        );
        assert_eq!(table.quoted(3), None);
    }
}
