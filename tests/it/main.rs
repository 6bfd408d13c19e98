//! Stories about the whole gateway, on real sockets. One binary: a second one costs a second link of everything.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod architecture;
mod cli;
mod config;
mod differential;
mod emulated;
mod forwarding;
mod google;
mod habits;
mod harness;
mod hostile;
mod life;
mod limits;
mod openapi;
mod raw;
mod streams;
mod tls;
