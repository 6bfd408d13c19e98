//! The rows of one commit.

use super::{Effects, IntentId, KeyFate, KeyUse};
use crate::{model::WebhookEvent, store::operations::Birth};

/// Rows of one commit.
pub(in crate::store) const ROWS_MAX: usize = 256;

/// An intent to insert.
#[derive(Clone, Debug)]
pub(in crate::store) struct OpenRow {
    pub(in crate::store) id: IntentId,
    pub(in crate::store) opened_at: i64,
    pub(in crate::store) entry: String,
    pub(in crate::store) key: Option<KeyRow>,
}

/// A key to insert, or to find.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct KeyRow {
    pub(in crate::store) key: KeyUse,
    pub(in crate::store) expires_at: i64,
}

/// An intent to close.
#[derive(Clone, Debug)]
pub(in crate::store) struct SettleRow {
    pub(in crate::store) id: IntentId,
    pub(in crate::store) closed_at: i64,
    pub(in crate::store) outcome: String,
    pub(in crate::store) key: Option<([u8; 32], KeyFate)>,
    pub(in crate::store) effects: Effects,
}

/// Everything that one commit makes durable: at most [`ROWS_MAX`] intents and outcomes together.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Batch {
    pub(in crate::store) opens: Vec<OpenRow>,
    pub(in crate::store) settles: Vec<SettleRow>,
    /// Intents that nobody went ahead with: taken back.
    pub(in crate::store) taken_back: Vec<TakenBack>,
}

/// An intent that nobody goes ahead with, and the scope of its key.
pub(in crate::store) type TakenBack = (IntentId, Option<[u8; 32]>);

impl OpenRow {
    pub(in crate::store) fn taken_back(&self) -> TakenBack {
        (self.id, self.key.map(|row| row.key.scope))
    }
}

impl Batch {
    /// Returns what outcomes tell the world, each with its intent.
    pub(in crate::store) fn events(&self) -> impl Iterator<Item = (&IntentId, &WebhookEvent)> {
        self.settles.iter().flat_map(|row| row.effects.events.iter().map(|event| (&row.id, event)))
    }

    /// Returns the operations that were started.
    pub(in crate::store) fn births(&self) -> Vec<&Birth> {
        self.settles.iter().flat_map(|row| &row.effects.operations).collect()
    }

    /// Whether it is intents and outcomes and nothing else.
    pub(in crate::store) fn is_plain(&self) -> bool {
        self.taken_back.is_empty()
            && self.opens.iter().all(|row| row.key.is_none())
            && self.settles.iter().all(|row| row.key.is_none() && row.effects.is_empty())
    }

    pub(in crate::store) fn is_empty(&self) -> bool {
        self.opens.is_empty() && self.settles.is_empty() && self.taken_back.is_empty()
    }
}

/// When a commit is made, in microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Moment {
    pub(in crate::store) now: i64,
    /// A gateway that said that it lives until later than this holds its keys.
    pub(in crate::store) alive_after: i64,
}

/// What a commit did.
#[derive(Debug, Default)]
pub(in crate::store) struct Flushed {
    /// One for each intent, in their order.
    pub(in crate::store) decisions: Vec<Decision>,
    /// Intents that were closed; the others were closed before, or are sealed.
    pub(in crate::store) settled: u64,
}

/// What the commit decided about an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Decision {
    Go,
    Replay(Vec<u8>),
    InProgress,
    Mismatch,
    Unknown,
}

/// How a commit failed.
#[derive(Debug)]
pub(in crate::store) enum FlushError {
    /// Nothing was written.
    Undone(sqlx::Error),
    /// Whether it was written is not known.
    InDoubt(sqlx::Error),
}

impl FlushError {
    pub(in crate::store) fn cause(&self) -> &sqlx::Error {
        match self {
            Self::Undone(error) | Self::InDoubt(error) => error,
        }
    }
}

impl From<sqlx::Error> for FlushError {
    fn from(error: sqlx::Error) -> Self {
        Self::Undone(error)
    }
}

/// A key that is there already.
#[derive(Clone, Debug)]
pub(in crate::store) struct Existing {
    pub(in crate::store) fingerprint: Vec<u8>,
    pub(in crate::store) intent: Vec<u8>,
    pub(in crate::store) state: i16,
    pub(in crate::store) reissuable: bool,
    pub(in crate::store) alive: bool,
    pub(in crate::store) answer: Option<Vec<u8>>,
}

/// `idempotency_keys.state`.
pub(in crate::store) const RUNNING: i16 = 0;
pub(in crate::store) const ANSWERED: i16 = 1;
pub(in crate::store) const UNKNOWN: i16 = 2;

/// What a key that is there means for a request that brings it again; `None`: it may take the key over.
pub(in crate::store) fn judge(existing: &Existing, key: &KeyUse) -> Option<Decision> {
    if existing.fingerprint != key.fingerprint {
        return Some(Decision::Mismatch);
    }
    match (existing.state, &existing.answer) {
        (ANSWERED, Some(answer)) => Some(Decision::Replay(answer.clone())),
        (RUNNING, _) if existing.alive => Some(Decision::InProgress),
        (RUNNING | UNKNOWN, _) if existing.reissuable && key.reissuable => None,
        _ => Some(Decision::Unknown),
    }
}
