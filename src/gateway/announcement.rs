//! The event of a mutation that is done when its answer comes: what the method's rule says it tells.
//!
//! It is written in the commit of the outcome, so it is there exactly when the outcome is: not for a call that failed, not
//! for one whose fate is unknown, and not again when an answer is repeated for its Idempotency-Key. What a gateway that died
//! before this commit had done is told by [`super::Aftermath`].

use std::sync::Arc;

use serde_json::{Value, json};

use super::naming::Naming;
use crate::{
    error::{Error, Result},
    model::{Entry, WebhookEvent},
    schema::{Method, Tells},
    store::Store,
    transcode::{JsonOptions, Plan, Selection, Transcoder},
    webhooks::event_type::EventType,
};

/// Bytes of a resource's JSON that go into an event; a larger one is left out.
const RESOURCE_BYTES_MAX: usize = 64 * 1024;

/// What a method tells.
#[derive(Debug)]
pub(super) struct Announcement {
    kind: &'static str,
    naming: Arc<Naming>,
    response: Plan,
    keepable: Selection,
}

/// Finds the type of an event that a rule names.
pub(super) fn find(tells: &Tells) -> Option<&'static EventType> {
    EventType::of_rules().find(|known| known.name == tells.event)
}

impl Announcement {
    /// Works out what a method tells; `None` where no rule speaks.
    ///
    /// # Errors
    /// The rule names an event that no rule can, which [`super::unservable()`] has said before.
    pub(super) fn of(
        transcoder: &Transcoder,
        method: &Method,
        naming: &Arc<Naming>,
    ) -> Result<Option<Arc<Self>>> {
        let Some(tells) = &method.tells else { return Ok(None) };
        let known = find(tells).ok_or_else(|| {
            Error::internal(format!("{}: tells {:?}, which no rule can", tells.place, tells.event))
        })?;
        let response = transcoder.plan(method.output);
        Ok(Some(Arc::new(Self {
            kind: known.name,
            naming: naming.clone(),
            keepable: response.keepable(&tells.secret_fields),
            response,
        })))
    }

    /// Makes the event of a call that succeeded; `None` for one that belongs to no project.
    pub(super) fn event(&self, store: &Store, entry: &Entry, reply: &[u8]) -> Option<WebhookEvent> {
        let project = entry.project().strip_prefix("projects/")?;
        let mut data = json!({
            "upstream": entry.upstream,
            "resourceName": self.name(entry.resource(), reply),
        });
        if let Some(resource) = self.resource(reply) {
            data["resource"] = resource;
        }
        let mut event = store.new_event(project, self.kind, data.to_string());
        event.upstream.clone_from(&entry.upstream);
        Some(event)
    }

    /// Names the resource as callers know it: what was asked for, and for what was asked of its parent, the end of what the
    /// upstream answers. It may call the project by its number.
    fn name(&self, asked: &str, reply: &[u8]) -> String {
        self.naming.created(asked, reply).unwrap_or_else(|| asked.to_owned())
    }

    /// Prints the resource without what is secret; `None` where the answer holds none.
    fn resource(&self, reply: &[u8]) -> Option<Value> {
        let options = JsonOptions { selection: Some(&self.keepable), ..JsonOptions::default() };
        let mut json = Vec::new();
        self.response.to_json(reply, &options, &mut json).ok()?;
        let is_kept = !reply.is_empty() && json.len() <= RESOURCE_BYTES_MAX;
        is_kept.then(|| serde_json::from_slice(&json).ok()).flatten()
    }
}
