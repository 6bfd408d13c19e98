//! Events: what happened, in the transaction in which it happened.

use super::{Store, both};
use crate::{
    error::Result,
    model::{Event, EventKind, OperationId},
};

/// Reads an event from a row with the columns of [`COLUMNS`].
macro_rules! event {
    ($row:expr) => {{
        let row = $row;
        let (id, operation): (Vec<u8>, Vec<u8>) = (row.try_get(0)?, row.try_get(4)?);
        let (kind, source): (String, String) = (row.try_get(2)?, row.try_get(6)?);
        $crate::model::Event {
            id: $crate::store::operations::id_of(id)?.0,
            project: row.try_get(1)?,
            kind: $crate::store::events::kind_of(&kind)?,
            at: row.try_get(3)?,
            operation: $crate::store::operations::id_of(operation)?,
            version: row.try_get(5)?,
            source: $crate::store::operations::kind_of(&source)?,
            upstream: row.try_get(7)?,
            payload: row.try_get(8)?,
        }
    }};
}
pub(super) use event;

/// The columns, in the order that rows are read in.
pub(super) const COLUMNS: &str =
    "id, project, kind, occurred_at, operation, version, source, upstream, payload";

pub(super) fn kind_of(name: &str) -> sqlx::Result<EventKind> {
    EventKind::from_name(name)
        .ok_or_else(|| sqlx::Error::Decode("events: kind is none that this version knows".into()))
}

impl Store {
    /// Returns the events of an operation, oldest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn events_of(&self, operation: OperationId) -> Result<Vec<Event>> {
        both!(self, events::of_operation(operation))
    }
}
