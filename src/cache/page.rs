//! A page and what is told about it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

/// Bytes that a page takes beside its own.
const OVERHEAD_BYTES: usize = 512;

/// An answer as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The body.
    pub body: Bytes,
    /// What kind of body it is: whatever its maker means by this.
    pub form: u8,
    /// Things to be said beside it: whatever its maker means by these.
    pub notes: Vec<String>,
    /// What tells it from others: the beginning of the hash of its body.
    pub tag: [u8; 16],
    /// Whether it may be kept.
    pub keep: bool,
}

impl Page {
    /// Makes a page that may be kept.
    pub fn new(body: Bytes, form: u8, notes: Vec<String>) -> Self {
        let tag = *crate::crypto::sha256(&[&body]).first_chunk().expect("a hash has 32 bytes");
        Self { body, form, notes, tag, keep: true }
    }

    /// Bytes that it takes.
    pub(super) fn weight(&self) -> usize {
        self.body.len() + self.notes.iter().map(String::len).sum::<usize>() + OVERHEAD_BYTES
    }
}

/// How long a page is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// For this long it is fresh.
    pub ttl: Duration,
    /// For this much longer it may be shown, while a new one is fetched.
    pub stale: Duration,
}

/// Where a page was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// In this process.
    Memory,
    /// In Redis.
    Redis,
}

/// A page that was kept.
#[derive(Clone, Debug)]
pub struct Found {
    /// The page.
    pub page: Arc<Page>,
    /// How long ago it was fetched.
    pub age: Duration,
    /// Where it was.
    pub tier: Tier,
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Served {
    /// The page.
    pub page: Arc<Page>,
    /// How long ago it was fetched.
    pub age: Duration,
    /// How it came about.
    pub how: How,
}

/// How an answer came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was kept, and is fresh for this much longer.
    Hit(Duration, Tier),
    /// It was kept, and was fresh until so long ago; a new one is being fetched.
    Stale(Duration, Tier),
    /// It was fetched now.
    Fetched {
        /// The caller wanted it so.
        wanted: bool,
        /// It is kept.
        stored: bool,
        /// Another request fetched it.
        collapsed: bool,
    },
    /// The cache was left alone, for this reason.
    Bypassed(&'static str),
}
