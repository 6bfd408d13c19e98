//! Causeway: one REST facade with one OpenAPI document over many gRPC services.

pub mod clock;
pub mod emulator;
pub mod error;
pub mod pb;
pub mod schema;
