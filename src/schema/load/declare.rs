//! Names first: what a file defines, before anything refers to it.

use std::sync::Arc;

use super::{LoadError, Loader, NESTING_MAX, PendingFile, SYMBOLS_MAX, index, qualified, scope::comments};
use crate::schema::{
    descriptor::{Enum, EnumId, Message, MessageId, Service, ServiceId, Symbol},
    features::Resolved,
    proto,
};

#[derive(Clone, Copy)]
enum Declared {
    Message,
    Enum,
    Service,
}

impl Loader {
    /// Declares all that a file defines, and keeps it for linking.
    pub(super) fn declare_file(&mut self, set: &str, mut file: proto::File) -> Result<(), LoadError> {
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
}
