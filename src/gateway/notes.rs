//! What is noted of a request on its way, for the audit log and for the headers of its answer.

use http::HeaderMap;
use tokio::time::Instant;

use crate::{error::Error, model::Entry};

/// Notes on one request.
#[derive(Clone, Debug)]
pub struct Notes {
    /// What the audit log keeps of it. `http` begins it; names and request are added when they are known.
    pub entry: Entry,
    /// The caller's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// When the request arrived.
    pub arrived: Instant,
    /// The journal has its outcome, or will have it: there is nothing more to record.
    pub journaled: bool,
    /// Its outcome is to be written when the database is back.
    pub deferred: bool,
    /// Name of the operation that it started.
    pub operation: Option<String>,
    /// Its answer was kept from an earlier request with the same key.
    pub replayed: bool,
    /// Paths of the fields that were dropped from the request.
    pub ignored: Vec<String>,
    /// What came of the upstream's headers and trailers with its refusal.
    pub refused_with: HeaderMap,
}

impl Notes {
    /// Begins the notes on a request.
    pub fn new(entry: Entry, arrived: Instant) -> Self {
        Self {
            entry,
            idempotency_key: None,
            arrived,
            journaled: false,
            deferred: false,
            replayed: false,
            operation: None,
            ignored: Vec::new(),
            refused_with: HeaderMap::new(),
        }
    }

    /// Notes what an upstream sent along with its refusal.
    pub(super) fn refused(&mut self, error: &Error) {
        self.refused_with = error.headers().clone();
    }
}
