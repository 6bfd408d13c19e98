//! Causeway: one REST facade with one OpenAPI document over many gRPC services.

pub mod clock;
pub mod config;
pub mod emulator;
pub mod error;
pub mod lifecycle;
pub mod pb;
pub mod schema;
pub mod telemetry;
pub mod upstream;
