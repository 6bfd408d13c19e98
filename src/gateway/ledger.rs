//! What mutations need besides their upstream: the journal, and the way answers are kept.

use crate::{
    crypto::{Keys, Purpose, Sealer},
    error::Error,
    operations::Tracker,
    store::journal::Journal,
};

/// Where mutations are written down.
pub struct Ledger {
    pub(super) journal: Journal,
    pub(super) tracker: Tracker,
    pub(super) replays: Sealer,
    pub(super) status_of: fn(&Error) -> u16,
}

impl Ledger {
    /// Joins the parts; `status_of` tells the HTTP status that an error is answered with.
    pub fn new(journal: Journal, tracker: Tracker, keys: &Keys, status_of: fn(&Error) -> u16) -> Self {
        Self { journal, tracker, replays: keys.sealer(Purpose::Replay), status_of }
    }
}
