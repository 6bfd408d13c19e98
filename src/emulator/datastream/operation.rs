//! Long-running operations: how one begins, moves and ends.
//!
//! An operation carries what it will do at its end. Whoever reads the world first settles what is due ([`World::settle`](super::world::World::settle)); no task runs in between.

use jiff::Timestamp;
use prost_types::Any;

use super::{pace::wire, refusal::pack, world::World};
use crate::pb::google::{
    cloud::datastream::v1::{OperationMetadata, ValidationResult},
    longrunning::{self, operation},
    rpc,
};

/// Full name of the metadata's type.
const METADATA: &str = "google.cloud.datastream.v1.OperationMetadata";

/// Changes the world at an instant.
pub(super) type Step = Box<dyn FnOnce(&mut World, Timestamp) + Send>;
/// Changes the world at an instant and returns the response.
pub(super) type LastStep = Box<dyn FnOnce(&mut World, Timestamp) -> Any + Send>;

/// What an operation does at its end.
pub(super) struct Work {
    /// Why it fails, if it does.
    pub(super) refusal: Option<rpc::Status>,
    pub(super) finish: LastStep,
    /// Puts back what its beginning changed, when it fails or is cancelled.
    pub(super) undo: Step,
}

/// A long-running operation.
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) target: String,
    pub(super) verb: &'static str,
    pub(super) created: Timestamp,
    pub(super) validation: Option<ValidationResult>,
    pub(super) requested_cancellation: bool,
    /// Deleted while it ran: it goes on unseen.
    pub(super) forgotten: bool,
    pub(super) phase: Phase,
}

/// How far an operation is.
pub(super) enum Phase {
    /// It ends at `due`, or as cancelled at `cancelled` if that comes first.
    Running { due: Timestamp, cancelled: Option<Timestamp>, work: Work },
    /// It has ended.
    Ended { at: Timestamp, result: Result<Any, rpc::Status> },
}

impl Operation {
    /// Returns when it will end, `None` once it has.
    pub(super) fn ends(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Running { due, cancelled, .. } => Some(cancelled.map_or(*due, |at| at.min(*due))),
            Phase::Ended { .. } => None,
        }
    }

    /// Ends the operation at `at`: does its work, or undoes its beginning when it failed or was cancelled before.
    pub(super) fn end(&mut self, world: &mut World, at: Timestamp) {
        let interim = Phase::Ended { at, result: Err(cancelled()) };
        let Phase::Running { due, work, .. } = std::mem::replace(&mut self.phase, interim) else { return };
        let result = match work.refusal {
            _ if at < due => Err(cancelled()),
            Some(refusal) => Err(refusal),
            None => Ok((work.finish)(world, at)),
        };
        if result.is_err() {
            (work.undo)(world, at);
        }
        self.phase = Phase::Ended { at, result };
    }

    /// Asks for cancellation, which takes effect at `at` unless the operation ends before.
    pub(super) fn cancel(&mut self, at: Timestamp) {
        if let Phase::Running { cancelled, .. } = &mut self.phase {
            cancelled.get_or_insert(at);
            self.requested_cancellation = true;
        }
    }

    /// Renders the operation as the service shows it.
    pub(super) fn render(&self) -> longrunning::Operation {
        let ended = match &self.phase {
            Phase::Running { .. } => None,
            Phase::Ended { at, result } => Some((*at, result)),
        };
        let metadata = OperationMetadata {
            create_time: Some(wire(self.created)),
            end_time: ended.map(|(at, _)| wire(at)),
            target: self.target.clone(),
            verb: self.verb.to_owned(),
            status_message: String::new(),
            requested_cancellation: self.requested_cancellation,
            api_version: "v1".to_owned(),
            validation_result: self.validation.clone(),
        };
        longrunning::Operation {
            name: self.name.clone(),
            metadata: Some(pack(METADATA, &metadata)),
            done: ended.is_some(),
            result: ended.map(|(_, result)| match result {
                Ok(response) => operation::Result::Response(response.clone()),
                Err(error) => operation::Result::Error(error.clone()),
            }),
        }
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
