//! The words of the domain as plain data: no input or output, no SQL, no HTTP.
//!
//! - [`Principal`]: who calls, how that was proved, and what [`Grant`]s follow from it. A [`Role`] is what a grant allows,
//!   a [`Pattern`] where.
//! - [`ApiKey`]: what is kept of a key. Its secret is not.
//! - [`Entry`] and [`Outcome`]: what the audit log keeps of a request, when it begins and when it has ended.
//! - [`Operation`]: what takes long, its [`State`], and what happened to it: [`Event`].
//! - [`WebhookEvent`], [`Endpoint`], [`Delivery`], [`Attempt`], [`Replay`]: what is pushed, where to, and how that went.
//!
//! Whoever needs behaviour has it elsewhere: who may do what is decided in `identity`, what is kept and how in `store`.

mod api_key;
mod audit;
mod operation;
mod principal;
mod webhook;

pub use api_key::ApiKey;
pub use audit::{Ending, Entry, Outcome};
pub use operation::{Event, EventKind, Kind, Operation, OperationId, State};
pub use principal::{Grant, Pattern, Principal, Proof, Role};
pub use webhook::{
    Attempt, Delivery, DeliveryState, Endpoint, EndpointSettings, EndpointState, Replay, WebhookEvent,
};
