//! Events: what happened. Whoever makes something happen writes its event in the same transaction.

use jiff::Timestamp;

use super::{Store, both, instance::time_ordered_id};
use crate::{error::Result, model::Event};

/// What to list.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// Id of the project.
    pub project: String,
    /// A type, or the first part of some with `*` at the end; empty for all.
    pub kind: String,
    /// The first instant that counts.
    pub since: Timestamp,
    /// Time and id of the event before which to go on.
    pub before: (Timestamp, String),
    /// How many at most.
    pub limit: i64,
}

impl Store {
    /// Makes an event that is not yet written. `data` is a JSON object.
    pub fn new_event(&self, project: &str, kind: &str, data: String) -> Event {
        let now = self.now();
        let id = time_ordered_id(now).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Event { id: format!("evt_{id}"), project: project.to_owned(), kind: kind.to_owned(), time: now, data }
    }

    /// Writes events that belong to no other change.
    ///
    /// # Errors
    /// The database is away.
    pub async fn insert_events(&self, events: &[Event]) -> Result<()> {
        both!(self, events::insert_all(events))
    }

    /// Finds an event.
    ///
    /// # Errors
    /// The database is away.
    pub async fn event(&self, project: &str, id: &str) -> Result<Option<Event>> {
        both!(self, events::get(project, id))
    }

    /// Lists events, the newest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<Event>> {
        both!(self, events::list(query))
    }

    /// Lists events of a project from behind a time and id on and before `end`, in that order.
    ///
    /// # Errors
    /// The database is away.
    pub async fn events_between(
        &self,
        project: &str,
        after: &(Timestamp, String),
        end: Timestamp,
        limit: i64,
    ) -> Result<Vec<Event>> {
        let after = (after.0.as_microsecond(), after.1.as_str());
        both!(self, events::between(project, after, end.as_microsecond(), limit))
    }

    /// Lists events of which no deliveries were made yet, the oldest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn undispatched_events(&self, limit: i64) -> Result<Vec<Event>> {
        both!(self, events::undispatched(limit))
    }

    /// Removes events older than `before` with all that came of them, at most `limit`; tells how many.
    ///
    /// # Errors
    /// The database is away.
    pub async fn expire_events(&self, before: Timestamp, limit: i64) -> Result<u64> {
        both!(self, events::expire(before.as_microsecond(), limit))
    }
}
