//! What could not be written because the database was away: kept in memory, and written when it is back.

use std::sync::{Mutex, PoisonError};

use super::batch::{Batch, ROWS_MAX, SettleRow, TakenBack};

/// Rows that are kept; no new intent is accepted while there are more, so that those under way still find a place.
const ROWS_KEPT_MAX: usize = 16_384;

#[derive(Default)]
pub(super) struct Backlog(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    settles: Vec<SettleRow>,
    taken_back: Vec<TakenBack>,
}

impl Backlog {
    fn with<T>(&self, f: impl FnOnce(&mut Rows) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn settle(&self, row: SettleRow) {
        self.with(|rows| rows.settles.push(row));
    }

    pub(super) fn take_back(&self, row: TakenBack) {
        self.with(|rows| rows.taken_back.push(row));
    }

    pub(super) fn len(&self) -> usize {
        self.with(|rows| rows.settles.len() + rows.taken_back.len())
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= ROWS_KEPT_MAX
    }

    /// Takes out the rows of one commit; empty if there is nothing to write.
    pub(super) fn next(&self) -> Batch {
        self.with(|rows| {
            let settles = rows.settles.drain(..rows.settles.len().min(ROWS_MAX)).collect();
            let taken_back = rows.taken_back.drain(..rows.taken_back.len().min(ROWS_MAX)).collect();
            Batch { opens: Vec::new(), settles, taken_back }
        })
    }

    /// Puts back what [`Self::next`] took out.
    pub(super) fn put_back(&self, batch: Batch) {
        self.with(|rows| {
            rows.settles.extend(batch.settles);
            rows.taken_back.extend(batch.taken_back);
        });
    }
}
