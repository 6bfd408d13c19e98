//! How this service says no, in the details that Google's services attach.

use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status};

use crate::{
    emulator::status::{Refusal, any},
    pb::google::rpc::{self, PreconditionFailure, precondition_failure::Violation},
};

/// Domain of every `ErrorInfo` of this service.
const DOMAIN: &str = "datastream.googleapis.com";

/// Refuses a request that is wrong in one field.
pub(super) fn invalid(field: &str, description: impl Into<String>) -> Status {
    let description = description.into();
    Refusal::invalid(format!("Invalid {field}: {description}")).field(field, description).status()
}

/// Says that a resource does not exist.
pub(super) fn not_found(kind: &str, name: &str) -> Status {
    Refusal::not_found(DOMAIN, kind, name).status()
}

/// Says that a resource to be created is there.
pub(super) fn already_exists(kind: &str, name: &str) -> Status {
    Refusal::already_exists(DOMAIN, kind, name).status()
}

/// Says that another operation works on the same resource.
pub(super) fn busy(target: &str, operation: &str) -> Status {
    let message = format!("{target} is being changed by {operation}");
    Refusal::new(Code::Aborted, message)
        .info("OPERATION_IN_PROGRESS", DOMAIN, &[("operation", operation)])
        .status()
}

/// Says that `subject` is not in the state that the request needs.
pub(super) fn precondition(reason: &str, subject: &str, description: &str) -> Status {
    let (r#type, subject, description) = (reason.to_owned(), subject.to_owned(), description.to_owned());
    let message = format!("{subject}: {description}");
    let metadata = [("resource", subject.as_str())];
    let refusal = Refusal::new(Code::FailedPrecondition, message).info(reason, DOMAIN, &metadata);
    let violations = vec![Violation { r#type, subject: subject.clone(), description }];
    refusal.detail("google.rpc.PreconditionFailure", &PreconditionFailure { violations }).status()
}

/// Says that a quota is used up.
pub(super) fn quota(subject: &str, description: &str) -> Status {
    Refusal::exhausted(DOMAIN, subject, description).status()
}

/// Packs a message under the full name of its type.
pub(super) fn pack(type_name: &str, message: &impl prost::Message) -> Any {
    any(type_name, message)
}

/// Turns a refusal into the `error` of an operation.
pub(super) fn into_rpc(status: &Status) -> rpc::Status {
    rpc::Status::decode(status.details()).unwrap_or_else(|_| rpc::Status {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}
