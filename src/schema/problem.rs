//! What keeps the gateway from starting, in words for the person who starts it.

use std::fmt;

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
    /// Joins the parts.
    pub fn new(place: impl Into<String>, what: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), way_out: way_out.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.what, self.way_out)
    }
}
