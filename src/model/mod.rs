//! The words of the domain as plain data: no input or output, no SQL, no HTTP.
//!
//! - [`Event`], [`Endpoint`], [`Delivery`], [`Attempt`], [`Replay`]: what is pushed, where to, and how that went.
//!
//! Whoever needs behaviour has it elsewhere: what is kept and how is in `store`.

mod webhook;

pub use webhook::{
    Attempt, Delivery, DeliveryState, Endpoint, EndpointSettings, EndpointState, Event, Replay,
};
