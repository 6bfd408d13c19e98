//! Stories about the whole gateway, on real sockets. One binary: a second one costs a second link of everything.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod access;
mod across;
mod architecture;
mod attacks;
mod audit;
mod canary;
mod cli;
mod compose;
mod config;
mod credentials;
mod differential;
mod emulated;
mod flyte;
mod forwarding;
mod google;
mod habits;
mod harness;
mod hostile;
mod identity;
mod image;
mod issuer;
mod journal;
mod life;
mod limits;
mod numbers;
mod openapi;
mod operations;
mod pages;
mod raw;
mod reconcile;
mod spanner;
mod streams;
mod tasks;
mod tls;
mod webhooks;
