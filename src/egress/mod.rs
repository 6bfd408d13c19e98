//! Outbound HTTP: no redirects, no proxy from the environment, every answer bounded in bytes and time.
//!
//! - [`Target`]: an address as it was written, parsed once. [`Refusal`]: the rule that it breaks.
//! - [`Policy`]: what the operator allows beyond the public internet.
//! - [`Resolve`]: names to addresses, as a parameter. [`Egress`]: sends, and reads the answer within [`limits`].
//! - [`origin()`]: what of an address may be told.
//! - [`Fault`]: why there is no answer. [`Answer`]: what there is of one.
//! - [`Fetcher`]: reads a document from an address that the operator named, such as an issuer's keys. The operator may
//!   name any address, inside his own network too; one that a caller names goes through [`Egress`] only.
//!
//! What holds for [`Egress`]: every address that a name resolves to is judged, at registration and again at each attempt, and one that
//! is denied spoils the name; the connection is made to a judged address and to no other; redirects are answers like any
//! other; no proxy of the environment is used; certificates are verified against the host of the URL.
//!
//! It deliberately knows nothing of webhooks: no signature, no retry.

mod client;
mod connection;
mod deny;
mod fetch;
mod origin;
mod pool;
mod resolve;
mod target;

use crate::config::{self, Cidr};

pub use self::{
    client::{Answer, Egress, Fault, Message, Roots},
    fetch::Fetcher,
    origin::origin,
    resolve::{Resolve, Resolved, SystemResolver},
    target::{Refusal, Rule, Target},
};

/// How much an exchange may cost.
pub mod limits {
    use std::time::Duration;

    /// For resolving a name.
    pub const RESOLVE_TIME_MAX: Duration = Duration::from_secs(5);
    /// For a connection, encryption included.
    pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
    /// For everything, from the name to the last byte of the answer.
    pub const EXCHANGE_TIME_MAX: Duration = Duration::from_secs(15);
    /// For the body of an answer, once its head is there: what an answer means stands in the head.
    pub const BODY_TIME_MAX: Duration = Duration::from_secs(2);
    /// Bytes of an answer's body that are read.
    pub const ANSWER_BYTES_MAX: usize = 16 * 1024;
    /// Bytes of an answer's head.
    pub const HEAD_BYTES_MAX: usize = 16 * 1024;
    /// Headers of an answer.
    pub const HEADERS_MAX: usize = 64;
    /// Addresses of one name that are tried.
    pub const ADDRESSES_MAX: usize = 4;
    /// Connections to one address that are kept while nothing is sent: many endpoints may stand behind one, and each may
    /// have sixteen deliveries under way.
    pub const IDLE_PER_ADDRESS_MAX: usize = 64;
    /// Connections that are kept altogether while nothing is sent.
    pub const IDLE_MAX: usize = 512;
    /// How long one is kept. Shorter than what servers usually keep, so that few are found closed.
    pub const IDLE_TIME_MAX: Duration = Duration::from_secs(20);
}

/// What may be called beyond the public internet on the usual ports, encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Networks that may be called although they are not public, on any port.
    pub allow: Vec<Cidr>,
    /// Whether `http://` may be called.
    pub allow_http: bool,
}

impl From<&config::Webhooks> for Policy {
    fn from(config: &config::Webhooks) -> Self {
        Self { allow: config.allow_cidrs.clone(), allow_http: config.allow_http }
    }
}

#[cfg(test)]
mod tests;
