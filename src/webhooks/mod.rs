//! Webhooks: whoever wants to know is told, at least once, signed, for days if need be.
//!
//! - *WebhookEvent*: something happened; written in the transaction that made it happen. *Delivery*: one event for one endpoint.
//!   *Attempt*: one try.
//! - [`Endpoints`]: what the owner of an endpoint does with it. [`Draft`]: what he asks for, not yet judged.
//! - [`Courier`]: the ticks. It turns events into deliveries, leases deliveries that are due and makes attempts. [`Window`]s
//!   keep a slow endpoint from delaying the others. `settler`: writes what came of them, many in one commit, and disables
//!   who failed for too long.
//! - `message`, `body`: what is sent. `verdict`, `ladder`: what an answer means, and when to try again.
//! - [`Secret`], [`Secrets`]: signing as Standard Webhooks has it. [`event_type`]: the catalogue.
//!
//! What holds: an event is dispatched or it stands as undispatched, whoever dies when; `webhook-id` is the event's id over
//! all attempts; a delivery is leased to one replica at a time, and what comes of an attempt is written only under the
//! lease that it was made under; an address is judged at each attempt; what cannot succeed does not climb the ladder.
//!
//! It deliberately does not know what events are about, promises no order, and never opens a transaction around an
//! attempt.

mod body;
mod courier;
mod directory;
mod draft;
mod endpoints;
pub mod event_type;
mod headers;
mod keeper;
mod ladder;
mod message;
mod settler;
mod signature;
mod verdict;
mod window;

pub use self::{
    courier::{Courier, Round},
    draft::Draft,
    endpoints::{ENDPOINTS_MAX, Endpoints, OVERLAP_DEFAULT, OVERLAP_MAX, REPLAY_WINDOW_MAX},
    headers::Headers,
    keeper::Keeper,
    message::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP},
    signature::{Secret, Secrets},
    window::Window,
};

#[cfg(test)]
mod tests;
