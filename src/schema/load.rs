//! Builds a [`Pool`] out of encoded descriptor sets, and refuses what would be ambiguous later.
//!
//! A file whose name was loaded before is skipped: descriptor sets carry their imports, and every one of them brings
//! `google/protobuf/timestamp.proto` along. Another file that defines a known symbol again is an error naming both.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use prost::Message as _;

use super::{
    descriptor::{
        Behavior, Cardinality, Comment, Enum, EnumId, Field, Kind, Message, MessageId, Pool, Rpc, Service,
        ServiceId, Symbol, Value,
    },
    features::Resolved,
    proto,
};

/// Bytes of one descriptor set. A larger one is a mistake in the configuration.
pub const DESCRIPTOR_SET_BYTES_MAX: usize = 64 << 20;
/// Messages, enums and services together.
const SYMBOLS_MAX: usize = 1 << 20;
/// Nesting of message declarations.
const NESTING_MAX: usize = 64;
/// Fields of one message, extensions included.
const MESSAGE_FIELDS_MAX: usize = 1 << 14;
/// Largest field number of the wire format.
const FIELD_NUMBER_MAX: u32 = (1 << 29) - 1;

/// A descriptor set that cannot be used, in words that name the set, the file and the element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError(pub String);

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LoadError {}

impl Pool {
    /// Builds a pool from encoded `google.protobuf.FileDescriptorSet`s, each with the name it is known by to the
    /// reader of an error (a file path, or `embedded`).
    ///
    /// # Errors
    /// A set that does not decode, an unsupported edition, a symbol defined twice, a reference to nothing.
    pub fn load(sets: &[(&str, &[u8])]) -> Result<Self, LoadError> {
        let mut loader = Loader::default();
        let mut version = DefaultHasher::new();
        for (name, bytes) in sets {
            loader.add_set(name, bytes)?;
            bytes.hash(&mut version);
        }
        let pool = loader.link()?;
        Ok(Pool { version: version.finish(), ..pool })
    }
}

#[derive(Default)]
struct Loader {
    pool: Pool,
    files: HashSet<String>,
    /// Which file defined a symbol, for the error that names both.
    homes: HashMap<Arc<str>, String>,
    pending: Vec<PendingFile>,
}

/// A file whose symbols are declared and whose references are still names.
struct PendingFile {
    label: String,
    features: Resolved,
    file: proto::File,
    comments: HashMap<Vec<i32>, Arc<str>>,
}

/// Where an element is: scope name, features in force, path for its comment.
struct Scope<'a> {
    file: &'a PendingFile,
    name: String,
    features: Resolved,
    path: Vec<i32>,
}

impl Loader {
    fn add_set(&mut self, set: &str, bytes: &[u8]) -> Result<(), LoadError> {
        if bytes.len() > DESCRIPTOR_SET_BYTES_MAX {
            return Err(LoadError(format!("{set}: larger than {DESCRIPTOR_SET_BYTES_MAX} bytes")));
        }
        let decoded = proto::FileSet::decode(bytes).map_err(|error| {
            LoadError(format!(
                "{set}: not a FileDescriptorSet ({error}); make one with `protoc --include_imports --descriptor_set_out` or `buf build -o x.binpb`"
            ))
        })?;
        for file in decoded.file {
            if self.files.insert(file.name.clone()) {
                self.declare_file(set, file)?;
            }
        }
        Ok(())
    }

    fn declare_file(&mut self, set: &str, mut file: proto::File) -> Result<(), LoadError> {
        let label = format!("{set}: {}", file.name);
        let features = Resolved::of_file(&file).map_err(|why| LoadError(format!("{label}: {why}")))?;
        let comments = comments(file.source_code_info.take());
        for message in &file.message_type {
            self.declare_message(&label, &file.package, message, 0)?;
        }
        for enumeration in &file.enum_type {
            self.declare(&label, &file.package, &enumeration.name, Declared::Enum)?;
        }
        for service in &file.service {
            self.declare(&label, &file.package, &service.name, Declared::Service)?;
        }
        self.pending.push(PendingFile { label, features, file, comments });
        Ok(())
    }

    fn declare_message(
        &mut self,
        label: &str,
        scope: &str,
        message: &proto::MessageType,
        depth: usize,
    ) -> Result<(), LoadError> {
        if depth > NESTING_MAX {
            return Err(LoadError(format!("{label}: messages nested deeper than {NESTING_MAX}")));
        }
        let name = self.declare(label, scope, &message.name, Declared::Message)?;
        for nested in &message.nested_type {
            self.declare_message(label, &name, nested, depth + 1)?;
        }
        for enumeration in &message.enum_type {
            self.declare(label, &name, &enumeration.name, Declared::Enum)?;
        }
        Ok(())
    }

    fn declare(
        &mut self,
        label: &str,
        scope: &str,
        name: &str,
        what: Declared,
    ) -> Result<Arc<str>, LoadError> {
        let full_name: Arc<str> = qualified(scope, name).into();
        if self.pool.symbols.len() >= SYMBOLS_MAX {
            return Err(LoadError(format!("{label}: more than {SYMBOLS_MAX} types")));
        }
        if let Some(home) = self.homes.insert(Arc::clone(&full_name), label.to_owned()) {
            return Err(LoadError(format!(
                "{full_name} is defined by {home} and again by {label}; remove one of the two files"
            )));
        }
        let symbol = match what {
            Declared::Message => {
                self.pool.messages.push(Message {
                    full_name: Arc::clone(&full_name),
                    fields: Vec::new(),
                    oneofs: Vec::new(),
                    map_entry: false,
                    resource: None,
                    comment: None,
                });
                Symbol::Message(MessageId(index(self.pool.messages.len() - 1)))
            }
            Declared::Enum => {
                self.pool.enums.push(Enum {
                    full_name: Arc::clone(&full_name),
                    values: Vec::new(),
                    closed: false,
                    comment: None,
                });
                Symbol::Enum(EnumId(index(self.pool.enums.len() - 1)))
            }
            Declared::Service => {
                self.pool.services.push(Service {
                    full_name: Arc::clone(&full_name),
                    methods: Vec::new(),
                    default_host: String::new(),
                    oauth_scopes: Vec::new(),
                    comment: None,
                });
                Symbol::Service(ServiceId(index(self.pool.services.len() - 1)))
            }
        };
        self.pool.symbols.insert(Arc::clone(&full_name), symbol);
        Ok(full_name)
    }

    fn link(mut self) -> Result<Pool, LoadError> {
        let files = std::mem::take(&mut self.pending);
        // Enums first: a field's features depend on nothing else, but map entries are looked up by fields.
        for file in &files {
            let scope =
                Scope { file, name: file.file.package.clone(), features: file.features, path: Vec::new() };
            for (i, message) in file.file.message_type.iter().enumerate() {
                self.link_message(&scope, message, &[4, position(i)])?;
            }
            for (i, enumeration) in file.file.enum_type.iter().enumerate() {
                self.link_enum(&scope, enumeration, &[5, position(i)]);
            }
        }
        for file in &files {
            let scope =
                Scope { file, name: file.file.package.clone(), features: file.features, path: Vec::new() };
            for (i, service) in file.file.service.iter().enumerate() {
                self.link_service(&scope, service, &[6, position(i)])?;
            }
            self.link_extensions(&scope, &file.file.extension)?;
            for message in &file.file.message_type {
                self.link_nested_extensions(&scope, message)?;
            }
        }
        self.resolve_maps();
        Ok(self.pool)
    }

    fn link_message(
        &mut self,
        outer: &Scope<'_>,
        message: &proto::MessageType,
        path: &[i32],
    ) -> Result<(), LoadError> {
        let options = message.options.clone().unwrap_or_default();
        let scope = outer.inner(&message.name, options.features, path);
        if message.field.len() > MESSAGE_FIELDS_MAX {
            return Err(scope.error(&format!("more than {MESSAGE_FIELDS_MAX} fields")));
        }
        let mut oneofs = Vec::new();
        let mut oneof_of = vec![None; message.oneof_decl.len()];
        for (i, oneof) in message.oneof_decl.iter().enumerate() {
            let mut members =
                message.field.iter().filter(|field| field.oneof_index == Some(position(i))).peekable();
            if members.peek().is_some() && !members.all(|field| field.proto3_optional) {
                oneof_of[i] = Some(index(oneofs.len()));
                oneofs.push(oneof.name.clone());
            }
        }
        let mut fields = Vec::with_capacity(message.field.len());
        let mut numbers = HashSet::new();
        let mut names: HashMap<String, String> = HashMap::new();
        for (i, field) in message.field.iter().enumerate() {
            let mut linked = self.link_field(&scope, field, &[2, position(i)])?;
            linked.oneof = field
                .oneof_index
                .and_then(|at| usize::try_from(at).ok())
                .and_then(|at| oneof_of.get(at).copied().flatten());
            if !numbers.insert(linked.number) {
                return Err(scope.error(&format!("field number {} is used twice", linked.number)));
            }
            for name in [&linked.name, &linked.json_name] {
                if let Some(other) = names.insert(name.clone(), linked.name.clone())
                    && other != linked.name
                {
                    return Err(
                        scope.error(&format!("fields {other} and {} share the name {name}", linked.name))
                    );
                }
            }
            fields.push(linked);
        }
        let comment = scope.comment(&[]);
        let id = self.pool.find_message(&scope.name).ok_or_else(|| scope.error("was not declared"))?;
        let home = &mut self.pool.messages[id.index()];
        home.fields = fields;
        home.oneofs = oneofs;
        home.map_entry = options.map_entry;
        home.resource = options.resource;
        home.comment = comment;
        for (i, nested) in message.nested_type.iter().enumerate() {
            self.link_message(&scope, nested, &[3, position(i)])?;
        }
        for (i, enumeration) in message.enum_type.iter().enumerate() {
            self.link_enum(&scope, enumeration, &[4, position(i)]);
        }
        Ok(())
    }

    fn link_field(
        &self,
        scope: &Scope<'_>,
        field: &proto::FieldType,
        path: &[i32],
    ) -> Result<Field, LoadError> {
        let options = field.options.clone().unwrap_or_default();
        let features = scope.features.overridden(options.features);
        let fail = |why: &str| scope.error(&format!("field {}: {why}", field.name));
        let number = u32::try_from(field.number)
            .ok()
            .filter(|n| (1..=FIELD_NUMBER_MAX).contains(n))
            .ok_or_else(|| fail("number out of range"))?;
        let kind = self.kind(scope, field, features)?;
        let cardinality = match field.label {
            3 => Cardinality::Repeated,
            2 => Cardinality::Required,
            _ if features.required() => Cardinality::Required,
            _ if field.proto3_optional || field.oneof_index.is_some() || kind.message().is_some() => {
                Cardinality::Explicit
            }
            _ if features.implicit_presence() => Cardinality::Implicit,
            _ => Cardinality::Explicit,
        };
        let packable = !matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Group(_));
        Ok(Field {
            json_name: field.json_name.clone().unwrap_or_else(|| lower_camel(&field.name)),
            name: field.name.clone(),
            number,
            kind,
            cardinality,
            oneof: None,
            utf8: true,
            packed: packable && options.packed.unwrap_or(features.packed()),
            default: field.default_value.clone(),
            behavior: options.field_behavior.iter().copied().filter_map(behavior).collect(),
            reference: options.resource_reference.map(|reference| match reference.child_type {
                child if !child.is_empty() => format!("child:{child}"),
                _ => reference.r#type,
            }),
            deprecated: options.deprecated,
            comment: scope.comment(path),
        })
    }

    fn kind(
        &self,
        scope: &Scope<'_>,
        field: &proto::FieldType,
        features: Resolved,
    ) -> Result<Kind, LoadError> {
        let fail = |why: String| scope.error(&format!("field {}: {why}", field.name));
        let symbol = || {
            self.resolve(&scope.name, &field.type_name).ok_or_else(|| {
                fail(format!("type {} is in none of the loaded files", display_type(&field.type_name)))
            })
        };
        Ok(match field.r#type {
            1 => Kind::Double,
            2 => Kind::Float,
            3 => Kind::Int64,
            4 => Kind::Uint64,
            5 => Kind::Int32,
            6 => Kind::Fixed64,
            7 => Kind::Fixed32,
            8 => Kind::Bool,
            9 => Kind::String,
            12 => Kind::Bytes,
            13 => Kind::Uint32,
            15 => Kind::Sfixed32,
            16 => Kind::Sfixed64,
            17 => Kind::Sint32,
            18 => Kind::Sint64,
            kind @ (0 | 10 | 11 | 14) => match (symbol()?, kind) {
                (Symbol::Enum(id), 0 | 14) => Kind::Enum(id),
                (Symbol::Message(id), 10) => Kind::Group(id),
                (Symbol::Message(id), 0 | 11) if features.delimited() => Kind::Group(id),
                (Symbol::Message(id), 0 | 11) => Kind::Message(id),
                _ => return Err(fail(format!("{} is of another kind", display_type(&field.type_name)))),
            },
            other => return Err(fail(format!("unknown field type {other}"))),
        })
    }

    /// Resolves a type name: absolute with a leading dot, else from the innermost scope outwards.
    fn resolve(&self, scope: &str, name: &str) -> Option<Symbol> {
        if let Some(absolute) = name.strip_prefix('.') {
            return self.pool.symbols.get(absolute).copied();
        }
        let mut scope = scope;
        loop {
            if let Some(symbol) = self.pool.symbols.get(qualified(scope, name).as_str()) {
                return Some(*symbol);
            }
            if scope.is_empty() {
                return None;
            }
            scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
    }

    fn link_enum(&mut self, outer: &Scope<'_>, enumeration: &proto::EnumType, path: &[i32]) {
        let scope = outer.inner(&enumeration.name, enumeration.options.and_then(|o| o.features), path);
        let Some(Symbol::Enum(id)) = self.pool.symbols.get(scope.name.as_str()).copied() else { return };
        let values = enumeration.value.iter().enumerate().map(|(i, value)| Value {
            name: value.name.clone(),
            number: value.number,
            deprecated: value.options.is_some_and(|options| options.deprecated),
            comment: scope.comment(&[2, position(i)]),
        });
        let home = &mut self.pool.enums[id.index()];
        home.values = values.collect();
        home.closed = scope.features.closed_enum();
        home.comment = scope.comment(&[]);
    }

    fn link_service(
        &mut self,
        outer: &Scope<'_>,
        service: &proto::ServiceType,
        path: &[i32],
    ) -> Result<(), LoadError> {
        let scope = outer.inner(&service.name, None, path);
        let options = service.options.clone().unwrap_or_default();
        let mut methods = Vec::with_capacity(service.method.len());
        for (i, method) in service.method.iter().enumerate() {
            methods.push(self.link_rpc(&scope, method, &[2, position(i)])?);
        }
        let id = self.pool.find_service(&scope.name).ok_or_else(|| scope.error("was not declared"))?;
        let home = &mut self.pool.services[id.index()];
        home.methods = methods;
        home.default_host = options.default_host;
        home.oauth_scopes = options
            .oauth_scopes
            .split(',')
            .map(str::trim)
            .filter(|s| !s.is_empty())
            .map(Into::into)
            .collect();
        home.comment = scope.comment(&[]);
        Ok(())
    }

    fn link_rpc(
        &self,
        scope: &Scope<'_>,
        method: &proto::MethodType,
        path: &[i32],
    ) -> Result<Rpc, LoadError> {
        let message = |name: &str| match self.resolve(&scope.name, name) {
            Some(Symbol::Message(id)) => Ok(id),
            _ => Err(scope.error(&format!(
                "rpc {}: {} is not a known message",
                method.name,
                display_type(name)
            ))),
        };
        let options = method.options.clone().unwrap_or_default();
        Ok(Rpc {
            name: method.name.clone(),
            input: message(&method.input_type)?,
            output: message(&method.output_type)?,
            client_streaming: method.client_streaming,
            server_streaming: method.server_streaming,
            http: options.http.map(|rule| *rule),
            operation_info: options.operation_info,
            no_side_effects: options.idempotency_level == 1,
            deprecated: options.deprecated,
            comment: scope.comment(path),
        })
    }

    fn link_nested_extensions(
        &mut self,
        outer: &Scope<'_>,
        message: &proto::MessageType,
    ) -> Result<(), LoadError> {
        let features = message.options.as_ref().and_then(|options| options.features);
        let scope = outer.inner(&message.name, features, &[]);
        self.link_extensions(&scope, &message.extension)?;
        message.nested_type.iter().try_for_each(|nested| self.link_nested_extensions(&scope, nested))
    }

    /// Adds extension fields to the messages they extend, under the name JSON uses for them: `[full.name]`.
    fn link_extensions(
        &mut self,
        scope: &Scope<'_>,
        extensions: &[proto::FieldType],
    ) -> Result<(), LoadError> {
        for extension in extensions {
            let Some(Symbol::Message(id)) = self.resolve(&scope.name, &extension.extendee) else {
                return Err(scope.error(&format!("extension {} extends nothing known", extension.name)));
            };
            let mut field = self.link_field(scope, extension, &[])?;
            field.name = format!("[{}]", qualified(&scope.name, &extension.name));
            field.json_name.clone_from(&field.name);
            // Options of descriptor.proto are read by their numbers; as fields they would only be in the way.
            let home = &mut self.pool.messages[id.index()];
            if home.fields.len() < MESSAGE_FIELDS_MAX
                && home.fields.iter().all(|other| other.number != field.number)
            {
                home.fields.push(field);
            }
        }
        Ok(())
    }

    /// Turns repeated fields of map entry types into map fields, now that all entry types are known. Neither they nor
    /// the values inside are ever delimited, whatever the features of an edition say.
    fn resolve_maps(&mut self) {
        let entries: Vec<bool> = self.pool.messages.iter().map(|message| message.map_entry).collect();
        for message in &mut self.pool.messages {
            for field in &mut message.fields {
                let Some(id) = field.kind.message() else { continue };
                if message.map_entry {
                    field.kind = Kind::Message(id);
                }
                if field.cardinality == Cardinality::Repeated && entries[id.index()] {
                    field.kind = Kind::Message(id);
                    field.cardinality = Cardinality::Map(id);
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Declared {
    Message,
    Enum,
    Service,
}

impl Scope<'_> {
    fn inner(&self, name: &str, features: Option<proto::Features>, path: &[i32]) -> Self {
        let mut full = self.path.clone();
        full.extend_from_slice(path);
        Scope {
            file: self.file,
            name: qualified(&self.name, name),
            features: self.features.overridden(features),
            path: full,
        }
    }

    fn comment(&self, tail: &[i32]) -> Comment {
        let mut path = self.path.clone();
        path.extend_from_slice(tail);
        self.file.comments.get(&path).cloned()
    }

    fn error(&self, why: &str) -> LoadError {
        LoadError(format!("{}: {}: {why}", self.file.label, self.name))
    }
}

fn comments(info: Option<proto::SourceCodeInfo>) -> HashMap<Vec<i32>, Arc<str>> {
    info.unwrap_or_default()
        .location
        .into_iter()
        .filter_map(|location| {
            let text = match location.leading_comments.trim() {
                "" => location.trailing_comments.trim(),
                leading => leading,
            };
            let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
            (!text.is_empty()).then(|| (location.path, lines.join("\n").into()))
        })
        .collect()
}

fn qualified(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

fn display_type(name: &str) -> &str {
    name.strip_prefix('.').unwrap_or(name)
}

/// Turns `snake_case` into `lowerCamelCase` the way protoc does: the letter after an underscore is raised.
pub(crate) fn lower_camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut raise = false;
    for letter in name.chars() {
        if letter == '_' {
            raise = true;
        } else if raise {
            camel.push(letter.to_ascii_uppercase());
            raise = false;
        } else {
            camel.push(letter);
        }
    }
    camel
}

fn behavior(number: i32) -> Option<Behavior> {
    Some(match number {
        1 => Behavior::Optional,
        2 => Behavior::Required,
        3 => Behavior::OutputOnly,
        4 => Behavior::InputOnly,
        5 => Behavior::Immutable,
        6 => Behavior::UnorderedList,
        7 => Behavior::NonEmptyDefault,
        8 => Behavior::Identifier,
        _ => return None,
    })
}

fn index(position: usize) -> u32 {
    u32::try_from(position).expect("SYMBOLS_MAX keeps arenas below u32::MAX")
}

fn position(i: usize) -> i32 {
    i32::try_from(i).expect("SYMBOLS_MAX and the size of a set keep positions below i32::MAX")
}

#[cfg(test)]
mod tests;
