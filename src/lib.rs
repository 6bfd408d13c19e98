//! Causeway: one REST facade with one OpenAPI document over many gRPC services.

pub mod clock;
pub mod error;
pub mod schema;
pub mod transcode;
