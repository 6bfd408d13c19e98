//! What must be durable before something leaves, and before its answer does.
//!
//! - [`Intent`]: what is about to happen, with its [`KeyUse`] if the caller named it. [`Journal::open`] makes it durable and
//!   says whether to go ahead: [`Opened`].
//! - [`Ticket`]: the right to go ahead. [`Settlement`]: what came of it, with [`Effects`] that other parts of the gateway
//!   want kept in the same commit. [`Journal::settle`] makes both durable, or says that it will: [`Settled`].
//! - `writer`: groups what many requests bring into one commit. `backlog`: what could not be written yet. `batch`: the
//!   rows of one commit.
//!
//! What holds: nothing goes ahead without a durable intent; an Idempotency-Key is decided in the commit that opens its
//! intent, so two requests with one key never both go ahead; a full queue makes callers wait, it loses nothing; a commit
//! whose fate is unknown is repeated, and repeating it changes nothing.
//!
//! It deliberately does not know what is done between the two, nor who may do it.

mod backlog;
pub(super) mod batch;
mod orphans;
mod writer;

use std::{fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::task::TaskTracker;

use self::{
    backlog::Backlog,
    batch::{Decision, KeyRow, OpenRow, SettleRow},
};
use super::{Health, Store, operations::Birth};
use crate::{
    crypto,
    error::{Code, Error, Reason, Result},
    model::{Entry, Outcome, WebhookEvent},
};

pub use self::orphans::{Living, Orphan, Recover};
pub(super) use super::instance::time_ordered_id as time_ordered;

/// Rows that wait for a writer; more make their callers wait.
const QUEUE_ROWS_MAX: usize = 4096;
/// How long an Idempotency-Key is kept.
pub const KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The longest wait for an intent to become durable.
const OPEN_TIME_MAX: Duration = Duration::from_secs(5);

/// Identifies an intent, and later its audit entry. Sorts by time.
pub type IntentId = [u8; 16];

/// What is about to happen.
#[derive(Clone, Debug)]
pub struct Intent {
    /// What the audit log keeps of it.
    pub entry: Entry,
    /// The caller's name for it.
    pub key: Option<KeyUse>,
}

/// The use of an Idempotency-Key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// Digest of principal and key: what must be unique.
    pub scope: [u8; 32],
    /// Digest of what is asked: what must be the same when the key comes again.
    pub fingerprint: [u8; 32],
    /// Whether sending it again is harmless, since the upstream recognises it.
    pub reissuable: bool,
}

/// What to do about an intent.
#[derive(Debug)]
pub enum Opened {
    /// Go ahead; it is durable.
    Go(Ticket),
    /// It was done before, and this is what came of it, as the [`KeyFate`] of its settlement kept it.
    Replay(Vec<u8>),
    /// It is being done.
    InProgress,
    /// The key was used for something else.
    Mismatch,
    /// It was begun, and nobody can say what came of it.
    Unknown,
}

/// The right to go ahead with an intent. Dropped without [`Journal::settle`], as by a panic, it is closed as unknown.
pub struct Ticket {
    id: IntentId,
    scope: Option<[u8; 32]>,
    /// Where it goes when it is dropped; `None` once it is settled.
    unsettled: Option<(Store, Arc<Backlog>)>,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("id", &crypto::uuid_text(&self.id)).finish_non_exhaustive()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some((store, backlog)) = self.unsettled.take() {
            let unknown =
                Settlement { outcome: Outcome { code: 2, ..Outcome::default() }, key: KeyFate::Unknown };
            backlog.settle(self.row(&store, unknown, Effects::default()));
        }
    }
}

impl Ticket {
    /// Returns the id of the intent.
    pub fn id(&self) -> IntentId {
        self.id
    }

    fn row(&self, store: &Store, settlement: Settlement, effects: Effects) -> SettleRow {
        SettleRow {
            id: self.id,
            closed_at: store.now().as_microsecond(),
            outcome: serde_json::to_string(&settlement.outcome).expect("plain data prints as JSON"),
            key: self.scope.map(|scope| (scope, settlement.key)),
            effects,
        }
    }
}

/// What came of an intent.
#[derive(Clone, Debug, Default)]
pub struct Settlement {
    /// What the audit log keeps of it.
    pub outcome: Outcome,
    /// What becomes of the key, if there was one.
    pub key: KeyFate,
}

/// What becomes of an Idempotency-Key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyFate {
    /// It is forgotten: nothing happened, and the caller may try again.
    #[default]
    Release,
    /// It stands for this answer from now on.
    Answer(Vec<u8>),
    /// Nobody knows what happened. It may be sent again if that is harmless, and is never sent again if not.
    Unknown,
}

/// What other parts of the gateway want kept in the commit of a settlement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// What it tells the world.
    pub events: Vec<WebhookEvent>,
    /// Operations that it started.
    pub operations: Vec<Birth>,
}

impl Effects {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.operations.is_empty()
    }
}

/// Whether a settlement is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is.
    Durable,
    /// It will be when the database is back.
    Deferred,
}

/// The way to the writers. They end when the last clone is dropped.
#[derive(Clone)]
pub struct Journal {
    store: Store,
    queue: mpsc::Sender<Request>,
    running: TaskTracker,
    backlog: Arc<Backlog>,
}

/// What a request wants written.
enum Request {
    Open(OpenRow, oneshot::Sender<Result<Decision>>),
    Settle(Box<SettleRow>, oneshot::Sender<Settled>),
}

impl Journal {
    /// Makes a journal, and the task that writes it: it must run for anything here to happen, and ends when all clones of
    /// the journal are dropped and all is written or given up.
    pub fn new(store: Store) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, rows) = mpsc::channel(QUEUE_ROWS_MAX);
        let backlog = Arc::new(Backlog::default());
        let work = writer::run(store.clone(), rows, backlog.clone());
        (Self { store, queue, running: TaskTracker::new(), backlog }, work)
    }

    /// Runs what must not stop when its caller leaves: from [`Self::open`] to [`Self::settle`].
    ///
    /// # Errors
    /// `INTERNAL`: it panicked.
    pub async fn run_to_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        self.start(work).await.map_err(Error::internal)
    }

    /// Begins what must not stop when its caller leaves: from [`Self::open`] to [`Self::settle`].
    pub fn start<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        // The writers end after the last clone of the journal, so the process waits for this.
        let held = self.clone();
        self.running.spawn(async move {
            let done = work.await;
            drop(held);
            done
        })
    }

    /// Makes an intent durable and decides about its key.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE`: it is not durable, so nothing may be done.
    pub async fn open(&self, intent: Intent) -> Result<Opened> {
        if self.store.health() == Health::Away || self.backlog.is_full() {
            return Err(unavailable("the database is away"));
        }
        let now = self.store.now();
        let id = time_ordered(now);
        let entry = serde_json::to_string(&intent.entry).map_err(Error::internal)?;
        let opened_at = now.as_microsecond();
        let key = intent.key.map(|key| KeyRow { key, expires_at: expiry(now).as_microsecond() });
        let row = OpenRow { id, opened_at, entry, key };
        let (sender, decided) = oneshot::channel();
        let sent = async {
            self.queue.send(Request::Open(row, sender)).await.ok()?;
            decided.await.ok()
        };
        // A wait that is given up may still become durable: dropping `decided` tells the writer to take it back.
        let decision = tokio::time::timeout(OPEN_TIME_MAX, sent)
            .await
            .map_err(|_| unavailable("the database is too slow"))?
            .ok_or_else(|| unavailable("the gateway is stopping"))??;
        Ok(match decision {
            Decision::Go => Opened::Go(Ticket {
                id,
                scope: intent.key.map(|key| key.scope),
                unsettled: Some((self.store.clone(), self.backlog.clone())),
            }),
            Decision::Replay(answer) => Opened::Replay(answer),
            Decision::InProgress => Opened::InProgress,
            Decision::Mismatch => Opened::Mismatch,
            Decision::Unknown => Opened::Unknown,
        })
    }

    /// Makes an outcome durable, or keeps it until that can be done.
    pub async fn settle(&self, mut ticket: Ticket, settlement: Settlement, effects: Effects) -> Settled {
        let row = ticket.row(&self.store, settlement, effects);
        ticket.unsettled = None;
        let (sender, settled) = oneshot::channel();
        if self.queue.send(Request::Settle(Box::new(row), sender)).await.is_err() {
            return Settled::Deferred;
        }
        settled.await.unwrap_or(Settled::Deferred)
    }

    /// Returns the store that this writes to.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

fn expiry(now: Timestamp) -> Timestamp {
    now.saturating_add(KEY_LIFETIME).unwrap_or(now)
}

fn unavailable(why: &str) -> Error {
    Error::new(
        Code::Unavailable,
        Reason::AuditUnavailable,
        "The audit log cannot be written, so nothing was sent. Try again later.",
    )
    .with_retry_after(Duration::from_secs(2))
    .with_source(why.to_owned())
}
