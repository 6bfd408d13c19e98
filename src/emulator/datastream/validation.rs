//! The checks that run before a change, and what they found.

use super::refusal::precondition;
use crate::pb::google::{
    cloud::datastream::v1::{
        Validation, ValidationMessage, ValidationResult, validation::State, validation_message::Level,
    },
    rpc,
};

/// Checks in the order they ran.
#[derive(Clone, Debug, Default)]
pub(super) struct Checks(Vec<Validation>);

impl Checks {
    /// Notes a check; `finding` is why it failed.
    pub(super) fn note(&mut self, code: &str, description: &str, finding: Option<String>) {
        let state = if finding.is_some() { State::Failed } else { State::Passed };
        let message = finding.map(|message| ValidationMessage {
            message,
            level: Level::Error.into(),
            code: code.to_owned(),
            ..Default::default()
        });
        self.0.push(Validation {
            description: description.to_owned(),
            state: state.into(),
            message: message.into_iter().collect(),
            code: code.to_owned(),
        });
    }

    /// Returns why the change is refused, if a check failed.
    pub(super) fn refusal(&self, target: &str) -> Option<rpc::Status> {
        let failed = self.0.iter().find(|check| check.state() == State::Failed)?;
        let finding = failed.message.first().map_or("a check failed", |message| &message.message);
        Some(super::refusal::into_rpc(&precondition("VALIDATION_FAILED", target, finding)))
    }

    /// Returns what the operation's metadata shows; nothing when nothing was checked.
    pub(super) fn result(self) -> Option<ValidationResult> {
        (!self.0.is_empty()).then_some(ValidationResult { validations: self.0 })
    }
}
