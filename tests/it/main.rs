//! Stories about the whole gateway, on real sockets. One binary: a second one costs a second link of everything.

mod architecture;
mod config;
