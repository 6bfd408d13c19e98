//! Descriptors as one flat arena: messages, enums and services of all loaded files, addressed by small ids.
//!
//! A [`Pool`] is built once at start from the embedded set and the configured ones. References are checked here, so
//! that later code may index without asking. Comments stay encoded until somebody wants them (the OpenAPI document).

use std::{collections::HashMap, fmt, sync::Arc};

use super::proto::{HttpRule, OperationInfo, ResourceType};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub(crate) u32);

        impl $name {
            /// Returns the position in the pool's arena.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// A message type of the pool.
    MessageId;
    /// An enum type of the pool.
    EnumId;
    /// A service of the pool.
    ServiceId;
}

/// All known types and services.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    pub(super) messages: Vec<Message>,
    pub(super) enums: Vec<Enum>,
    pub(super) services: Vec<Service>,
    pub(super) symbols: HashMap<Arc<str>, Symbol>,
    pub(super) version: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Symbol {
    Message(MessageId),
    Enum(EnumId),
    Service(ServiceId),
}

/// A message type.
#[derive(Clone, Debug)]
pub struct Message {
    /// Fully qualified name without a leading dot.
    pub full_name: Arc<str>,
    /// Fields in declaration order, then the extensions of other files.
    pub fields: Vec<Field>,
    /// Names of the real oneofs; the synthetic ones of `optional` are left out.
    pub oneofs: Vec<String>,
    /// Whether this is the entry type of a map field.
    pub map_entry: bool,
    /// The `google.api.resource` annotation.
    pub resource: Option<ResourceType>,
    /// Leading comment, trimmed.
    pub comment: Comment,
}

/// One field of a message.
#[derive(Clone, Debug)]
pub struct Field {
    /// Name in the `.proto` file; `[full.name]` for an extension.
    pub name: String,
    /// Name in JSON.
    pub json_name: String,
    /// Field number, 1 to 2^29 - 1.
    pub number: u32,
    /// Type of one value.
    pub kind: Kind,
    /// How many values, and how absence is told.
    pub cardinality: Cardinality,
    /// Index into [`Message::oneofs`].
    pub oneof: Option<u32>,
    /// Whether strings must be UTF-8. JSON is always UTF-8, so `false` changes nothing but is kept as a fact.
    pub utf8: bool,
    /// Whether a repeated scalar is written packed.
    pub packed: bool,
    /// The proto2 default, in the text form of descriptor.proto.
    pub default: Option<String>,
    /// `google.api.field_behavior`.
    pub behavior: Vec<Behavior>,
    /// `google.api.resource_reference`: the resource type, or `child:` and the child type.
    pub reference: Option<String>,
    /// Marked `deprecated = true`.
    pub deprecated: bool,
    /// Leading comment, trimmed.
    pub comment: Comment,
}

/// How many values a field has, and how absence is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// One value; zero means absent (proto3 without `optional`).
    Implicit,
    /// One value; absence is told apart from zero.
    Explicit,
    /// One value that must be there (proto2).
    Required,
    /// A list.
    Repeated,
    /// A list of entries of this map entry type.
    Map(MessageId),
}

/// The type of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of descriptor.proto")]
pub enum Kind {
    Double,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    /// Delimited by group tags on the wire.
    Group(MessageId),
    Message(MessageId),
    Bytes,
    Uint32,
    Enum(EnumId),
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
}

/// `google.api.FieldBehavior`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of field_behavior.proto")]
pub enum Behavior {
    Optional,
    Required,
    OutputOnly,
    InputOnly,
    Immutable,
    UnorderedList,
    NonEmptyDefault,
    Identifier,
}

/// An enum type.
#[derive(Clone, Debug)]
pub struct Enum {
    /// Fully qualified name without a leading dot.
    pub full_name: Arc<str>,
    /// Values in declaration order; the first is the default.
    pub values: Vec<Value>,
    /// Whether numbers outside the enum are refused on the wire (proto2).
    pub closed: bool,
    /// Leading comment, trimmed.
    pub comment: Comment,
}

/// One value of an enum.
#[derive(Clone, Debug)]
pub struct Value {
    /// Name, e.g. `SSL_MODE_UNSPECIFIED`.
    pub name: String,
    /// Number.
    pub number: i32,
    /// Marked `deprecated = true`.
    pub deprecated: bool,
    /// Leading comment, trimmed.
    pub comment: Comment,
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Fully qualified name without a leading dot.
    pub full_name: Arc<str>,
    /// Methods in declaration order.
    pub methods: Vec<Rpc>,
    /// `google.api.default_host`, empty if absent.
    pub default_host: String,
    /// `google.api.oauth_scopes`.
    pub oauth_scopes: Vec<String>,
    /// Leading comment, trimmed.
    pub comment: Comment,
}

/// One rpc of a service.
#[derive(Clone, Debug)]
pub struct Rpc {
    /// Name, e.g. `GetConnection`.
    pub name: String,
    /// Request type.
    pub input: MessageId,
    /// Response type.
    pub output: MessageId,
    /// Takes a stream.
    pub client_streaming: bool,
    /// Answers with a stream.
    pub server_streaming: bool,
    /// `google.api.http`.
    pub http: Option<HttpRule>,
    /// `google.longrunning.operation_info`.
    pub operation_info: Option<OperationInfo>,
    /// `idempotency_level = NO_SIDE_EFFECTS`.
    pub no_side_effects: bool,
    /// Marked `deprecated = true`.
    pub deprecated: bool,
    /// Leading comment, trimmed.
    pub comment: Comment,
}

/// What was written above an element; empty when the set came without source info.
pub type Comment = Option<Arc<str>>;

impl Pool {
    /// Returns what tells it from pools of other descriptors; the same in every process of this version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns a message type.
    pub fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.index()]
    }

    /// Returns an enum type.
    pub fn enumeration(&self, id: EnumId) -> &Enum {
        &self.enums[id.index()]
    }

    /// Returns a service.
    pub fn service(&self, id: ServiceId) -> &Service {
        &self.services[id.index()]
    }

    /// Returns all message types with their ids.
    pub fn messages(&self) -> impl Iterator<Item = (MessageId, &Message)> {
        (0..).map(MessageId).zip(&self.messages)
    }

    /// Returns all enum types with their ids.
    pub fn enums(&self) -> impl Iterator<Item = (EnumId, &Enum)> {
        (0..).map(EnumId).zip(&self.enums)
    }

    /// Returns all services with their ids.
    pub fn services(&self) -> impl Iterator<Item = (ServiceId, &Service)> {
        (0..).map(ServiceId).zip(&self.services)
    }

    /// Finds a message type by its full name, without a leading dot.
    pub fn find_message(&self, full_name: &str) -> Option<MessageId> {
        match self.symbols.get(full_name) {
            Some(Symbol::Message(id)) => Some(*id),
            _ => None,
        }
    }

    /// Finds a service by its full name, without a leading dot.
    pub fn find_service(&self, full_name: &str) -> Option<ServiceId> {
        match self.symbols.get(full_name) {
            Some(Symbol::Service(id)) => Some(*id),
            _ => None,
        }
    }
}

impl Message {
    /// Finds a field by either of its names.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name || field.json_name == name)
    }
}

impl Field {
    /// Whether the field holds a list or a map.
    pub fn is_repeated(&self) -> bool {
        matches!(self.cardinality, Cardinality::Repeated | Cardinality::Map(_))
    }

    /// Whether the field is marked with `behavior`.
    pub fn is(&self, behavior: Behavior) -> bool {
        self.behavior.contains(&behavior)
    }
}

impl Kind {
    /// Returns the message type of a message or group field.
    pub fn message(self) -> Option<MessageId> {
        match self {
            Self::Message(id) | Self::Group(id) => Some(id),
            _ => None,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full_name)
    }
}
