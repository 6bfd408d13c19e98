//! Whether anything is open at an upstream, so that answers that tell about nothing on record cost nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{error::Result, store::Store};

/// How long an answer of the database counts. What another replica puts on record is missed for so long by what passes
/// through here; the poller sees it.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// What is known of each upstream.
#[derive(Debug, Default)]
pub(super) struct Open(Mutex<HashMap<String, Known>>);

#[derive(Clone, Copy, Debug)]
struct Known {
    anything: bool,
    at: Instant,
}

impl Open {
    /// Something was put on record here.
    pub(super) fn born(&self, upstream: &str) {
        self.learn(upstream, true);
    }

    fn learn(&self, upstream: &str, anything: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(upstream.to_owned(), Known { anything, at: Instant::now() });
    }

    /// Whether it was found out lately that nothing is open at an upstream.
    pub(super) fn is_known_to_be_none(&self, upstream: &str) -> bool {
        self.known(upstream).is_some_and(|known| !known.anything)
    }

    fn known(&self, upstream: &str) -> Option<Known> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(upstream).copied();
        known.filter(|known| known.at.elapsed() < KNOWN_FOR)
    }

    /// Whether an upstream has operations that are open, as far as is known.
    ///
    /// # Errors
    /// The database is away.
    pub(super) async fn anything(&self, store: &Store, upstream: &str) -> Result<bool> {
        if let Some(known) = self.known(upstream) {
            return Ok(known.anything);
        }
        let anything = store.any_open_operation(upstream).await?;
        self.learn(upstream, anything);
        Ok(anything)
    }
}
