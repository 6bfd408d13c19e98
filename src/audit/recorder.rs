//! Requests that changed nothing, written in batches; and refusals, summed up where there are too many.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::counter;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout_at},
};

use super::sealer;
use crate::{
    crypto::{Keys, Purpose, Signer},
    model::{Ending, Entry, Outcome},
    store::{Store, audit::Closed},
};

/// Entries that are not yet written; more are dropped and counted.
pub const ROWS_MAX: usize = 1000;
/// How many are written together, unless their time is over: while they are there is room for as many.
const BATCH_ROWS: usize = ROWS_MAX / 2;
/// The longest that an entry waits.
pub const FLUSH_EVERY: Duration = Duration::from_millis(200);

/// Refusals of one kind that are kept one by one in [`WINDOW`]; the others are summed up.
const REFUSALS_MAX: u64 = 100;
/// Refusals of one caller, of all kinds, that wait one by one to be written; others have the rest of the room. The first of a
/// kind is always kept by itself.
const REFUSALS_WAITING_MAX: usize = 100;
/// How long refusals are counted together.
const WINDOW: Duration = Duration::from_secs(10);
/// Kinds of refusals that are told apart by caller and project in one window, and of these so many of one caller: what one does
/// must not keep out of the log what others do, nor what the same one does elsewhere.
const KINDS_MAX: usize = 256;
const KINDS_OF_ONE_MAX: usize = 16;

/// The way to the log for what needs no intent. Its task ends when the last clone is dropped.
#[derive(Clone)]
pub struct Recorder {
    store: Store,
    shared: Arc<Shared>,
    _last: Arc<Last>,
}

/// What callers and the task have in common.
#[derive(Default)]
struct Shared {
    gathered: Mutex<Gathered>,
    /// Wakes the task: for the first entry of a batch, for a full one, for a flush, and for the end. Not for each entry,
    /// which would cost more than making it.
    wake: Notify,
}

/// Tells the task that nobody is left to record anything.
struct Last(Arc<Shared>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.gathered().over = true;
        self.0.wake.notify_one();
    }
}

impl Shared {
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is not yet being written.
#[derive(Default)]
struct Gathered {
    rows: Vec<Closed>,
    /// How many are being written.
    leaving: usize,
    /// Whose refusals came by themselves since rows were last taken, and how many.
    refusals: HashMap<String, usize>,
    kinds: HashMap<What, Kind>,
    /// Whoever waits until all of it is written: at most as many as requests are worked on.
    flushes: Vec<oneshot::Sender<()>>,
    over: bool,
}

/// What refusals of one kind have in common: who asked, and for which project, `None` where that is not told apart. Codes and
/// reasons are few.
#[derive(Clone, PartialEq, Eq, Hash)]
struct What {
    caller: Option<String>,
    project: Option<String>,
    code: i32,
    status: u16,
    reason: String,
}

/// Refusals of one kind in this window.
struct Kind {
    seen: u64,
    /// The first that was not kept by itself.
    sample: Option<Ended>,
}

/// A request that has ended.
struct Ended {
    opened_at: i64,
    entry: Entry,
    outcome: Outcome,
}

impl Ended {
    fn close(self) -> Closed {
        Closed::observed(self.opened_at, &self.entry, &self.outcome)
    }
}

impl Recorder {
    /// Makes a recorder with the key of the audit log, and the task that writes what it is given.
    pub fn new(store: Store, keys: &Keys) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let shared = Arc::<Shared>::default();
        let signer = keys.signer(Purpose::AuditSeal);
        let writing = write(store.clone(), signer, shared.clone());
        (Self { store, _last: Arc::new(Last(shared.clone())), shared }, writing)
    }

    /// Keeps an entry. Never waits: when too many are waiting it is dropped, and counted.
    pub fn record(&self, entry: Entry, outcome: Outcome) {
        let latency = i64::try_from(outcome.latency_us).unwrap_or(i64::MAX);
        let opened_at = self.store.now().as_microsecond().saturating_sub(latency);
        let request = Ended { opened_at, entry, outcome };
        let rows = if is_refusal(&request.outcome) {
            self.shared.gathered().refused(request)
        } else {
            let row = request.close();
            self.shared.gathered().push(row)
        };
        if rows == 1 || rows == BATCH_ROWS {
            self.shared.wake.notify_one();
        }
    }

    /// Waits until everything recorded before is written, or lost.
    pub async fn flush(&self) {
        let (sender, done) = oneshot::channel();
        self.shared.gathered().flushes.push(sender);
        self.shared.wake.notify_one();
        let _ended = done.await;
    }
}

/// Writes what is gathered until it is over.
async fn write(store: Store, signer: Signer, shared: Arc<Shared>) {
    let mut window_ends = Instant::now() + WINDOW;
    let mut flush_at = None;
    loop {
        let wake_at = flush_at.map_or(window_ends, |at: Instant| at.min(window_ends));
        let _early = timeout_at(wake_at, shared.wake.notified()).await;
        let now = Instant::now();
        let (rows, flushes, over) = {
            let mut gathered = shared.gathered();
            if now >= window_ends || gathered.over {
                gathered.sum_up();
                window_ends = now + WINDOW;
            }
            let due = match flush_at {
                _ if gathered.rows.is_empty() => None,
                None => Some(now + FLUSH_EVERY),
                at => at,
            };
            let full = gathered.rows.len() >= BATCH_ROWS;
            let all = gathered.over || !gathered.flushes.is_empty();
            if !full && !all && due.is_none_or(|at| at > now) {
                flush_at = due;
                continue;
            }
            let rows = gathered.take(if all { usize::MAX } else { BATCH_ROWS });
            flush_at = match gathered.rows.len() {
                0 => None,
                BATCH_ROWS.. => Some(now),
                _ => Some(now + FLUSH_EVERY),
            };
            (rows, std::mem::take(&mut gathered.flushes), gathered.over)
        };
        keep(&store, &signer, rows).await;
        shared.gathered().leaving = 0;
        for flush in flushes {
            let _gone = flush.send(());
        }
        if over {
            return;
        }
    }
}

async fn keep(store: &Store, signer: &Signer, rows: Vec<Closed>) {
    if rows.is_empty() {
        return;
    }
    let count = rows.len();
    if let Err(error) = store.observe(signer, rows, sealer::ROWS_MAX).await {
        tracing::warn!(error = error.told(), entries = count, "audit entries of reads are lost");
        lost(count);
    }
}

impl Gathered {
    /// Takes a refusal, by itself or into the sum of its kind. Returns how many rows have gathered.
    fn refused(&mut self, request: Ended) -> usize {
        let what = self.kind_of(&request);
        let waiting = self.refusals.get(&request.entry.principal).copied().unwrap_or_default();
        let (of_many_callers, of_many_projects) = (what.caller.is_none(), what.project.is_none());
        let kind = self.kinds.entry(what).or_insert(Kind { seen: 0, sample: None });
        kind.seen += 1;
        if kind.seen == 1 || (kind.seen <= REFUSALS_MAX && waiting < REFUSALS_WAITING_MAX) {
            self.refusals.insert(request.entry.principal.clone(), waiting + 1);
            return self.push(request.close());
        }
        match &mut kind.sample {
            Some(sample) => sample.outcome.further += 1,
            None => {
                // What it stands for beside itself is of no one's project, and nobody's in particular.
                let entry = &mut kind.sample.insert(request).entry;
                if of_many_projects {
                    entry.resource_names.clear();
                    entry.target.clear();
                    entry.request.clear();
                }
                if of_many_callers {
                    let method = std::mem::take(&mut entry.method);
                    *entry = Entry { method, ..Entry::default() };
                }
            }
        }
        self.rows.len()
    }

    /// Tells of what kind a refusal is: as exactly as there is room for.
    fn kind_of(&self, request: &Ended) -> What {
        let (entry, outcome) = (&request.entry, &request.outcome);
        let mut what = What {
            caller: Some(entry.principal.clone()),
            project: Some(entry.project().to_owned()),
            code: outcome.code,
            status: outcome.status,
            reason: outcome.reason.clone(),
        };
        let is_new = |what: &What| !self.kinds.contains_key(what);
        let of_one = || self.kinds.keys().filter(|known| known.caller == what.caller).count();
        if is_new(&what) && (self.kinds.len() >= KINDS_MAX || of_one() >= KINDS_OF_ONE_MAX) {
            what.project = None;
        }
        if is_new(&what) && self.kinds.len() >= KINDS_MAX {
            what.caller = None;
        }
        what
    }

    /// Takes a row, if there is room. Returns how many have gathered.
    fn push(&mut self, row: Closed) -> usize {
        if self.rows.len() + self.leaving < ROWS_MAX {
            self.rows.push(row);
        } else {
            lost(1);
        }
        self.rows.len()
    }

    /// Takes so many rows to write them. Nothing wakes the task for those that are left: it sets their time itself.
    fn take(&mut self, rows_max: usize) -> Vec<Closed> {
        // Where many come many will come.
        let room = if self.rows.len() < BATCH_ROWS { 0 } else { BATCH_ROWS };
        let mut left = Vec::with_capacity(room);
        left.extend(self.rows.drain(rows_max.min(self.rows.len())..));
        let rows = std::mem::replace(&mut self.rows, left);
        self.leaving = rows.len();
        self.refusals.clear();
        rows
    }

    /// Ends a window: what was not kept by itself becomes one entry for each kind.
    fn sum_up(&mut self) {
        let samples = std::mem::take(&mut self.kinds).into_values().filter_map(|kind| kind.sample);
        self.rows.extend(samples.map(Ended::close));
    }
}

/// Whether it came to nothing, which anybody can have as often as they like: also that there is no such upstream, or no room.
fn is_refusal(outcome: &Outcome) -> bool {
    outcome.ending != Ending::Success && outcome.status >= 400
}

fn lost(entries: usize) {
    counter!("causeway_audit_lost_total").increment(entries as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16) -> Ended {
        let outcome = Outcome { ending: Ending::Error, status, code: 5, ..Outcome::default() };
        Ended { opened_at: 0, entry: Entry::default(), outcome }
    }

    fn refusal_of(caller: &str, project: &str) -> Ended {
        let entry = Entry {
            principal: caller.to_owned(),
            resource_names: vec![format!("projects/{project}/x")],
            ..Entry::default()
        };
        Ended { entry, ..refusal(403) }
    }

    /// Whoever asked for much that is refused could then try doors, their own and others', unseen.
    #[test]
    fn a_flood_keeps_nobody_else_and_nowhere_else_out_of_the_log() {
        let mut gathered = Gathered::default();
        let mut ask = |caller: &str, project: &str, times: u64| {
            for _ in 0..times {
                gathered.refused(refusal_of(caller, project));
            }
            gathered.take(usize::MAX).len()
        };
        assert_eq!(ask("eve", "own", 500), 100);
        assert_eq!((ask("eve", "acme", 5), ask("bob", "own", 5)), (5, 5));
        for n in 0..100 {
            ask("eve", &format!("p{n}"), 200);
        }
        assert_eq!((ask("bob", "acme", 5), ask("bob", "p50", 5)), (5, 5));
        assert!(gathered.kinds.len() <= 30);
        gathered.sum_up();
        let mixed = gathered.rows.iter().filter(|row| row.columns().project.is_empty());
        let stood_for: Vec<u64> = mixed.map(|row| 1 + row.outcome().further).collect();
        assert_eq!(stood_for, [(100 - 14) * 200 - 100], "of no one's project");
    }

    /// One caller filled all the room before it was written.
    #[test]
    fn one_caller_has_a_part_of_the_room() {
        let mut gathered = Gathered::default();
        for n in 0..1600 {
            gathered.refused(refusal_of("eve", &format!("p{}", n % 16)));
        }
        assert_eq!(gathered.rows.len(), REFUSALS_WAITING_MAX);
        gathered.refused(refusal_of("bob", "own"));
        assert_eq!(gathered.take(usize::MAX).len(), REFUSALS_WAITING_MAX + 1);
        gathered.sum_up();
        let stood_for: u64 = gathered.rows.iter().map(|row| 1 + row.outcome().further).sum();
        assert_eq!(stood_for, 1500);
    }

    /// The first of many callers was blamed for what all of them did.
    #[test]
    fn there_are_only_so_many_kinds_and_none_is_lost() {
        let mut gathered = Gathered::default();
        for n in 0..1000 {
            gathered.refused(refusal_of(&format!("c{n}"), "p"));
            gathered.take(usize::MAX);
        }
        assert_eq!(gathered.kinds.len(), KINDS_MAX + 1);
        gathered.sum_up();
        let [sum] = &*gathered.rows else { panic!("there were too many of one kind") };
        assert_eq!(
            (&*sum.columns().principal, 1 + sum.outcome().further),
            ("", 1000 - KINDS_MAX as u64 - 100)
        );
    }

    #[test]
    fn a_flood_of_refusals_is_summed_up() {
        let mut gathered = Gathered::default();
        for _ in 0..100_000 {
            gathered.refused(refusal(404));
        }
        gathered.refused(refusal(401));
        assert_eq!(gathered.rows.len(), 101, "each kind has its own room");
        gathered.sum_up();
        assert_eq!(gathered.rows.len(), 102);
        let stood_for: u64 = gathered.rows.iter().map(|row| 1 + row.outcome().further).sum();
        assert_eq!(stood_for, 100_001, "every one is counted");
    }

    #[test]
    fn what_is_more_than_a_batch_waits_for_the_next() {
        let mut gathered = Gathered::default();
        for _ in 0..BATCH_ROWS + 100 {
            gathered.push(refusal(404).close());
        }
        assert_eq!(gathered.take(BATCH_ROWS).len(), BATCH_ROWS);
        assert_eq!(gathered.rows.len(), 100);
        for _ in 0..ROWS_MAX {
            gathered.push(refusal(404).close());
        }
        assert_eq!(gathered.rows.len(), ROWS_MAX - BATCH_ROWS, "what is being written takes room too");
        gathered.leaving = 0;
        assert_eq!(gathered.take(usize::MAX).len(), ROWS_MAX - BATCH_ROWS);
        assert!(gathered.rows.is_empty());
    }
}
