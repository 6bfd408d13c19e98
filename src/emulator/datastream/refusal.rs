//! How this service says no, in the details that Google's services attach.

use tonic::Status;

use crate::emulator::status::Refusal;
pub(super) use crate::emulator::status::{any as pack, into_rpc, wrong_field as invalid};

/// Domain of every `ErrorInfo` of this service.
const DOMAIN: &str = "datastream.googleapis.com";

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
    Refusal::busy(DOMAIN, target, operation).status()
}

/// Says that `subject` is not in the state that the request needs.
pub(super) fn precondition(reason: &str, subject: &str, description: &str) -> Status {
    Refusal::precondition(DOMAIN, reason, subject, description).status()
}

/// Says that a quota is used up.
pub(super) fn quota(subject: &str, description: &str) -> Status {
    Refusal::exhausted(DOMAIN, subject, description).status()
}
