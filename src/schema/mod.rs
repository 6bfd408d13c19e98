//! What the gateway knows about a service.
mod descriptor;
mod features;
mod load;
pub mod proto;

pub use descriptor::*;
pub use load::{DESCRIPTOR_SET_BYTES_MAX, LoadError};
