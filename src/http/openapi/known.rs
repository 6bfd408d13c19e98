//! Scalars, and the types that have a JSON form of their own.

use serde_json::json;
use utoipa::openapi::{
    ArrayBuilder, ObjectBuilder, Schema, SchemaFormat, Type,
    schema::{AdditionalProperties, Object, SchemaType},
};

use super::schemas::string;
use crate::schema::Kind;

/// The one type with a JSON form of its own that is worth a component.
pub(super) const ANY: &str = "google.protobuf.Any";

/// Seconds with up to nine decimals.
const DURATION: &str = r"^-?[0-9]+(\.[0-9]{1,9})?s$";

/// How a message is given in a path or a query, which carry text only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// Its fields, one by one.
    Fields,
    /// As its form in JSON is, without quotes.
    Text,
    /// As JSON.
    Json,
    /// Not at all.
    Never,
}

/// Tells how a message is given in a path or a query.
pub(super) fn given(full_name: &str) -> Given {
    match full_name {
        ANY | "google.protobuf.Empty" | "google.api.HttpBody" => Given::Never,
        "google.protobuf.Struct" | "google.protobuf.Value" | "google.protobuf.ListValue" => Given::Json,
        _ if schema(full_name).is_some() => Given::Text,
        _ => Given::Fields,
    }
}

/// Returns the schema of JSON that is given as text. It is a string, not a parameter of JSON: nearly all clients send the one
/// as it is, and many leave the other out.
pub(super) fn json_text() -> Object {
    ObjectBuilder::new().schema_type(Type::String).content_media_type("application/json").build()
}

/// Says how such a text looks.
pub(super) fn about_json_text(full_name: &str) -> &'static str {
    match full_name {
        "google.protobuf.Struct" => "Given as JSON: an object, such as `{\"key\": \"value\"}`.",
        "google.protobuf.ListValue" => "Given as JSON: a list, such as `[\"value\"]`.",
        _ => "Given as JSON, a string in quotes: `\"value\"`.",
    }
}

/// Returns the schema of the one value of `google.protobuf.NullValue` as text.
pub(super) fn null_text() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["NULL_VALUE"])).build()
}

/// Returns the schema of a scalar.
pub(super) fn scalar(kind: Kind) -> Object {
    let number = |kind: Type, format: &str| {
        ObjectBuilder::new()
            .schema_type(kind)
            .format(Some(SchemaFormat::Custom(format.to_owned())))
            .minimum(format.starts_with('u').then_some(0))
            .build()
    };
    match kind {
        Kind::Double => number(Type::Number, "double"),
        Kind::Float => number(Type::Number, "float"),
        // Numbers of JSON are exact up to 53 bits only.
        Kind::Int64 | Kind::Sfixed64 | Kind::Sint64 => string(Some("^-?[0-9]+$"), Some("int64")),
        Kind::Uint64 | Kind::Fixed64 => string(Some("^[0-9]+$"), Some("uint64")),
        Kind::Int32 | Kind::Sfixed32 | Kind::Sint32 => number(Type::Integer, "int32"),
        Kind::Uint32 | Kind::Fixed32 => number(Type::Integer, "uint32"),
        Kind::Bool => ObjectBuilder::new().schema_type(Type::Boolean).build(),
        Kind::Bytes => ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("byte".to_owned())))
            .content_encoding("base64")
            .build(),
        Kind::String | Kind::Enum(_) | Kind::Message(_) | Kind::Group(_) => string(None, None),
    }
}

/// Returns the schema of a type whose JSON is not that of its fields; `None` for all others.
pub(super) fn schema(full_name: &str) -> Option<Schema> {
    let any = || ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    let name = full_name.strip_prefix("google.protobuf.");
    if full_name == "google.api.HttpBody" {
        return Some(string(None, Some("binary")).into());
    }
    let object = match name? {
        "Timestamp" => string(None, Some("date-time")),
        "Duration" => described(string(Some(DURATION), None), "Seconds, such as `30s` or `1.5s`."),
        "FieldMask" => described(
            string(None, None),
            "Fields, separated by commas, such as `displayName,labels`; dots lead into messages.",
        ),
        "Struct" => any_object("Any JSON object."),
        "Value" => any().description(Some("Any JSON.")).build(),
        "ListValue" => return Some(ArrayBuilder::new().items(any()).build().into()),
        "Any" => any_message(),
        "Empty" => described(any_object(""), "An empty object."),
        "DoubleValue" => scalar(Kind::Double),
        "FloatValue" => scalar(Kind::Float),
        "Int64Value" => scalar(Kind::Int64),
        "UInt64Value" => scalar(Kind::Uint64),
        "Int32Value" => scalar(Kind::Int32),
        "UInt32Value" => scalar(Kind::Uint32),
        "BoolValue" => scalar(Kind::Bool),
        "StringValue" => scalar(Kind::String),
        "BytesValue" => scalar(Kind::Bytes),
        _ => return None,
    };
    Some(object.into())
}

fn described(mut object: Object, text: &str) -> Object {
    object.description = Some(text.to_owned());
    object
}

fn any_object(text: &str) -> Object {
    let open = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .build();
    described(open, text)
}

/// A message of a type that it names itself.
fn any_message() -> Object {
    let name = described(
        string(None, None),
        "The type of the message, such as `type.googleapis.com/google.rpc.ErrorInfo`.",
    );
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("@type", name)
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .description(Some(
            "A message of any type: `@type` names it, its fields stand beside. A type with a JSON form of its own has \
             that in `value`.",
        ))
        .examples([json!({"@type": "type.googleapis.com/google.protobuf.Duration", "value": "30s"})])
        .build()
}
