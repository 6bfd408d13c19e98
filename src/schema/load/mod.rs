//! Builds a [`Pool`] out of encoded descriptor sets, and refuses what would be ambiguous later.
//!
//! A file that was loaded before is skipped: descriptor sets carry their imports, and every one of them brings
//! `google/protobuf/timestamp.proto` along. Two different files of one name are versions of each other where they define
//! the same symbols: what either of them has is known, in whatever order they come, and where they contradict each other
//! nothing is loaded. A symbol that is defined by files of two names is an error naming both.
//!
//! - `declare`: every name that the files define. `message`, `service`, `extension`: what the names refer to.
//! - `scope`: where an element is, for its name, its features and its comment.
//! - `version`: one symbol of two files: whether they agree, and what both of them say.

mod declare;
mod extension;
mod message;
mod scope;
mod service;
mod version;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use prost::Message as _;

use self::{declare::Home, scope::Scope};
use super::{
    descriptor::{Pool, Symbol},
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
/// The way out for a set that refers to what is in no set.
const IMPORTS: &str = "make the set with what it imports: protoc has --include_imports for that, buf build does so without \
                       --exclude-imports";

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
    /// Versions of each file, as positions in `pending`.
    files: HashMap<String, Vec<usize>>,
    /// Which file defined a symbol first, for the error that names both.
    homes: HashMap<Arc<str>, Home>,
    /// Sets whose version of a symbol is in the pool, for the error that names them.
    linked: HashMap<Arc<str>, Vec<String>>,
    pending: Vec<PendingFile>,
}

/// A file whose symbols are declared and whose references are still names.
struct PendingFile {
    set: String,
    label: String,
    features: Resolved,
    file: proto::File,
    comments: HashMap<Vec<i32>, Arc<str>>,
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
            self.declare_file(set, file)?;
        }
        Ok(())
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
                self.link_enum(&scope, enumeration, &[5, position(i)])?;
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

fn index(position: usize) -> u32 {
    u32::try_from(position).expect("SYMBOLS_MAX keeps arenas below u32::MAX")
}

fn position(i: usize) -> i32 {
    i32::try_from(i).expect("SYMBOLS_MAX and the size of a set keep positions below i32::MAX")
}

#[cfg(test)]
mod tests;
