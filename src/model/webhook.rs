//! Event → delivery → attempt: something happened, somebody wants to know, we told them or tried to.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Something that happened. Never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEvent {
    /// Its id, which is also the `webhook-id` of every delivery: `evt_` and 32 hexadecimal digits that grow with time.
    pub id: String,
    /// Id of the project, without `projects/`.
    pub project: String,
    /// What happened, e.g. `operation.succeeded`.
    pub kind: String,
    /// When.
    pub time: Timestamp,
    /// What it is about: a JSON object.
    pub data: String,
    /// Key of the upstream that it is about; empty for none.
    pub upstream: String,
    /// Kind of the operation that it is about; empty for none.
    pub source: String,
}

/// Whether an endpoint is delivered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// It is.
    Enabled,
    /// It is not; nothing is queued for it.
    Disabled,
}

/// What the owner of an endpoint decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSettings {
    /// Where to.
    pub url: String,
    /// Words for people.
    pub description: String,
    /// Types of events, `operation.*` and `*` among them; empty for every type that is not opt-in.
    pub event_types: Vec<String>,
    /// Keys of upstreams whose events are wanted; empty for all.
    pub upstreams: Vec<String>,
    /// Kinds of operations whose events are wanted; empty for all.
    pub kinds: Vec<String>,
    /// Deliveries that begin in a second, over all replicas.
    pub rate: Option<u32>,
    /// Deliveries under way at once, over all replicas.
    pub concurrency: Option<u32>,
}

/// Somebody who wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Id of the project, without `projects/`.
    pub project: String,
    /// Its id, unique over all projects.
    pub id: String,
    /// Grows with each change.
    pub version: i64,
    /// What its owner decided.
    pub settings: EndpointSettings,
    /// Whether it is delivered to.
    pub state: EndpointState,
    /// Why not; empty while it is.
    pub disabled_reason: String,
    /// Headers of its owner's own, sealed.
    pub headers: Vec<u8>,
    /// The secrets that sign, sealed.
    pub secrets: Vec<u8>,
    /// Since when there has been nothing but failure.
    pub failing_since: Option<Timestamp>,
    /// Until when it asked to be left alone.
    pub paused_until: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// Another attempt is due or under way.
    Pending,
    /// It was accepted.
    Succeeded,
    /// Every attempt failed, and none is left.
    Exhausted,
    /// It cannot be delivered, and trying again would change nothing.
    Failed,
    /// Its endpoint was disabled before it was accepted.
    Cancelled,
}

impl DeliveryState {
    /// All of them, in the order of their numbers.
    const ALL: [Self; 5] = [Self::Pending, Self::Succeeded, Self::Exhausted, Self::Failed, Self::Cancelled];

    /// Returns the number that is stored.
    pub fn number(self) -> i16 {
        self as i16
    }

    /// Finds a state by its number.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Returns the name that callers read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Succeeded => "SUCCEEDED",
            Self::Exhausted => "EXHAUSTED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// Finds a state by its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// One event for one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Id of the endpoint.
    pub endpoint: String,
    /// Id of the event, and of the delivery.
    pub event: String,
    /// Type of the event.
    pub kind: String,
    /// How far it is.
    pub state: DeliveryState,
    /// When the next attempt is due, which is not while its endpoint is left alone; while one is under way, when it is given up
    /// for lost.
    pub due_at: Timestamp,
    /// Whether an attempt is under way.
    pub leased: bool,
    /// Attempts that were made.
    pub attempts: u32,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// HTTP status of the last attempt.
    pub last_status: Option<u16>,
    /// Class of the last attempt's failure; empty if it did not fail.
    pub last_error: String,
}

/// One try to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first; given by the store when it is written.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// HTTP status; `None` without an answer.
    pub status: Option<u16>,
    /// Class of the failure; empty for a success.
    pub error: String,
    /// The failure in words; empty for a success.
    pub detail: String,
    /// The first bytes of the answer.
    pub answer: Vec<u8>,
}

/// A wish to send the events of a time again to one endpoint. Outlives the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Its id.
    pub id: String,
    /// Id of the project.
    pub project: String,
    /// Id of the endpoint.
    pub endpoint: String,
    /// First instant.
    pub start: Timestamp,
    /// First instant that no longer counts.
    pub end: Timestamp,
    /// Whether deliveries that succeeded are left as they are.
    pub skip_succeeded: bool,
    /// Time and id of the last event that was looked at.
    pub cursor: (Timestamp, String),
    /// Deliveries queued so far.
    pub queued: u64,
    /// Whether there is nothing left to do.
    pub done: bool,
    /// Token of whoever works on it.
    pub fence: i64,
    /// When it was asked for.
    pub created_at: Timestamp,
}
