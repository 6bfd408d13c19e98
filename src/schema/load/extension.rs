//! What can be linked only once all messages are there: extensions, and fields that are maps.

use super::{IMPORTS, LoadError, Loader, qualified, scope::Scope};
use crate::schema::{
    descriptor::{Cardinality, Kind, Symbol},
    proto,
};

impl Loader {
    pub(super) fn link_nested_extensions(
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
    pub(super) fn link_extensions(
        &mut self,
        scope: &Scope<'_>,
        extensions: &[proto::FieldType],
    ) -> Result<(), LoadError> {
        for extension in extensions {
            let Some(Symbol::Message(id)) = self.resolve(&scope.name, &extension.extendee) else {
                return Err(
                    scope.error(&format!("extension {} extends nothing known; {IMPORTS}", extension.name))
                );
            };
            let mut field = self.link_field(scope, extension, &[])?;
            field.name = format!("[{}]", qualified(&scope.name, &extension.name));
            field.json_name.clone_from(&field.name);
            self.settle_extension(scope, id, field)?;
        }
        Ok(())
    }

    /// Turns repeated fields of map entry types into map fields, now that all entry types are known. Neither they nor
    /// the values inside are ever delimited, whatever the features of an edition say.
    pub(super) fn resolve_maps(&mut self) {
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
