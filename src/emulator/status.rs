//! Refusals as Google's services word them: a code, a message, and packed details.

use bytes::Bytes;
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use crate::{
    error::Detail,
    pb::google::rpc::{
        self, BadRequest, ErrorInfo, PreconditionFailure, QuotaFailure, ResourceInfo, bad_request,
        precondition_failure, quota_failure,
    },
};

/// Wrong fields named in one answer: all of it travels in a header.
const FIELDS_MAX: usize = 32;
/// Of these, how many the message repeats.
const FIELDS_IN_MESSAGE: usize = 3;

/// A failed call in the making.
#[derive(Debug)]
pub(super) struct Refusal {
    code: Code,
    message: String,
    violations: Vec<bad_request::FieldViolation>,
    details: Vec<Any>,
}

impl Refusal {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), violations: Vec::new(), details: Vec::new() }
    }

    /// The request is wrong; name the fields with [`Refusal::field`].
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// There is no such resource.
    pub(super) fn not_found(domain: &str, kind: &str, name: &str) -> Self {
        Self::new(Code::NotFound, format!("Not found: {kind} {name}"))
            .resource(kind, name, "does not exist")
            .info("RESOURCE_NOT_FOUND", domain, &[("resource", name)])
    }

    /// A resource of that name exists.
    pub(super) fn already_exists(domain: &str, kind: &str, name: &str) -> Self {
        Self::new(Code::AlreadyExists, format!("Already Exists: {kind} {name}"))
            .resource(kind, name, "exists already")
            .info("RESOURCE_ALREADY_EXISTS", domain, &[("resource", name)])
    }

    /// A limit of the emulator is reached.
    pub(super) fn exhausted(domain: &str, subject: &str, description: &str) -> Self {
        let violation = quota_failure::Violation {
            subject: subject.to_owned(),
            description: description.to_owned(),
            ..Default::default()
        };
        Self::new(Code::ResourceExhausted, format!("Quota exceeded: {description}"))
            .detail("google.rpc.QuotaFailure", &QuotaFailure { violations: vec![violation] })
            .info("RESOURCE_LIMIT_EXCEEDED", domain, &[])
    }

    /// Another operation works on the same resource.
    pub(super) fn busy(domain: &str, target: &str, operation: &str) -> Self {
        Self::new(Code::Aborted, format!("{target} is being changed by {operation}")).info(
            "OPERATION_IN_PROGRESS",
            domain,
            &[("operation", operation)],
        )
    }

    /// `subject` is not in the state that the request needs.
    pub(super) fn precondition(domain: &str, reason: &str, subject: &str, description: &str) -> Self {
        let violation = precondition_failure::Violation {
            r#type: reason.to_owned(),
            subject: subject.to_owned(),
            description: description.to_owned(),
        };
        Self::new(Code::FailedPrecondition, format!("{subject}: {description}"))
            .info(reason, domain, &[("resource", subject)])
            .detail("google.rpc.PreconditionFailure", &PreconditionFailure { violations: vec![violation] })
    }

    /// Adds a wrong field; those past [`FIELDS_MAX`] are dropped.
    pub(super) fn field(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        if self.violations.len() == FIELDS_MAX {
            return self;
        }
        let (field, description) = (field.into(), description.into());
        self.violations.push(bad_request::FieldViolation { field, description, ..Default::default() });
        self
    }

    /// Adds an `ErrorInfo`.
    pub(super) fn info(self, reason: &str, domain: &str, metadata: &[(&str, &str)]) -> Self {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let info = ErrorInfo { reason: reason.to_owned(), domain: domain.to_owned(), metadata };
        self.detail("google.rpc.ErrorInfo", &info)
    }

    /// Whether any wrong field was named.
    pub(super) fn has_fields(&self) -> bool {
        !self.violations.is_empty()
    }

    /// Packs everything for the wire.
    pub(super) fn status(mut self) -> Status {
        if !self.violations.is_empty() {
            let field_violations = std::mem::take(&mut self.violations);
            for (index, violation) in field_violations.iter().take(FIELDS_IN_MESSAGE).enumerate() {
                let separator = if index == 0 { ": " } else { "; " };
                self.message.push_str(&format!("{separator}{} {}", violation.field, violation.description));
            }
            self = self.detail("google.rpc.BadRequest", &BadRequest { field_violations });
        }
        pack(self.code, self.message, self.details)
    }

    fn resource(self, kind: &str, name: &str, description: &str) -> Self {
        let (resource_type, resource_name) = (kind.to_owned(), name.to_owned());
        let description = description.to_owned();
        let info = ResourceInfo { resource_type, resource_name, owner: String::new(), description };
        self.detail("google.rpc.ResourceInfo", &info)
    }

    /// Adds a detail under its full name.
    pub(super) fn detail(mut self, name: &str, message: &impl Message) -> Self {
        self.details.push(any(name, message));
        self
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        refusal.status()
    }
}

/// Refuses a request that is wrong in one field. The message says it once: the detail is for programs.
pub(super) fn wrong_field(field: &str, description: impl Into<String>) -> Status {
    let description = description.into();
    let message = format!("Invalid {field}: {description}");
    let violation =
        bad_request::FieldViolation { field: field.to_owned(), description, ..Default::default() };
    let violations = BadRequest { field_violations: vec![violation] };
    Refusal::invalid(message).detail("google.rpc.BadRequest", &violations).status()
}

/// Turns a refusal into the `error` of an operation.
pub(super) fn into_rpc(status: &Status) -> rpc::Status {
    rpc::Status::decode(status.details()).ok().filter(|packed| packed.code != 0).unwrap_or_else(|| {
        rpc::Status { code: status.code() as i32, message: status.message().to_owned(), details: Vec::new() }
    })
}

/// Packs a message under its full name.
pub(super) fn any(name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

/// Makes a status of a fault: without details nothing but code and message is sent.
pub(super) fn injected(code: crate::error::Code, message: &str, details: &[Detail]) -> Status {
    let details = details.iter();
    let details =
        details.map(|detail| Any { type_url: detail.type_url.clone(), value: detail.value.to_vec() });
    pack(Code::from_i32(code.number()), message.to_owned(), details.collect())
}

fn pack(code: Code, message: String, details: Vec<Any>) -> Status {
    if details.is_empty() {
        return Status::new(code, message);
    }
    let packed = rpc::Status { code: i32::from(code), message: message.clone(), details };
    Status::with_details(code, message, Bytes::from(packed.encode_to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_field_is_said_once() {
        let status = wrong_field("filter", "ends where a term is missing");
        assert_eq!(status.message(), "Invalid filter: ends where a term is missing");
        let packed = rpc::Status::decode(status.details()).expect("a google.rpc.Status");
        assert_eq!(packed.message, status.message());
        let details = BadRequest::decode(&packed.details[0].value[..]).expect("the wrong fields");
        let named = &details.field_violations[0];
        assert_eq!(
            (named.field.as_str(), named.description.as_str()),
            ("filter", "ends where a term is missing")
        );
    }

    #[test]
    fn several_wrong_fields_are_all_in_the_message() {
        let refusal = Refusal::invalid("Invalid connection").field("a", "is required").field("b", "is long");
        assert_eq!(refusal.status().message(), "Invalid connection: a is required; b is long");
    }
}
