//! What keeps the gateway from starting, in words for the person who starts it.

use std::fmt;

/// Letters compared when looking for the name that was meant.
const NAME_LETTERS_MAX: usize = 256;

/// One thing that is wrong: where, what, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where: a configuration key, a line of a file, a method.
    pub place: String,
    /// What is wrong there.
    pub what: String,
    /// What to do about it.
    pub way_out: String,
}

impl Problem {
    pub(super) fn new(place: impl Into<String>, what: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), way_out: way_out.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.what, self.way_out)
    }
}

/// Returns the name that was probably meant by `text`, which is none of `names`.
pub(super) fn nearest<'n>(text: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let short = |name: &str| name.len() <= NAME_LETTERS_MAX;
    if !short(text) {
        return None;
    }
    let measured = names.into_iter().filter(|name| short(name)).map(|name| (distance(text, name), name));
    measured.min().filter(|(edits, name)| edits * 4 <= name.len()).map(|(_, name)| name)
}

/// Counts the letters to insert, remove or replace to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["pkg.Service.GetThing", "pkg.Service.ListThings", "pkg.Other.GetThing"];
        assert_eq!(nearest("pkg.Service.GetThin", names), Some("pkg.Service.GetThing"));
        assert_eq!(nearest("pkg.Service.ListThing", names), Some("pkg.Service.ListThings"));
        assert_eq!(nearest("something.else.entirely", names), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
