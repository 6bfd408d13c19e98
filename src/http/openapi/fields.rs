//! Paths of fields: what they lead through, and how JSON spells them.

use super::prose::lower_camel;
use crate::schema::{Cardinality, Field, MessageId, Pool};

/// Returns the fields that a path leads through, into the elements of lists and maps too; `None` if it leads nowhere.
pub(super) fn along<'p>(pool: &'p Pool, message: MessageId, path: &str) -> Option<Vec<&'p Field>> {
    let mut fields = Vec::new();
    let mut home = Some(message);
    for name in path.split('.') {
        let field = pool.message(home?).field(name)?;
        home = element(pool, field);
        fields.push(field);
    }
    Some(fields)
}

/// Spells a path as JSON does, whichever names it was written with.
pub(super) fn spelled(pool: &Pool, message: MessageId, path: &str) -> String {
    match along(pool, message, path) {
        Some(fields) => fields.iter().map(|field| &*field.json_name).collect::<Vec<_>>().join("."),
        None => lower_camel(path),
    }
}

/// Spells a path by original names, whichever it was written with.
pub(super) fn original(pool: &Pool, message: MessageId, path: &str) -> String {
    match along(pool, message, path) {
        Some(fields) => fields.iter().map(|field| &*field.name).collect::<Vec<_>>().join("."),
        None => path.to_owned(),
    }
}

/// Returns the message type of one value of a field.
fn element(pool: &Pool, field: &Field) -> Option<MessageId> {
    match field.cardinality {
        Cardinality::Map(entry) => pool.message(entry).field("value")?.kind.message(),
        _ => field.kind.message(),
    }
}
