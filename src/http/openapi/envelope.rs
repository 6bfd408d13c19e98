//! The one form of all errors, and of the details that the gateway itself gives.

use utoipa::openapi::{
    ArrayBuilder, KnownFormat, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat, Type,
    schema::{AdditionalProperties, AnyOfBuilder, Object},
};

use crate::error::{Code, Reason};

/// Name of the envelope's component.
pub(super) const ENVELOPE: &str = "Error";

/// Returns the schemas of the envelope and of the details that the gateway itself gives.
pub(super) fn schemas() -> [(&'static str, RefOr<Schema>); 4] {
    let reasons: Vec<String> = Reason::ALL.iter().map(|reason| format!("`{}`", reason.name())).collect();
    let info = detail("google.rpc.ErrorInfo", "Why it was refused, for programs.")
        .property(
            "reason",
            text(&format!(
                "The reason, in a vocabulary of its domain. That of `causeway` is {}.",
                reasons.join(", ")
            )),
        )
        .property("domain", text("Whose reason it is: `causeway`, or the upstream's host."))
        .property(
            "metadata",
            strings("Facts about the reason, such as the limit that was passed, or `requestId`."),
        );
    let violation = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("field", text("Path of the field, as the caller wrote it."))
        .property("description", text("What is wrong, and what would be right."))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)));
    let bad_request = detail("google.rpc.BadRequest", "Which fields are wrong.").property(
        "fieldViolations",
        ArrayBuilder::new().items(violation).description(Some("One entry for each.")),
    );
    let retry = detail("google.rpc.RetryInfo", "When it is worth trying again.")
        .property("retryDelay", text("How long to wait, such as `2s`."));
    [
        (ENVELOPE, RefOr::T(envelope())),
        ("ErrorInfo", RefOr::T(info.into())),
        ("BadRequestDetail", RefOr::T(bad_request.into())),
        ("RetryDetail", RefOr::T(retry.into())),
    ]
}

fn envelope() -> Schema {
    let codes = Code::ALL.iter().map(|code| code.name());
    let status = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(codes))
        .description(Some("The canonical code, see google.rpc.Code."));
    let code = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        .description(Some("The HTTP status."));
    let kinds = ["ErrorInfo", "BadRequestDetail", "RetryDetail", "protobuf.Any"];
    let detail = kinds
        .into_iter()
        .fold(AnyOfBuilder::new(), |any, name| any.item(Ref::from_schema_name(name)))
        .description(Some("Messages of google.rpc, and those of the upstream."));
    let details = ArrayBuilder::new()
        .items(detail)
        .description(Some("More about it, for programs; an upstream's details are passed through."));
    let error = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("What went wrong."))
        .property("code", code)
        .property("message", text("What went wrong, for people."))
        .property("status", status)
        .property("details", details)
        .required("code")
        .required("message")
        .required("status");
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("How every error is told, whoever it comes from (AIP-193)."))
        .property("error", error)
        .required("error")
        .into()
}

/// A message of `google.rpc` that is packed into an error.
fn detail(full_name: &str, about: &str) -> ObjectBuilder {
    let name = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([format!("type.googleapis.com/{full_name}")]))
        .description(Some("Names the type."));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(about))
        .property("@type", name)
        .required("@type")
}

fn text(about: &str) -> Object {
    ObjectBuilder::new().schema_type(Type::String).description(Some(about)).build()
}

fn strings(about: &str) -> Object {
    let value =
        AdditionalProperties::RefOr(RefOr::T(Schema::from(ObjectBuilder::new().schema_type(Type::String))));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(value))
        .description(Some(about))
        .build()
}
