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

    /// Takes out the rows of one commit, at `now` in microseconds since 1970; empty if there is nothing to write.
    pub(super) fn next(&self, now: i64) -> Taken<'_> {
        let batch = self.with(|rows| {
            let mut settles: Vec<_> = rows.settles.drain(..rows.settles.len().min(ROWS_MAX)).collect();
            // Whoever watches looks for what has changed a moment ago, and sees these operations only now.
            let births = settles.iter_mut().flat_map(|row| &mut row.effects.operations);
            births.for_each(|birth| birth.operation.updated_at = birth.operation.updated_at.max(now));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        contract::{self, operations::tell::operation},
        journal::Effects,
        operations::Birth,
    };

    /// Whoever watched was never told of an operation that was begun while the database was away.
    #[tokio::test]
    async fn what_is_written_late_has_changed_then() {
        let store = contract::on_sqlite().await.expect("a file can be made");
        let begun = operation(&store, "p", "o");
        let (backlog, later) = (Backlog::default(), begun.updated_at + 9);
        let birth = Birth { operation: begun.clone(), events: Vec::new() };
        let effects = Effects { operations: vec![birth], ..Effects::default() };
        backlog.settle(SettleRow { id: [1; 16], closed_at: 5, outcome: String::new(), key: None, effects });
        let taken = backlog.next(later);
        let births = taken.births();
        let [birth] = births.as_slice() else { panic!("there is one") };
        let at = (birth.operation.created_at, birth.operation.updated_at);
        assert_eq!(at, (begun.created_at, later));
    }
}
