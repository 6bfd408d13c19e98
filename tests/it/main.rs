//! Stories about the whole gateway, on real sockets. One binary: a second one costs a second link of everything.

mod architecture;
mod cli;
mod config;
mod forwarding;
mod habits;
mod harness;
mod life;
mod limits;
mod streams;
