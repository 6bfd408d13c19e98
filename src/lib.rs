//! Causeway: one REST facade with one OpenAPI document over many gRPC services.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod emulator;
pub mod error;
pub mod gateway;
pub mod http;
pub mod lifecycle;
pub mod pb;
pub mod schema;
pub mod telemetry;
pub mod transcode;
pub mod upstream;
