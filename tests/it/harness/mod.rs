//! Boots the real gateway on a free port, in front of upstreams that do what a story tells them.

mod client;
mod descriptors;
mod gateway;
mod scripted;

pub use client::Connection;
pub use descriptors::bytes;
pub use gateway::Gateway;
pub use scripted::{Answer, Call, Scripted};
