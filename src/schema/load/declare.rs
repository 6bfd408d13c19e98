//! Names first: what a file defines, before anything refers to it.

use std::sync::Arc;

use super::{
    LoadError, Loader, NESTING_MAX, PendingFile, SYMBOLS_MAX, index, qualified, scope::comments,
    version::ONE_VERSION,
};
use crate::schema::{
    descriptor::{Enum, EnumId, Message, MessageId, Service, ServiceId, Symbol},
    features::Resolved,
    proto,
};

/// Where a symbol was defined first.
#[derive(Clone)]
pub(super) struct Home {
    /// Name of the file.
    file: String,
    /// The file with its set, for messages.
    label: String,
    /// Which of the loaded files it is: the last version that defined the symbol.
    version: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Declared {
    Message,
    Enum,
    Service,
}

impl Declared {
    fn name(self) -> &'static str {
        match self {
            Self::Message => "a message",
            Self::Enum => "an enum",
            Self::Service => "a service",
        }
    }

    fn of(symbol: Symbol) -> Self {
        match symbol {
            Symbol::Message(_) => Self::Message,
            Symbol::Enum(_) => Self::Enum,
            Symbol::Service(_) => Self::Service,
        }
    }
}

impl Loader {
    /// Declares all that a file defines, and keeps it for linking; not if it is there already.
    pub(super) fn declare_file(&mut self, set: &str, mut file: proto::File) -> Result<(), LoadError> {
        let comments = comments(file.source_code_info.take());
        let versions = self.files.entry(file.name.clone()).or_default();
        // A copy with comments adds them to one that was compiled without.
        let adds = |known: &PendingFile| known.comments.is_empty() && !comments.is_empty();
        if versions.iter().any(|&at| self.pending[at].file == file && !adds(&self.pending[at])) {
            return Ok(());
        }
        let version = self.pending.len();
        versions.push(version);
        let label = format!("{set}: {}", file.name);
        let features = Resolved::of_file(&file).map_err(|why| LoadError(format!("{label}: {why}")))?;
        let home = Home { file: file.name.clone(), label: label.clone(), version };
        for message in &file.message_type {
            self.declare_message(&home, &file.package, message, 0)?;
        }
        for enumeration in &file.enum_type {
            self.declare(&home, &file.package, &enumeration.name, Declared::Enum)?;
        }
        for service in &file.service {
            self.declare(&home, &file.package, &service.name, Declared::Service)?;
        }
        self.pending.push(PendingFile { set: set.to_owned(), label, features, file, comments });
        Ok(())
    }

    fn declare_message(
        &mut self,
        home: &Home,
        scope: &str,
        message: &proto::MessageType,
        depth: usize,
    ) -> Result<(), LoadError> {
        if depth > NESTING_MAX {
            return Err(LoadError(format!("{}: messages nested deeper than {NESTING_MAX}", home.label)));
        }
        let name = self.declare(home, scope, &message.name, Declared::Message)?;
        for nested in &message.nested_type {
            self.declare_message(home, &name, nested, depth + 1)?;
        }
        for enumeration in &message.enum_type {
            self.declare(home, &name, &enumeration.name, Declared::Enum)?;
        }
        Ok(())
    }

    fn declare(
        &mut self,
        home: &Home,
        scope: &str,
        name: &str,
        what: Declared,
    ) -> Result<Arc<str>, LoadError> {
        let full_name: Arc<str> = qualified(scope, name).into();
        let label = &home.label;
        let known = self.pool.symbols.get(&full_name).map(|symbol| Declared::of(*symbol));
        if let (Some(first), Some(known)) = (self.homes.get_mut(&full_name), known) {
            if first.file != home.file || first.version == home.version {
                return Err(LoadError(format!(
                    "{full_name} is defined by {} and again by {label}; remove one of the two files",
                    first.label
                )));
            }
            if known != what {
                return Err(LoadError(format!(
                    "{full_name} is {} in {} and {} in {label}; {ONE_VERSION}",
                    known.name(),
                    first.label,
                    what.name()
                )));
            }
            first.version = home.version;
            return Ok(full_name);
        }
        if self.pool.symbols.len() >= SYMBOLS_MAX {
            return Err(LoadError(format!("{label}: more than {SYMBOLS_MAX} types")));
        }
        self.homes.insert(Arc::clone(&full_name), home.clone());
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
}
