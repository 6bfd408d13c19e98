//! How this service says no, in the details that Google's services attach.

use tonic::{Code, Status};

pub(super) use crate::emulator::status::{any as pack, into_rpc, wrong_field as invalid};
use crate::{emulator::status::Refusal, pb::google::rpc};

/// Domain of every `ErrorInfo` of this service.
pub(super) const DOMAIN: &str = "spanner.googleapis.com";

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

/// Says that a resource was changed by somebody else since the caller read it.
pub(super) fn etag_mismatch(name: &str) -> Status {
    let advice = format!("{name} was changed by somebody else. Read it again and repeat the request.");
    Refusal::new(Code::Aborted, advice).info("ETAG_MISMATCH", DOMAIN, &[("resource", name)]).status()
}

/// Says that a quota is used up.
pub(super) fn quota(subject: &str, description: &str) -> Status {
    Refusal::exhausted(DOMAIN, subject, description).status()
}

/// Says why an operation ended without having done its work.
pub(super) fn failed(target: &str) -> rpc::Status {
    let text = "there is not enough capacity at the moment; try again later or elsewhere";
    into_rpc(&quota(target, text))
}

/// Says that what an operation worked on was deleted meanwhile.
pub(super) fn gone(kind: &str, name: &str) -> rpc::Status {
    into_rpc(&not_found(kind, name))
}
