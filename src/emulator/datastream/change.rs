//! A change of one resource: what `validate_only` and `force` make of it, and the operation that carries it out.

use std::time::Duration;

use jiff::Timestamp;
use prost_types::Any;
use tonic::Status;

use super::{
    operation::{LastStep, Operation, Phase, Step, Work},
    validation::Checks,
    world::World,
};
use crate::pb::google::longrunning;

/// A change that a caller asked for.
pub(super) struct Change {
    pub(super) target: String,
    pub(super) verb: &'static str,
    pub(super) takes: Duration,
    pub(super) checks: Checks,
    /// Only the checks are wanted.
    pub(super) validate_only: bool,
    /// Failed checks do not matter.
    pub(super) force: bool,
    /// What `validate_only` answers when nothing is wrong.
    pub(super) preview: Any,
}

/// What a change does to the world.
pub(super) struct Steps {
    meanwhile: Step,
    finish: LastStep,
    undo: Step,
}

impl Steps {
    /// Changes nothing before the end, so that there is nothing to undo.
    pub(super) fn at_the_end(finish: impl FnOnce(&mut World, Timestamp) -> Any + Send + 'static) -> Self {
        Self { meanwhile: Box::new(|_, _| ()), finish: Box::new(finish), undo: Box::new(|_, _| ()) }
    }

    /// Also changes something for as long as the operation runs, and puts it back if that is cancelled or refused.
    pub(super) fn with_interlude(
        mut self,
        meanwhile: impl FnOnce(&mut World, Timestamp) + Send + 'static,
        undo: impl FnOnce(&mut World, Timestamp) + Send + 'static,
    ) -> Self {
        self.meanwhile = Box::new(meanwhile);
        self.undo = Box::new(undo);
        self
    }
}

impl Change {
    /// A change without checks and without options.
    pub(super) fn plain(target: String, verb: &'static str, takes: Duration) -> Self {
        let checks = Checks::default();
        Self { target, verb, takes, checks, validate_only: false, force: false, preview: Any::default() }
    }

    /// Begins the operation. With `validate_only` it is done at once, has no name and changes nothing.
    ///
    /// # Errors
    /// As [`World::begin`].
    pub(super) fn begin(
        self,
        world: &mut World,
        steps: Steps,
        now: Timestamp,
    ) -> Result<longrunning::Operation, Status> {
        let refusal = if self.force { None } else { self.checks.refusal(&self.target) };
        let mut operation = Operation {
            name: String::new(),
            target: self.target,
            verb: self.verb,
            created: now,
            validation: self.checks.result(),
            requested_cancellation: false,
            forgotten: false,
            phase: Phase::Ended { at: now, result: refusal.clone().map_or(Ok(self.preview), Err) },
        };
        if self.validate_only {
            return Ok(operation.render());
        }
        let Steps { meanwhile, finish, undo } = steps;
        let due = super::pace::after(now, self.takes);
        operation.phase = Phase::Running { due, cancelled: None, work: Work { refusal, finish, undo } };
        let shown = world.begin(operation)?;
        meanwhile(world, now);
        Ok(shown)
    }
}
