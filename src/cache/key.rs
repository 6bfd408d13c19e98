//! What a page is the answer to, and what makes it worthless.

use std::fmt;

use crate::crypto;

/// What a page is the answer to: a hash of all that decides about its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub(super) [u8; 32]);

/// A set of pages that become worthless together. Kept as a hash: callers choose the names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope(pub(super) u128);

impl Key {
    /// Makes the key of everything that decides about a page. The order of the parts matters, and so do their borders.
    pub fn of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Self {
        Self(crypto::sha256_of_each(parts))
    }

    /// Where the page is kept that is read under these generations.
    pub(super) fn under(&self, generations: &[u64]) -> Self {
        let mut bytes = Vec::with_capacity(generations.len() * 8);
        generations.iter().for_each(|generation| bytes.extend_from_slice(&generation.to_be_bytes()));
        Self::of([&self.0[..], &bytes])
    }
}

impl Scope {
    /// A collection of one upstream, e.g. `projects/p/locations/l/streams`.
    pub fn collection(upstream: &str, name: &str) -> Self {
        Self::of([b"collection", upstream.as_bytes(), name.as_bytes()])
    }

    /// All collections of a name in a project: what is read through a `-` somewhere between the two.
    pub fn across(upstream: &str, project: &str, collection: &str) -> Self {
        Self::of([b"across", upstream.as_bytes(), project.as_bytes(), collection.as_bytes()])
    }

    /// What a change in a collection, e.g. of `projects/p/locations/l/streams`, makes worthless.
    pub fn touched(upstream: &str, collection: &str) -> [Self; 2] {
        let mut segments = collection.split('/');
        let project = segments.next().filter(|first| *first == "projects").and_then(|_| segments.next());
        let last = collection.rsplit('/').next().unwrap_or_default();
        [Self::collection(upstream, collection), Self::across(upstream, project.unwrap_or_default(), last)]
    }

    /// Everything of a project, whatever the upstream.
    pub fn project(project: &str) -> Self {
        Self::of([b"project", project.as_bytes()])
    }

    fn of<const N: usize>(parts: [&[u8]; N]) -> Self {
        let hash = crypto::sha256_of_each(parts);
        Self(u128::from_be_bytes(*hash.first_chunk().expect("a hash has 32 bytes")))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0 >> 96)
    }
}
