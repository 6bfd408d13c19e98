//! What somebody saw of an operation, and what that does to its record. Pure.

use prost::Message as _;

use super::{
    event,
    transition::{Observation, transition},
};
use crate::{model::Operation, pb::google::rpc::Status, store::operations::Change};

/// What somebody saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// The heart of it.
    pub observation: Observation,
    /// 0 to 100, where the upstream tells.
    pub progress: Option<i32>,
    /// When the upstream began with it, in microseconds since 1970.
    pub started_at: Option<i64>,
    /// The resource it works on, where that was said.
    pub target: Option<String>,
    /// The upstream's metadata, an `Any` in wire format; `None` where it said nothing.
    pub metadata: Option<Vec<u8>>,
    /// The result, an `Any` in wire format.
    pub response: Vec<u8>,
    /// The failure.
    pub error: Option<Status>,
    /// What the source remembers from now on; `None` for what it did before.
    pub source: Option<Vec<u8>>,
}

impl Sighting {
    /// Nothing but the observation.
    pub fn of(observation: Observation) -> Self {
        Self {
            observation,
            progress: None,
            started_at: None,
            target: None,
            metadata: None,
            response: Vec::new(),
            error: None,
            source: None,
        }
    }

    /// A failure in words of ours.
    pub fn with_error(mut self, code: i32, message: impl Into<String>) -> Self {
        self.error = Some(Status { code, message: message.into(), details: Vec::new() });
        self
    }

    /// Returns the record as it is after this, at a time in microseconds since 1970.
    pub fn apply(&self, before: &Operation, now: i64) -> Change {
        let mut it = before.clone();
        if before.state.is_final() {
            return Change { operation: it, visible: false, events: Vec::new() };
        }
        let (state, moved) = transition(before.state, self.observation);
        it.state = state;
        it.progress = self.progress.or(it.progress);
        it.started_at = self.started_at.or(it.started_at);
        it.problem = String::new();
        if let Some(target) = self.target.as_ref().filter(|_| it.target.is_empty()) {
            it.target.clone_from(target);
        }
        if let Some(metadata) = &self.metadata {
            it.metadata.clone_from(metadata);
        }
        if let Some(source) = &self.source {
            it.source.clone_from(source);
        }
        if state.is_final() {
            it.ended_at = Some(now);
            it.response.clone_from(&self.response);
            it.error = self.ending(&it).map(|status| status.encode_to_vec()).unwrap_or_default();
        }
        let progressed = it.progress != before.progress;
        let visible = it != *before;
        let mut events = Vec::new();
        if visible {
            it.updated_at = now;
            it.version = before.version + 1;
            let progressed = progressed.then_some(crate::model::EventKind::Progressed);
            events.extend(moved.or(progressed).map(|kind| event::of(&it, kind)));
        }
        Change { operation: it, visible, events }
    }

    /// Returns the status of an operation that has ended otherwise than well.
    fn ending(&self, it: &Operation) -> Option<Status> {
        let code = it.state.code();
        if code == 0 {
            return None;
        }
        let mut status = self.error.clone().unwrap_or_default();
        if status.code == 0 {
            status.code = code;
        }
        if status.message.is_empty() {
            status.message = format!("The operation ended as {}.", it.state.name());
        }
        // Only a failure has a code of the upstream's choice.
        if it.state != crate::model::State::Failed {
            status.code = code;
        }
        Some(status)
    }
}
