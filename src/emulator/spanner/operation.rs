//! Long-running operations: how one begins, moves and ends.
//!
//! An operation carries what it will do at its end. Whoever reads the world first settles what is due
//! ([`World::settle`](super::world::World::settle)); no task runs in between.

use jiff::Timestamp;
use prost_types::Any;

use super::{metadata::Kind, refusal::pack, world::World};
use crate::pb::google::{
    longrunning::{self, operation},
    rpc,
};

/// How an operation ended.
pub(super) type Outcome = Result<Any, rpc::Status>;
/// Changes the world at an instant.
pub(super) type Step = Box<dyn FnOnce(&mut World, Timestamp) + Send>;
/// Changes the world at an instant and returns how that went.
pub(super) type LastStep = Box<dyn FnOnce(&mut World, Timestamp) -> Outcome + Send>;

/// What an operation does at its end.
pub(super) struct Work {
    /// Why it fails, if it does.
    pub(super) refusal: Option<rpc::Status>,
    pub(super) finish: LastStep,
    /// Puts back what its beginning changed, when it fails or is cancelled.
    pub(super) undo: Step,
    /// Undone as soon as somebody asks for the cancellation, and not when that is complete.
    pub(super) undone_at_once: bool,
}

/// A long-running operation.
pub(super) struct Operation {
    /// `{target}/operations/{id}`.
    pub(super) name: String,
    /// What it works on.
    pub(super) target: String,
    pub(super) kind: Kind,
    /// When its work begins; later than the request where it has to wait for others.
    pub(super) begins: Timestamp,
    /// When its work would be done.
    pub(super) due: Timestamp,
    pub(super) cancel_asked: Option<Timestamp>,
    /// Deleted while it ran: it goes on unseen.
    pub(super) forgotten: bool,
    pub(super) phase: Phase,
}

/// How far an operation is.
pub(super) enum Phase {
    /// It ends when it is due, or as cancelled at `cancelled` if that comes first.
    Running { cancelled: Option<Timestamp>, work: Work },
    /// It has ended.
    Ended { at: Timestamp, outcome: Outcome },
}

/// The instants that metadata shows.
pub(super) struct Times {
    pub(super) begins: Timestamp,
    pub(super) cancel_asked: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
    /// How far the work is, or was when it ended, in percent.
    pub(super) percent: i32,
    /// The present, or the end if that has come.
    pub(super) at: Timestamp,
}

impl Work {
    /// Changes nothing before the end, so that there is nothing to undo.
    pub(super) fn at_the_end(finish: impl FnOnce(&mut World, Timestamp) -> Outcome + Send + 'static) -> Self {
        Self { refusal: None, finish: Box::new(finish), undo: Box::new(|_, _| ()), undone_at_once: false }
    }

    /// Puts something back if it is cancelled or fails.
    pub(super) fn or_else(mut self, undo: impl FnOnce(&mut World, Timestamp) + Send + 'static) -> Self {
        self.undo = Box::new(undo);
        self
    }

    /// Takes its beginning back as soon as the cancellation is asked for.
    pub(super) fn undone_at_once(mut self) -> Self {
        self.undone_at_once = true;
        self
    }

    /// Fails with this, if anything.
    pub(super) fn refused(mut self, refusal: Option<rpc::Status>) -> Self {
        self.refusal = refusal;
        self
    }
}

impl Operation {
    /// An operation that will run from `begins` to `due`. It gets its name when it is kept.
    pub(super) fn new(target: &str, kind: Kind, (begins, due): (Timestamp, Timestamp), work: Work) -> Self {
        Self {
            name: String::new(),
            target: target.to_owned(),
            kind,
            begins,
            due,
            cancel_asked: None,
            forgotten: false,
            phase: Phase::Running { cancelled: None, work },
        }
    }

    /// An operation without a name that was done as soon as it began.
    pub(super) fn ended_at(target: &str, kind: Kind, at: Timestamp, outcome: Outcome) -> Self {
        Self {
            name: String::new(),
            target: target.to_owned(),
            kind,
            begins: at,
            due: at,
            cancel_asked: None,
            forgotten: false,
            phase: Phase::Ended { at, outcome },
        }
    }

    /// Returns when it will end, `None` once it has.
    pub(super) fn ends(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Running { cancelled, .. } => Some(cancelled.map_or(self.due, |at| at.min(self.due))),
            Phase::Ended { .. } => None,
        }
    }

    /// Returns when it ended, `None` while it runs.
    pub(super) fn ended(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Running { .. } => None,
            Phase::Ended { at, .. } => Some(*at),
        }
    }

    /// Ends the operation at `at`: does its work, or undoes its beginning when it failed or was cancelled before.
    pub(super) fn end(&mut self, world: &mut World, at: Timestamp) {
        let interim = Phase::Ended { at, outcome: Err(cancelled()) };
        let Phase::Running { work, .. } = std::mem::replace(&mut self.phase, interim) else { return };
        let outcome = match work.refusal {
            _ if at < self.due => Err(cancelled()),
            Some(refusal) => Err(refusal),
            None => (work.finish)(world, at),
        };
        if outcome.is_err() {
            (work.undo)(world, at);
        }
        self.phase = Phase::Ended { at, outcome };
    }

    /// Asks for cancellation now, which takes effect at `at` unless the operation ends before.
    pub(super) fn cancel(&mut self, world: &mut World, now: Timestamp, at: Timestamp) {
        let Phase::Running { cancelled, work } = &mut self.phase else { return };
        if cancelled.is_some() || !self.kind.can_be_cancelled() {
            return;
        }
        self.cancel_asked = Some(now);
        if !work.undone_at_once {
            *cancelled = Some(at);
            return;
        }
        // What was begun is gone, so the operation cannot succeed any more, however near its end was.
        let undo = std::mem::replace(&mut work.undo, Box::new(|_, _| ()));
        *cancelled = Some(at);
        self.due = self.due.max(super::time::after(at, std::time::Duration::from_micros(1)));
        undo(world, now);
    }

    /// Renders the operation as the service shows it at `now`.
    pub(super) fn render(&self, now: Timestamp) -> longrunning::Operation {
        let outcome = match &self.phase {
            Phase::Running { .. } => None,
            Phase::Ended { outcome, .. } => Some(outcome),
        };
        longrunning::Operation {
            name: self.name.clone(),
            metadata: Some(self.kind.pack(&self.times(now))),
            done: outcome.is_some(),
            result: outcome.map(|outcome| match outcome {
                Ok(response) => operation::Result::Response(response.clone()),
                Err(error) => operation::Result::Error(error.clone()),
            }),
        }
    }

    fn times(&self, now: Timestamp) -> Times {
        let ended = self.ended();
        let at = ended.unwrap_or(now);
        let whole = self.due.duration_since(self.begins).as_millis().max(1);
        let done = at.duration_since(self.begins).as_millis().clamp(0, whole);
        let most = if ended.is_some() { 100 } else { 99 };
        let percent = i32::try_from(done * 100 / whole).unwrap_or(100).min(most);
        Times { begins: self.begins, cancel_asked: self.cancel_asked, ended, percent, at }
    }
}

/// Returns the response of operations that answer with nothing.
pub(super) fn nothing() -> Any {
    pack("google.protobuf.Empty", &())
}

fn cancelled() -> rpc::Status {
    let message = "The operation was cancelled.".to_owned();
    rpc::Status { code: tonic::Code::Cancelled as i32, message, details: Vec::new() }
}
