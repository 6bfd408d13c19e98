//! Causeway: one REST facade with one OpenAPI document over many gRPC services.
//!
//! A request goes one way, and no stage calls back up:
//!
//! ```text
//! http      request id, trace, limits            →  one route: a binding of an upstream, or an endpoint of ours
//! transcode path, query and JSON body            →  protobuf bytes; every 400 of the caller's making ends here
//! upstream  deadline, credentials, retry, breaker →  the gRPC call, bytes up and bytes down
//! transcode protobuf bytes                       →  JSON
//! http      envelope, compression, stream        →  the answer
//! ```
//!
//! # The modules, from the ground up
//!
//! | level | module | |
//! |---|---|---|
//! | 0 | [`model`], [`error`], [`clock`], [`crypto`], [`pb`], [`workers`] | the domain as plain data, one error type, time as a parameter, sealing and signing, generated code, the threads that serve |
//! | 1 | [`config`], [`schema`], [`transcode`] | what was set, what is known about services, JSON ⇄ wire: pure |
//! | 2 | [`upstream`], [`store`], [`kv`], [`egress`], [`cache`] | the far side: channels, credentials, deadlines, retries, breakers; the database; Redis; outbound HTTP; pages that are kept |
//! | 3 | [`identity`], [`audit`], [`operations`], [`webhooks`] | who calls, what they may do, how much of it; who did what; what takes long; who is told |
//! | 4 | [`gateway`] | use cases: one request through one method |
//! | 5 | [`http`] | the near side: the only module that knows its server and status codes |
//! | 6 | [`app`], [`lifecycle`], [`telemetry`] | the composition root, how the process ends, what it says |
//! | 7 | [`cli`] | the commands |
//! | – | [`emulator`] | upstreams that speak real gRPC, for `dev` and tests; the far side of the network |
//!
//! A module imports from lower levels only, and each third-party crate has a home; `tests/it/architecture.rs` holds both
//! lists and says why. Level 3 has room for the durable parts (operations, webhooks, audit, identity), which never import
//! one another: they meet in the database.
//!
//! # The words
//!
//! *Upstream*: a gRPC service behind the gateway, by its key. *Method*: one rpc of one upstream, with what is known about
//! it. *Binding*: a verb, a path template and what body and answer are made of. *Route*: a binding, or an endpoint of
//! ours, in the route table. *Plan*: a message type compiled for transcoding. *Reason*: why the gateway itself refused.
//!
//! # Three things that hold
//!
//! - The gateway knows services by their descriptors, not by handlers: no message of an upstream is decoded into a Rust
//!   type on its way through.
//! - Every loop, queue, body, wait and retry has a limit with a name: a constant, or a key of the configuration.
//! - What a caller gets wrong is a 4xx that names the place; what we get wrong is a 500 that says nothing but a request
//!   id; the log has the chain of causes, and never a secret.

pub mod app;
pub mod audit;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod egress;
pub mod emulator;
pub mod error;
pub mod gateway;
pub mod http;
pub mod identity;
pub mod kv;
pub mod lifecycle;
pub mod model;
pub mod operations;
pub mod pb;
pub mod schema;
pub mod store;
pub mod telemetry;
pub mod transcode;
pub mod upstream;
pub mod webhooks;
pub mod workers;
