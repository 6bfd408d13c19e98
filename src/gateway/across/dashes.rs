//! Where a path has a `-`, and whether it can be read across.

use std::borrow::Cow;

use super::super::{Route, listing::Listing, scopes::ALL_OF_THEM};
use crate::{
    error::{Error, Result},
    schema::{Part, singular},
};

/// A `-` in a value of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dash<'l> {
    /// Which value.
    pub(super) capture: usize,
    /// What stands before it: the collection's name, with its parents.
    pub(super) before: String,
    /// Where what it stands for comes from.
    pub(super) source: &'l Part,
}

/// What the `-` in a path mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// There is none, or the upstream reads across by itself.
    One,
    /// The gateway reads across them.
    Across,
    /// One of them stands for nothing that is known: the collection it is of.
    Not(String),
}

impl Route {
    /// Tells what the `-` in the path of a list mean.
    pub(crate) fn reads(&self, captures: &[Cow<'_, str>]) -> Reads {
        let Some(listing) = &self.listing else { return Reads::One };
        if !captures.iter().any(|value| value.split('/').any(|segment| segment == ALL_OF_THEM)) {
            return Reads::One;
        }
        let mut reads = Reads::One;
        for (collection, _, _) in places(captures) {
            match listing.parts.get(&singular(collection)) {
                Some(Part::Upstream) => {}
                Some(Part::Config | Part::Method(_)) => reads = Reads::Across,
                None if listing.knows_parts => return Reads::Not(collection.to_owned()),
                None => {}
            }
        }
        reads
    }

    /// Whether the gateway reads across a `-` of the path.
    pub fn reads_across(&self, captures: &[Cow<'_, str>]) -> bool {
        self.reads(captures) == Reads::Across
    }

    /// Refuses a path with a `-` that cannot be read across.
    ///
    /// # Errors
    /// `INVALID_FIELD`, naming the variable of the path.
    pub fn require_readable(&self, captures: &[Cow<'_, str>]) -> Result<()> {
        let Reads::Not(collection) = self.reads(captures) else { return Ok(()) };
        let variable = self.variables.first().map_or("path", |variable| variable.as_str());
        let other = match collection.is_empty() {
            true => "This list cannot be read across with -".to_owned(),
            false => format!("This list cannot be read across {collection} with -"),
        };
        Err(Error::invalid_field(variable, format!("{other}; name one.")))
    }
}

/// Finds the first `-` that the gateway reads across.
pub(super) fn first<'l>(listing: &'l Listing, captures: &[Cow<'_, str>]) -> Option<Dash<'l>> {
    places(captures).find_map(|(collection, capture, end)| {
        let source = listing.parts.get(&singular(collection)).filter(|part| **part != Part::Upstream)?;
        Some(Dash { capture, before: captures[capture][..end].to_owned(), source })
    })
}

/// Lists every `-`: the collection it is of, the value it is in, and where in that the collection's name ends.
fn places<'c>(captures: &'c [Cow<'_, str>]) -> impl Iterator<Item = (&'c str, usize, usize)> {
    captures.iter().enumerate().flat_map(|(capture, value)| {
        let (mut before, mut end) = ("", 0);
        value.split('/').filter_map(move |segment| {
            let found = (segment == ALL_OF_THEM).then_some((before, capture, end));
            end += segment.len() + usize::from(end > 0);
            before = segment;
            found
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dash_is_found_with_its_collection() {
        let captures: Vec<Cow<'_, str>> =
            vec!["projects/p/locations/-/streams/-".into(), "x".into(), "-".into()];
        let found: Vec<_> = places(&captures).collect();
        assert_eq!(found, [("locations", 0, 20), ("streams", 0, 30), ("", 2, 0)]);
        assert_eq!(&captures[0][..20], "projects/p/locations");
        assert_eq!(&captures[0][..30], "projects/p/locations/-/streams");
    }
}
