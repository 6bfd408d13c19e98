//! Generated code, included here and nowhere else: message types and server traits of everything under `proto/`.
//!
//! Only messages that code handles by name are used from here. Proxied calls never are: they go from bytes to JSON by
//! descriptor.

#![expect(missing_docs, clippy::all, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/pb.rs"));

/// The descriptors of everything under `proto/` and what it imports, comments included: a `FileDescriptorSet`.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/causeway.binpb"));
