//! Events: what happened. Whoever makes something happen writes its event in the same transaction.

use jiff::Timestamp;

use super::{
    Store, both,
    instance::{derived_id, time_ordered_id},
};
use crate::{error::Result, model::WebhookEvent};

/// What the id of an event begins with where it is shown.
const PREFIX: &str = "evt_";

/// Shows the id of an event as its kept bytes are.
pub(super) fn event_id(bytes: &[u8]) -> String {
    bytes.iter().fold(PREFIX.to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Reads the id of an event back; what is no id is no event's bytes.
pub(super) fn event_key(id: &str) -> Vec<u8> {
    let digits = id.strip_prefix(PREFIX).unwrap_or_default().as_bytes();
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let byte = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?);
    digits.chunks(2).map(byte).collect::<Option<_>>().unwrap_or_default()
}

impl WebhookEvent {
    /// Gives an event of the past its time, and an id that follows from what it is about and a moment that belongs to that:
    /// whoever finds out the same makes the same event, and it is written once.
    #[must_use]
    pub fn found_out(mut self, time: Timestamp, moment: Timestamp, about: &[&[u8]]) -> Self {
        let id = derived_id(time_ordered_id(moment), about);
        (self.id, self.time) = (event_id(&id), time);
        self
    }
}

/// What to list.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// Id of the project.
    pub project: String,
    /// A type, or the first part of some with `*` at the end; empty for all.
    pub kind: String,
    /// The first instant that counts.
    pub since: Timestamp,
    /// Id of the event before which to go on; empty for the newest.
    pub before: String,
    /// How many at most.
    pub limit: i64,
}

impl Store {
    /// Makes an event that is not yet written. `data` is a JSON object.
    pub fn new_event(&self, project: &str, kind: &str, data: String) -> WebhookEvent {
        let now = self.now();
        WebhookEvent {
            id: event_id(&time_ordered_id(now)),
            project: project.to_owned(),
            kind: kind.to_owned(),
            time: now,
            data,
            upstream: String::new(),
            source: String::new(),
        }
    }

    /// Lists events of a family, such as `connection.`, that name a resource as what they are about, the latest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn events_about(
        &self,
        project: &str,
        family: &str,
        resource: &str,
        limit: i64,
    ) -> Result<Vec<WebhookEvent>> {
        let words = format!("\"resourceName\":{}", serde_json::Value::from(resource));
        let mut found = both!(self, webhook_events::with_words(project, family, &words, limit))?;
        found.retain(|event| event.data.contains(&words));
        Ok(found)
    }

    /// Writes events that belong to no other change.
    ///
    /// # Errors
    /// The database is away.
    pub async fn insert_events(&self, events: &[WebhookEvent]) -> Result<()> {
        both!(self, webhook_events::insert_all(events)).inspect(|()| self.tell())
    }

    /// Wakes whoever turns events into deliveries.
    pub(super) fn tell(&self) {
        self.0.told.notify_one();
    }

    /// Waits until this process has written events since this last returned. What other processes write, and what they
    /// left when they died, has to be looked for.
    pub async fn told(&self) {
        self.0.told.notified().await;
    }

    /// Finds an event.
    ///
    /// # Errors
    /// The database is away.
    pub async fn event(&self, project: &str, id: &str) -> Result<Option<WebhookEvent>> {
        both!(self, webhook_events::get(project, id))
    }

    /// Lists events, the newest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<WebhookEvent>> {
        both!(self, webhook_events::list(query))
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
    ) -> Result<Vec<WebhookEvent>> {
        let after = (after.0.as_microsecond(), after.1.as_str());
        both!(self, webhook_events::between(project, after, end.as_microsecond(), limit))
    }

    /// Lists events of which no deliveries were made yet, the oldest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn undispatched_events(&self, limit: i64) -> Result<Vec<WebhookEvent>> {
        both!(self, webhook_events::undispatched(limit))
    }

    /// Removes events older than `before` with all that came of them, at most `limit`; tells how many.
    ///
    /// # Errors
    /// The database is away.
    pub async fn expire_events(&self, before: Timestamp, limit: i64) -> Result<u64> {
        both!(self, webhook_events::expire(before.as_microsecond(), limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_goes_both_ways_and_what_is_none_is_nothing() {
        let bytes = time_ordered_id(Timestamp::UNIX_EPOCH);
        assert_eq!(event_key(&event_id(&bytes)), bytes);
        let event = |time: i64, about: &[u8]| {
            let (time, moment) = (Timestamp::from_second(time).unwrap(), Timestamp::from_second(7).unwrap());
            let event = WebhookEvent {
                id: String::new(),
                project: "p".into(),
                kind: "connection.created".into(),
                time,
                data: "{}".into(),
                upstream: String::new(),
                source: String::new(),
            };
            event.found_out(time, moment, &[about]).id
        };
        assert_eq!(event(8, b"a"), event(9, b"a"), "who finds it out later finds out the same");
        assert_ne!(event(8, b"a"), event(8, b"b"));
        assert_eq!(event_key(&event(8, b"a")).len(), 16);
        for wrong in ["", "evt_", "evt_0", "evt_0g", "0a", "evt_é0"] {
            assert!(event_key(wrong).is_empty(), "{wrong}");
        }
    }
}
