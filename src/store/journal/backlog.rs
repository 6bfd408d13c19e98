//! What could not be written because the database was away: kept in memory, and written when it is back.

use std::{
    mem,
    ops::Deref,
    sync::{Mutex, PoisonError},
};

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
    pub(super) fn next(&self) -> Taken<'_> {
        let batch = self.with(|rows| {
            let settles = rows.settles.drain(..rows.settles.len().min(ROWS_MAX)).collect();
            let taken_back = rows.taken_back.drain(..rows.taken_back.len().min(ROWS_MAX)).collect();
            Batch { opens: Vec::new(), settles, taken_back }
        });
        Taken { backlog: self, batch }
    }
}

/// The rows of one commit. Back where they were when dropped, unless they are known to be written: whoever writes them may be
/// told to stop half-way. What is written twice counts once.
pub(super) struct Taken<'b> {
    backlog: &'b Backlog,
    batch: Batch,
}

impl Taken<'_> {
    /// Says that they are written.
    pub(super) fn written(mut self) {
        self.batch = Batch::default();
    }
}

impl Deref for Taken<'_> {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        &self.batch
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let batch = mem::take(&mut self.batch);
        self.backlog.with(|rows| {
            rows.settles.extend(batch.settles);
            rows.taken_back.extend(batch.taken_back);
        });
    }
}
