//! Requests that changed nothing, written in batches; and refusals, summed up where there are too many.

use std::{collections::HashMap, time::Duration};

use metrics::counter;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use crate::{
    model::{Ending, Entry, Outcome},
    store::{Store, audit::Observed},
};

/// Entries that are not yet written; more are dropped and counted.
pub const ROWS_MAX: usize = 1000;
/// Of these, half are being written while the other half gathers.
const BATCH_ROWS_MAX: usize = ROWS_MAX / 2;
/// The longest that an entry waits.
pub const FLUSH_EVERY: Duration = Duration::from_millis(200);

/// Refusals of one kind that are kept one by one in [`WINDOW`]; the others are summed up.
const REFUSALS_MAX: u64 = 100;
/// How long refusals are counted together.
const WINDOW: Duration = Duration::from_secs(10);
/// Kinds of refusals that are told apart in one window.
const KINDS_MAX: usize = 256;

/// The way to the log for what needs no intent. Its task ends when the last clone is dropped.
#[derive(Clone)]
pub struct Recorder {
    store: Store,
    queue: mpsc::Sender<Message>,
}

enum Message {
    Row(Box<Observed>),
    Flush(oneshot::Sender<()>),
}

impl Recorder {
    /// Makes a recorder, and the task that writes what it is given.
    pub fn new(store: Store) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, messages) = mpsc::channel(BATCH_ROWS_MAX);
        let writer = Writer { store: store.clone(), rows: Vec::new(), kinds: HashMap::new() };
        (Self { store, queue }, writer.run(messages))
    }

    /// Keeps an entry. Never waits: when too many are waiting it is dropped, and counted.
    pub fn record(&self, entry: Entry, outcome: Outcome) {
        let latency = i64::try_from(outcome.latency_us).unwrap_or(i64::MAX);
        let opened_at = self.store.now().as_microsecond().saturating_sub(latency);
        let row = Box::new(Observed { opened_at, entry, outcome });
        if self.queue.try_send(Message::Row(row)).is_err() {
            lost(1);
        }
    }

    /// Waits until everything recorded before is written, or lost.
    pub async fn flush(&self) {
        let (sender, done) = oneshot::channel();
        if self.queue.send(Message::Flush(sender)).await.is_ok() {
            let _ended = done.await;
        }
    }
}

struct Writer {
    store: Store,
    rows: Vec<Observed>,
    kinds: HashMap<(i32, u16, String), Kind>,
}

/// Refusals of one kind in this window.
struct Kind {
    seen: u64,
    /// The first that was not kept by itself.
    sample: Option<Observed>,
}

impl Writer {
    async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut flush_at = Instant::now() + FLUSH_EVERY;
        let mut window_ends = Instant::now() + WINDOW;
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some(Message::Row(row)) => {
                        if self.rows.is_empty() {
                            flush_at = Instant::now() + FLUSH_EVERY;
                        }
                        self.take(*row);
                        if self.rows.len() >= BATCH_ROWS_MAX {
                            self.flush().await;
                        }
                    }
                    Some(Message::Flush(done)) => {
                        self.flush().await;
                        let _gone = done.send(());
                    }
                    None => break,
                },
                () = sleep_until(flush_at), if !self.rows.is_empty() => self.flush().await,
                () = sleep_until(window_ends) => {
                    self.sum_up();
                    window_ends = Instant::now() + WINDOW;
                }
            }
        }
        self.sum_up();
        self.flush().await;
    }

    fn take(&mut self, row: Observed) {
        if !is_refusal(&row.outcome) {
            self.rows.push(row);
            return;
        }
        let kind = (row.outcome.code, row.outcome.status, row.outcome.reason.clone());
        if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&kind) {
            lost(1);
            return;
        }
        let kind = self.kinds.entry(kind).or_insert(Kind { seen: 0, sample: None });
        kind.seen += 1;
        if kind.seen <= REFUSALS_MAX {
            self.rows.push(row);
        } else if let Some(sample) = &mut kind.sample {
            sample.outcome.further += 1;
        } else {
            kind.sample = Some(row);
        }
    }

    /// Ends a window: what was not kept by itself becomes one entry for each kind.
    fn sum_up(&mut self) {
        let samples = std::mem::take(&mut self.kinds).into_values().filter_map(|kind| kind.sample);
        self.rows.extend(samples);
    }

    async fn flush(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return;
        }
        let count = rows.len();
        if let Err(error) = self.store.observe(rows).await {
            tracing::warn!(error = error.chain(), entries = count, "audit entries of reads are lost");
            lost(count);
        }
    }
}

/// Whether nothing was done and anybody could have caused it.
fn is_refusal(outcome: &Outcome) -> bool {
    outcome.ending != Ending::Success && (400..500).contains(&outcome.status)
}

fn lost(entries: usize) {
    counter!("causeway_audit_lost_total").increment(entries as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16) -> Observed {
        let outcome = Outcome { ending: Ending::Error, status, code: 5, ..Outcome::default() };
        Observed { opened_at: 0, entry: Entry::default(), outcome }
    }

    #[tokio::test]
    async fn a_flood_of_refusals_is_summed_up() {
        let config = crate::config::Config::load(crate::config::Sources::default()).config;
        let clock = std::sync::Arc::new(crate::clock::SystemClock);
        let store = Store::open(&config.database, clock).await.unwrap();
        let mut writer = Writer { store, rows: Vec::new(), kinds: HashMap::new() };
        for _ in 0..100_000 {
            writer.take(refusal(404));
        }
        writer.take(refusal(401));
        assert_eq!(writer.rows.len(), 101, "each kind has its own room");
        writer.sum_up();
        assert_eq!(writer.rows.len(), 102);
        let stood_for: u64 = writer.rows.iter().map(|row| 1 + row.outcome.further).sum();
        assert_eq!(stood_for, 100_001, "every one is counted");
    }
}
