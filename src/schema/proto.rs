//! The wire shape of a descriptor set: just the fields of `google/protobuf/descriptor.proto` that the gateway reads.
//!
//! The options that it needs from other files (`google.api.http` and friends, [`crate::schema::Pool`] says which) are
//! plain fields here, by their extension numbers: a descriptor set is read with one pass of `prost` and no registry of
//! extensions. Numbers are those of the published files.

#![expect(missing_docs, reason = "fields bear the names of the published messages")]

use prost::Message;

/// `google.protobuf.FileDescriptorSet`.
#[derive(Clone, PartialEq, Message)]
pub struct FileSet {
    /// The files, imports before importers or not.
    #[prost(message, repeated, tag = "1")]
    pub file: Vec<File>,
}

/// `google.protobuf.FileDescriptorProto`.
#[derive(Clone, PartialEq, Message)]
pub struct File {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub package: String,
    #[prost(message, repeated, tag = "4")]
    pub message_type: Vec<MessageType>,
    #[prost(message, repeated, tag = "5")]
    pub enum_type: Vec<EnumType>,
    #[prost(message, repeated, tag = "6")]
    pub service: Vec<ServiceType>,
    #[prost(message, repeated, tag = "7")]
    pub extension: Vec<FieldType>,
    #[prost(message, optional, tag = "8")]
    pub options: Option<FileOptions>,
    #[prost(message, optional, tag = "9")]
    pub source_code_info: Option<SourceCodeInfo>,
    #[prost(string, tag = "12")]
    pub syntax: String,
    #[prost(int32, tag = "14")]
    pub edition: i32,
}

/// `google.protobuf.FileOptions`.
#[derive(Clone, PartialEq, Message)]
pub struct FileOptions {
    #[prost(message, optional, tag = "50")]
    pub features: Option<Features>,
}

/// `google.protobuf.FeatureSet`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Features {
    #[prost(int32, optional, tag = "1")]
    pub field_presence: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub enum_type: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    pub repeated_field_encoding: Option<i32>,
    #[prost(int32, optional, tag = "4")]
    pub utf8_validation: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    pub message_encoding: Option<i32>,
    #[prost(int32, optional, tag = "6")]
    pub json_format: Option<i32>,
}

/// `google.protobuf.DescriptorProto`.
#[derive(Clone, PartialEq, Message)]
pub struct MessageType {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, repeated, tag = "2")]
    pub field: Vec<FieldType>,
    #[prost(message, repeated, tag = "3")]
    pub nested_type: Vec<MessageType>,
    #[prost(message, repeated, tag = "4")]
    pub enum_type: Vec<EnumType>,
    #[prost(message, repeated, tag = "6")]
    pub extension: Vec<FieldType>,
    #[prost(message, optional, tag = "7")]
    pub options: Option<MessageOptions>,
    #[prost(message, repeated, tag = "8")]
    pub oneof_decl: Vec<OneofType>,
}

/// `google.protobuf.MessageOptions`.
#[derive(Clone, PartialEq, Message)]
pub struct MessageOptions {
    #[prost(bool, tag = "1")]
    pub message_set_wire_format: bool,
    #[prost(bool, tag = "7")]
    pub map_entry: bool,
    #[prost(message, optional, tag = "12")]
    pub features: Option<Features>,
    /// `google.api.resource`.
    #[prost(message, optional, tag = "1053")]
    pub resource: Option<ResourceType>,
}

/// `google.api.ResourceDescriptor`.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceType {
    #[prost(string, tag = "1")]
    pub r#type: String,
    #[prost(string, repeated, tag = "2")]
    pub pattern: Vec<String>,
    #[prost(string, tag = "5")]
    pub plural: String,
    #[prost(string, tag = "6")]
    pub singular: String,
}

/// `google.protobuf.OneofDescriptorProto`.
#[derive(Clone, PartialEq, Message)]
pub struct OneofType {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// `google.protobuf.FieldDescriptorProto`.
#[derive(Clone, PartialEq, Message)]
pub struct FieldType {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub extendee: String,
    #[prost(int32, tag = "3")]
    pub number: i32,
    #[prost(int32, tag = "4")]
    pub label: i32,
    #[prost(int32, tag = "5")]
    pub r#type: i32,
    #[prost(string, tag = "6")]
    pub type_name: String,
    #[prost(string, optional, tag = "7")]
    pub default_value: Option<String>,
    #[prost(message, optional, tag = "8")]
    pub options: Option<FieldOptions>,
    #[prost(int32, optional, tag = "9")]
    pub oneof_index: Option<i32>,
    #[prost(string, optional, tag = "10")]
    pub json_name: Option<String>,
    #[prost(bool, tag = "17")]
    pub proto3_optional: bool,
}

/// `google.protobuf.FieldOptions`.
#[derive(Clone, PartialEq, Message)]
pub struct FieldOptions {
    #[prost(bool, optional, tag = "2")]
    pub packed: Option<bool>,
    #[prost(bool, tag = "3")]
    pub deprecated: bool,
    #[prost(message, optional, tag = "21")]
    pub features: Option<Features>,
    /// `google.api.field_behavior`.
    #[prost(int32, repeated, tag = "1052")]
    pub field_behavior: Vec<i32>,
    /// `google.api.resource_reference`.
    #[prost(message, optional, tag = "1055")]
    pub resource_reference: Option<ResourceReference>,
}

/// `google.api.ResourceReference`.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceReference {
    #[prost(string, tag = "1")]
    pub r#type: String,
    #[prost(string, tag = "2")]
    pub child_type: String,
}

/// `google.protobuf.EnumDescriptorProto`.
#[derive(Clone, PartialEq, Message)]
pub struct EnumType {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, repeated, tag = "2")]
    pub value: Vec<EnumValue>,
    #[prost(message, optional, tag = "3")]
    pub options: Option<EnumOptions>,
}

/// `google.protobuf.EnumOptions`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct EnumOptions {
    #[prost(message, optional, tag = "7")]
    pub features: Option<Features>,
}

/// `google.protobuf.EnumValueDescriptorProto`.
#[derive(Clone, PartialEq, Message)]
pub struct EnumValue {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int32, tag = "2")]
    pub number: i32,
    #[prost(message, optional, tag = "3")]
    pub options: Option<EnumValueOptions>,
}

/// `google.protobuf.EnumValueOptions`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct EnumValueOptions {
    #[prost(bool, tag = "1")]
    pub deprecated: bool,
}

/// `google.protobuf.ServiceDescriptorProto`.
#[derive(Clone, PartialEq, Message)]
pub struct ServiceType {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, repeated, tag = "2")]
    pub method: Vec<MethodType>,
    #[prost(message, optional, tag = "3")]
    pub options: Option<ServiceOptions>,
}

/// `google.protobuf.ServiceOptions`.
#[derive(Clone, PartialEq, Message)]
pub struct ServiceOptions {
    #[prost(bool, tag = "33")]
    pub deprecated: bool,
    /// `google.api.default_host`.
    #[prost(string, tag = "1049")]
    pub default_host: String,
    /// `google.api.oauth_scopes`, comma separated.
    #[prost(string, tag = "1050")]
    pub oauth_scopes: String,
}

/// `google.protobuf.MethodDescriptorProto`.
#[derive(Clone, PartialEq, Message)]
pub struct MethodType {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub input_type: String,
    #[prost(string, tag = "3")]
    pub output_type: String,
    #[prost(message, optional, tag = "4")]
    pub options: Option<MethodOptions>,
    #[prost(bool, tag = "5")]
    pub client_streaming: bool,
    #[prost(bool, tag = "6")]
    pub server_streaming: bool,
}

/// `google.protobuf.MethodOptions`.
#[derive(Clone, PartialEq, Message)]
pub struct MethodOptions {
    #[prost(bool, tag = "33")]
    pub deprecated: bool,
    /// 1 = no side effects, 2 = idempotent.
    #[prost(int32, tag = "34")]
    pub idempotency_level: i32,
    /// `google.longrunning.operation_info`.
    #[prost(message, optional, tag = "1049")]
    pub operation_info: Option<OperationInfo>,
    /// `google.api.method_signature`.
    #[prost(string, repeated, tag = "1051")]
    pub method_signature: Vec<String>,
    /// `google.api.http`.
    #[prost(message, optional, boxed, tag = "72295728")]
    pub http: Option<Box<HttpRule>>,
}

/// `google.longrunning.OperationInfo`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OperationInfo {
    #[prost(string, tag = "1")]
    pub response_type: String,
    #[prost(string, tag = "2")]
    pub metadata_type: String,
}

/// `google.api.HttpRule`.
#[derive(Clone, PartialEq, Message)]
pub struct HttpRule {
    #[prost(string, tag = "1")]
    pub selector: String,
    #[prost(oneof = "Pattern", tags = "2, 3, 4, 5, 6, 8")]
    pub pattern: Option<Pattern>,
    #[prost(string, tag = "7")]
    pub body: String,
    #[prost(message, repeated, tag = "11")]
    pub additional_bindings: Vec<HttpRule>,
    #[prost(string, tag = "12")]
    pub response_body: String,
}

/// The `pattern` of a rule: a verb and a path template.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum Pattern {
    #[prost(string, tag = "2")]
    Get(String),
    #[prost(string, tag = "3")]
    Put(String),
    #[prost(string, tag = "4")]
    Post(String),
    #[prost(string, tag = "5")]
    Delete(String),
    #[prost(string, tag = "6")]
    Patch(String),
    #[prost(message, tag = "8")]
    Custom(CustomPattern),
}

impl Pattern {
    /// Returns the verb, and the path template.
    pub(super) fn verb_and_path(&self) -> (&str, &str) {
        match self {
            Self::Get(path) => ("GET", path),
            Self::Put(path) => ("PUT", path),
            Self::Post(path) => ("POST", path),
            Self::Delete(path) => ("DELETE", path),
            Self::Patch(path) => ("PATCH", path),
            Self::Custom(custom) => (&custom.kind, &custom.path),
        }
    }
}

/// `google.api.CustomHttpPattern`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct CustomPattern {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "2")]
    pub path: String,
}

/// `google.protobuf.SourceCodeInfo`.
#[derive(Clone, PartialEq, Message)]
pub struct SourceCodeInfo {
    #[prost(message, repeated, tag = "1")]
    pub location: Vec<Location>,
}

/// `google.protobuf.SourceCodeInfo.Location`, of which only comments are kept.
#[derive(Clone, PartialEq, Message)]
pub struct Location {
    #[prost(int32, repeated, tag = "1")]
    pub path: Vec<i32>,
    #[prost(string, tag = "3")]
    pub leading_comments: String,
    #[prost(string, tag = "4")]
    pub trailing_comments: String,
}
